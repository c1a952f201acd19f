"""Files shown over HTTP: chosen real paths under virtual names, and nothing outside of them.

    attach("/master/log", Path("/var/log/koinon/master.log"))
    attach("/var/lib/agent/…/runs/latest", sandbox, mark="frameworks of 42")

What a task writes into its sandbox is not to be trusted: a symbolic link may point anywhere and change
between a check and the use. So a path is opened first, and then the kernel is asked what was opened.
"""

from __future__ import annotations

import asyncio
import codecs
import grp
import os
import pwd
import stat
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path

from aiohttp import hdrs
from aiohttp.web_request import BaseRequest

from koinon.edge.answers import Answer, HttpError, answer_json
from koinon.edge.server import Server
from koinon.mesos.v1 import FileInfo, TimeInfo

#: The most that `/files/read` gives at once.
READ_BYTES_MAX = 16 * 4096
#: The most that READ_FILE gives at once.
CALL_BYTES_MAX = 32 * 1024 * 1024
_DOWNLOAD_BYTES = 256 * 1024


class FilesError(HttpError):
    """The path cannot be shown: 404 not found, 403 outside of what is attached, 400 not of the kind asked."""


class Files:
    """The virtual file system of a role."""

    def __init__(self) -> None:
        self._attached: dict[str, Path] = {}

    def attach(self, virtual: str, real: Path) -> None:
        """Show `real`, and all below it if it is a directory, as `virtual`."""
        self._attached["/" + virtual.strip("/")] = real

    def detach(self, virtual: str) -> None:
        """Show it no more."""
        self._attached.pop("/" + virtual.strip("/"), None)

    def attached(self) -> dict[str, str]:
        """Virtual paths with their real ones."""
        return {virtual: str(real) for virtual, real in self._attached.items()}

    async def browse(self, virtual: str) -> list[FileInfo]:
        """What a directory holds, by name; a file is a list of itself. Raises FilesError."""
        return await asyncio.to_thread(self._browse, virtual)

    async def read(
        self, virtual: str, offset: int, length: int | None, length_max: int = CALL_BYTES_MAX
    ) -> tuple[int, bytes]:
        """Size of a file, and the bytes from `offset`. Raises FilesError."""
        return await asyncio.to_thread(self._read, virtual, offset, length, length_max)

    def serve(self, server: Server) -> None:
        """Answer `/files/…` on `server`."""
        server.route("/files/browse", self._answer_browse)
        server.route("/files/read", self._answer_read)
        server.route("/files/download", self._answer_download)
        server.route("/files/debug", self._answer_debug)

    # ── on the disk; these run in threads ─────────────────────────────────────────────────────────
    def _open(self, virtual: str) -> tuple[int, os.stat_result]:
        """A descriptor of the path, to be closed by the caller, and what it is."""
        base, rest = self._resolve(virtual)
        try:
            # Only to look: opening a device in earnest may do something.
            found = os.open(base / rest, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise FilesError(404, f"There is no file '{virtual}'.") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise FilesError(403, f"'{virtual}' cannot be read: {reason}.") from error
        try:
            status = _check(found, base, virtual)
            return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC), status
        except OSError as error:
            raise FilesError(403, f"'{virtual}' cannot be read: {error.strerror}.") from error
        finally:
            os.close(found)

    def _resolve(self, virtual: str) -> tuple[Path, str]:
        """The attached real path that leads to `virtual`, and the rest behind it."""
        path = "/" + virtual.strip("/")
        head = path
        while head:
            if (real := self._attached.get(head)) is not None:
                return real, path[len(head) :].strip("/")
            head = head.rpartition("/")[0]
        raise FilesError(404, f"There is no file '{virtual}'.")

    def _open_file(self, virtual: str) -> tuple[int, int]:
        """Descriptor and size of a regular file."""
        descriptor, status = self._open(virtual)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise FilesError(400, f"'{virtual}' is {kind}.")
        return descriptor, status.st_size

    def _browse(self, virtual: str) -> list[FileInfo]:
        descriptor, status = self._open(virtual)
        try:
            if not stat.S_ISDIR(status.st_mode):
                return [_file_info(virtual, status)]
            infos = []
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # gone since
                        continue
                    infos.append(_file_info(f"{virtual.rstrip('/')}/{entry.name}", found))
            return sorted(infos, key=lambda info: info.path)
        finally:
            os.close(descriptor)

    def _read(self, virtual: str, offset: int, length: int | None, length_max: int) -> tuple[int, bytes]:
        descriptor, size = self._open_file(virtual)
        try:
            wanted = length_max if length is None else min(length, length_max)
            wanted = max(0, min(wanted, size - offset))
            return size, os.pread(descriptor, wanted, offset) if wanted else b""
        finally:
            os.close(descriptor)

    # ── over HTTP ─────────────────────────────────────────────────────────────────────────────────
    async def _answer_browse(self, request: BaseRequest) -> Answer:
        return answer_json([_classic(info) for info in await self.browse(_path(request))])

    async def _answer_read(self, request: BaseRequest) -> Answer:
        path = _path(request)
        offset = _number(request, "offset", -1)
        length = _number(request, "length", -1)
        size, data = await self.read(path, max(offset, 0), None if length < 0 else length, READ_BYTES_MAX)
        if offset < 0:
            return answer_json({"offset": size, "data": ""})
        return answer_json({"offset": offset, "data": whole_characters(data).decode(errors="replace")})

    async def _answer_download(self, request: BaseRequest) -> Answer:
        path = _path(request)
        descriptor, size = await asyncio.to_thread(self._open_file, path)
        name = path.rstrip("/").rpartition("/")[2].replace('"', "'").replace("\r", " ").replace("\n", " ")
        return Answer(
            _download(descriptor, size),
            content_type="application/octet-stream",
            headers={hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'},
        )

    async def _answer_debug(self, request: BaseRequest) -> Answer:
        return answer_json(self.attached())


def _check(found: int, base: Path, virtual: str) -> os.stat_result:
    """What was found, which must be a file or directory below `base`, and no other's than it seems. Raises FilesError."""
    path = Path(os.readlink(f"/proc/self/fd/{found}"))
    if not path.is_relative_to(os.path.realpath(base)):
        raise FilesError(403, f"'{virtual}' leads out of the directory that is shown.")
    status = os.fstat(found)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise FilesError(400, f"'{virtual}' is no regular file.")
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and status.st_uid != os.stat(path.parent).st_uid:
        # A second name, given to somebody else's file that its owner may not have meant to show.
        raise FilesError(403, f"'{virtual}' is a hard link to another user's file.")
    return status


def whole_characters(data: bytes) -> bytes:
    """`data` without the first bytes of a UTF-8 character at its end, unless that is all there is.

    Readers go on at the offset behind what they got, so a character must not be cut in two.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    decoder.decode(data)
    pending = len(decoder.getstate()[0])
    return data[:-pending] if 0 < pending < len(data) else data


async def _download(descriptor: int, size: int) -> AsyncIterator[bytes]:
    try:
        offset = 0
        while offset < size:
            piece = await asyncio.to_thread(os.pread, descriptor, min(_DOWNLOAD_BYTES, size - offset), offset)
            if not piece:
                return
            offset += len(piece)
            yield piece
    finally:
        os.close(descriptor)


def _path(request: BaseRequest) -> str:
    path = request.query.get("path", "")
    if not path:
        raise HttpError(400, "The parameter path must name a file.")
    if ".." in path.split("/"):
        raise FilesError(403, f"'{path}' leads out of the directory that is shown.")
    return path


def _number(request: BaseRequest, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise HttpError(400, f"The parameter {name} must be a whole number, not '{text}'.") from None
    if value < -1:
        raise HttpError(400, f"The parameter {name} must not be negative.")
    return value


def _file_info(path: str, status: os.stat_result) -> FileInfo:
    return FileInfo(
        path=path,
        nlink=status.st_nlink,
        size=status.st_size,
        mtime=TimeInfo(status.st_mtime_ns),
        mode=status.st_mode,
        uid=user_name(status.st_uid),
        gid=_group(status.st_gid),
    )


def _classic(info: FileInfo) -> dict[str, object]:
    assert info.mtime is not None
    assert info.mode is not None
    return {
        "path": info.path,
        "nlink": info.nlink,
        "size": info.size,
        "mtime": info.mtime.nanoseconds / 1e9,
        "mode": stat.filemode(info.mode),
        "uid": info.uid,
        "gid": info.gid,
    }


@lru_cache(maxsize=256)
def user_name(uid: int) -> str:
    """Name of the user, the number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=256)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
