"""The agent's end of the placer: start it, tell it what to write, end it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from koinon.agent.fetcher.downloads import Download
from koinon.agent.fetcher.sentences import FetchError

_PROGRAM = Path(__file__).parents[1] / "placer" / "__main__.py"
_ANSWER_BYTES = 1 << 16


class Placer:
    """Writes into one sandbox, as its user."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._loop = asyncio.get_running_loop()

    async def say(self, line: str) -> None:
        """Add a line to the task's stderr. Raises FetchError."""
        await self._ask(do="say", text=line)

    async def copy(self, source: str | int, path: str, mode: int) -> None:
        """Copy a file of this machine, or one that is open. Raises FetchError."""
        if isinstance(source, int):
            await self._ask(source, do="store", path=path, mode=mode, size=os.fstat(source).st_size)
        else:
            await self._ask(do="store", path=path, mode=mode, size=None, source=source)

    async def receive(self, download: Download, path: str, mode: int) -> None:
        """Write a download into a file. Raises FetchError."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            # The placer's own copy of the other end keeps the stream open: ours must be the only one to end it.
            writing = self._loop.create_task(
                self._ask(theirs.fileno(), do="store", path=path, mode=mode, size=download.size)
            )
            try:
                await asyncio.sleep(0)  # it is sent
                theirs.close()
                sent = 0
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # why, the answer tells
                    async for piece in download.pieces:
                        await self._loop.sock_sendall(ours, piece)
                        sent += len(piece)
                    ours.shutdown(socket.SHUT_WR)
                written = await writing
            except FetchError:
                ours.close()
                with contextlib.suppress(FetchError):
                    await writing  # its answer must not be taken for that to the next request
                raise
            except BaseException:
                writing.cancel()
                raise
        if written != sent:
            raise FetchError(f"only {written} of {sent} bytes were written")

    async def extract(self, archive: str | int, name: str) -> None:
        """Take apart an archive that is open, or at a path in the sandbox. Raises FetchError."""
        if isinstance(archive, int):
            await self._ask(archive, do="extract", name=name)
        else:
            await self._ask(do="extract", name=name, path=archive)

    async def ready(self) -> None:
        """Wait until it is there. Raises FetchError."""
        await self._answer()

    async def _ask(self, attached: int | None = None, **request: Any) -> int:
        message = json.dumps(request).encode()
        try:
            socket.send_fds(self._control, [message], [] if attached is None else [attached])
        except OSError as error:
            raise FetchError(f"the process that writes into the sandbox is gone: {error.strerror}") from error
        return await self._answer()

    async def _answer(self) -> int:
        try:
            message = await self._loop.sock_recv(self._control, _ANSWER_BYTES)
        except ConnectionError:
            message = b""
        if not message:
            raise FetchError("the process that writes into the sandbox was killed")
        answer = json.loads(message)
        if "error" in answer:
            raise FetchError(answer["error"])
        written: int = answer["bytes"]
        return written


@asynccontextmanager
async def placer(sandbox: str, user: str | None, limit_bytes: int | None) -> AsyncIterator[Placer]:
    """A placer for one sandbox, which ends with the block. Raises FetchError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        starting = asyncio.ensure_future(asyncio.to_thread(_start, theirs, sandbox, user, limit_bytes))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_end_unwanted)
            raise
        try:
            theirs.close()
            found = Placer(ours)
            await found.ready()
            yield found
        finally:
            process.kill()
            await asyncio.shield(asyncio.to_thread(process.wait))


def _start(
    control: socket.socket, sandbox: str, user: str | None, limit_bytes: int | None
) -> subprocess.Popen[bytes]:
    """Blocks. Raises FetchError."""
    given: dict[str, Any] = {"sandbox": sandbox, "uid": None, "limit_bytes": limit_bytes, "path": _zstd()}
    try:
        if user is not None:
            entry = pwd.getpwnam(user)
            groups = os.getgrouplist(user, entry.pw_gid)
            given.update(uid=entry.pw_uid, gid=entry.pw_gid, groups=groups)
        return subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                "-X",
                "utf8",
                str(_PROGRAM),
                str(control.fileno()),
                json.dumps(given),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(control.fileno(),),
            env={},
            start_new_session=True,
        )
    except KeyError:
        raise FetchError(f"there is no user '{user}'") from None
    except OSError as error:
        raise FetchError(
            f"cannot start the process that writes into the sandbox: {error.strerror}"
        ) from error


def _end_unwanted(starting: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        process = starting.result()
        process.kill()
        asyncio.get_running_loop().run_in_executor(None, process.wait)


@cache
def _zstd() -> list[str]:
    """Where the package is that reads zstd archives."""
    found = importlib.util.find_spec("backports.zstd")
    return [str(Path(found.origin).parents[2])] if found is not None and found.origin is not None else []
