"""Archives for tests, honest and hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

from backports import zstd

Entry = tuple[tarfile.TarInfo, bytes]


def entry(
    name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size, info.mtime = kind, link, mode, len(data), 1_000_000_000
    return info, data


def symlink(name: str, target: str) -> Entry:
    return entry(name, kind=tarfile.SYMTYPE, link=target)


def hard_link(name: str, target: str) -> Entry:
    return entry(name, kind=tarfile.LNKTYPE, link=target)


def tar(*entries: Entry) -> bytes:
    out = io.BytesIO()
    with tarfile.TarFile(fileobj=out, mode="w") as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def zipped(*members: tuple[str, bytes, int]) -> bytes:
    """A zip of (name, data, mode)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


HONEST = tar(
    entry("top/", kind=tarfile.DIRTYPE, mode=0o700),
    entry("top/run.sh", b"#!/bin/sh\necho ran\n", mode=0o755),
    entry("top/deep/er/data", b"data"),
    symlink("top/deep/link", "../run.sh"),
    hard_link("top/same", "top/run.sh"),
)

#: How each kind of archive is made of a tar.
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tbz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".txz": lzma.compress,
    ".tar.zst": zstd.compress,
    ".tzst": zstd.compress,
}
