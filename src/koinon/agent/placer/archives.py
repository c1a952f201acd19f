"""Taking archives apart. What is in them is made by `Tree`, so nothing leaves the sandbox.

Files belong to whom the placer runs as; of their modes only `rwx` for the owner, `r-x` for others is kept. Devices and
pipes are refused, and the whole archive with them.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from koinon.agent.placer.tree import Refused, Tree


def _find_zstd() -> Any:
    """The module of the standard library, or the one that gives older versions the same; None without either."""
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    return None


_zstd = _find_zstd()
_PIECE = 1 << 18
#: What no archive's link needs more of.
_TARGET_BYTES = 4096

#: By the first bytes, since names do not always tell the truth about the compression of a tar archive.
_COMPRESSIONS = ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zst"))

_DAMAGES: tuple[type[Exception], ...] = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error,
    EOFError, RuntimeError, NotImplementedError, ValueError, OverflowError, LookupError,
)  # fmt: skip
if _zstd is not None:
    _DAMAGES += (_zstd.ZstdError,)


def extract(tree: Tree, name: str, file: IO[bytes]) -> None:
    """Take apart the archive in `file`; what it is its name tells. Raises Refused, OSError."""
    try:
        if name.endswith(".zip"):
            _extract_zip(tree, file)
        elif name.endswith(".gz") and not name.endswith(".tar.gz"):
            with gzip.GzipFile(fileobj=file) as content:
                tree.write(name.removesuffix(".gz"), 0o644, pieces(content))
        else:
            _extract_tar(tree, file)
    except _DAMAGES as error:
        raise Refused(f"it is no such archive, or damaged: {error}") from error
    except MemoryError as error:
        raise Refused("it cannot be unpacked in the memory that there is for it") from error


def pieces(content: IO[bytes] | Any) -> Iterator[bytes]:
    """The rest of a file."""
    while piece := content.read(_PIECE):
        yield piece


def _permissions(mode: int) -> int:
    return (mode & (0o755 if mode & 0o100 else 0o644)) | 0o600


# ── tar ───────────────────────────────────────────────────────────────────────────────────────────
def _extract_tar(tree: Tree, file: IO[bytes]) -> None:
    with contextlib.closing(_decompressed(file)) as content:
        archive: Any = tarfile.TarFile(fileobj=content)
        while member := archive.next():
            archive.members.clear()  # it would remember them all
            _extract_member(tree, archive, member)


def _decompressed(file: IO[bytes]) -> Any:
    start = file.read(8)
    file.seek(0)
    match next((name for magic, name in _COMPRESSIONS if start.startswith(magic)), None):
        case "gz":
            return gzip.GzipFile(fileobj=file)
        case "bz2":
            return bz2.BZ2File(file)
        case "xz":
            return lzma.LZMAFile(file)
        case "zst":
            if _zstd is None:
                raise Refused(
                    "it is compressed by zstd, for which the agent lacks the package backports.zstd"
                )
            return _zstd.ZstdFile(file)
    return file


def _extract_member(tree: Tree, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if member.isdir():
        tree.folder(member.name)
    elif member.issym():
        tree.symlink(member.name, member.linkname)
    elif member.islnk():
        tree.hard_link(member.name, member.linkname)
    elif member.isreg():
        content = archive.extractfile(member)
        assert content is not None
        tree.write(member.name, _permissions(member.mode), pieces(content), member.mtime)
    else:
        raise Refused(f"'{member.name}' is a device or a pipe, which no task may bring")


# ── zip ───────────────────────────────────────────────────────────────────────────────────────────
def _extract_zip(tree: Tree, file: IO[bytes]) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if member.is_dir():
                tree.folder(member.filename)
                continue
            with archive.open(member) as content:
                if kind == stat.S_IFLNK:
                    target = content.read(_TARGET_BYTES)
                    tree.symlink(member.filename, target.decode(errors="surrogateescape"))
                elif kind in (0, stat.S_IFREG):
                    permissions = _permissions(mode) if mode else 0o644
                    tree.write(member.filename, permissions, pieces(content))
                else:
                    raise Refused(f"'{member.filename}' is a device or a pipe, which no task may bring")
