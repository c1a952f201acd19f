"""What a launcher must not forget when it dies: which containers were launched, and how they ended."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable
from typing import Any

from koinon.agent.launcher.complaints import complain
from koinon.agent.launcher.processes import read, start_ticks
from koinon.agent.launcher.rotation import Logs
from koinon.agent.launcher.streams import Terminal

STARTING, RUNNING, ENDING, EXITED = range(4)
_COMPACT_BYTES = 1 << 20
_RETRY_S = 1.0


class Container:
    """A container from the fork of its main process until it is forgotten."""

    __slots__ = (
        "destroyed", "ended_s", "error_fd", "id", "killed", "launched_s", "logs", "message", "patience_s", "pid",
        "start", "state", "status", "strays", "sweep_s", "sweeps", "terminal", "waiting",
    )  # fmt: skip

    def __init__(self, id: str, pid: int, launched_s: float, *, state: int, start: int = 0) -> None:
        self.id = id
        self.pid = pid
        self.launched_s = launched_s
        self.state = state
        #: Start of the main process in ticks since boot, if it was read from the journal and is of this boot.
        self.start = start
        #: The exit; valid from ENDING on.
        self.status: int | None = None
        self.message = ""
        self.ended_s = 0.0
        #: Our end of its terminal, if we made one for it.
        self.terminal: Terminal | None = None
        #: What it writes, on the way to its files.
        self.logs: Logs | None = None
        #: How long it runs on when the agent is gone; None: for ever.
        self.patience_s: float | None = None
        #: While STARTING: where its failure to start arrives, and the requests to be answered.
        self.error_fd = -1
        self.waiting: list[int] = []
        #: While being destroyed: processes killed so far, sweeps done, when the next one is due.
        self.destroyed = False
        self.killed: set[int] = set()
        self.sweeps = 0
        self.sweep_s = 0.0
        #: While ENDING: how many strays are, or may be, of this container.
        self.strays = 0

    def finish_logs(self) -> None:
        """Nothing of it is left: bring what it wrote into its files."""
        if self.logs:
            self.logs.finish()
            self.logs = None

    def listed(self) -> dict[str, Any]:
        """The container as clients are told."""
        listed = {"container_id": self.id, "pid": self.pid, "launched_s": self.launched_s}
        listed["terminal"] = self.terminal is not None
        return {**listed, "exit": self.exit()} if self.state == EXITED else listed

    def exit(self) -> dict[str, Any]:
        """The exit as clients are told."""
        return {
            "container_id": self.id,
            "status": self.status,
            "ended_s": self.ended_s,
            "message": self.message,
        }


class Journal:
    """The records, appended by the launcher and by each main process; rewritten when they have grown.

    A record begins, not ends, with a newline: one torn by a full disk spoils only itself.
    """

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._boot = read("/proc/sys/kernel/random/boot_id").decode().strip()
        self._unsynced = False
        self._compact_bytes = 0
        #: Where main processes write their `launched` (see `program.Plan.record`).
        self.fd = -1
        #: A record could not be written: the file is rewritten as soon as there is room, tried at this time.
        self.retry_s: float | None = None

    def replay(self) -> dict[str, Container]:
        """What was not forgotten: RUNNING or EXITED. What ran before the machine restarted has exited."""
        known: dict[str, Container] = {}
        boot = self._boot
        try:
            with open(
                "journal", "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=self._folder)
            ) as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return known
        for line in filter(None, lines):
            try:
                record = json.loads(line)
            except ValueError:
                complain(f"journal: a torn record is left out: {line[:80]!r}")
                continue
            boot = record.get("boot", boot)
            if id := record.get("launched"):
                known[id] = Container(id, record["pid"], record["at"], state=RUNNING, start=record["start"])
            elif id := record.get("forgotten"):
                known.pop(id, None)
            elif ended := known.get(record.get("exited", "")):
                ended.state, ended.status, ended.message = EXITED, record["status"], record["message"]
                ended.ended_s = record["at"]
        for container in known.values():
            if container.state == RUNNING and boot != self._boot:
                container.state, container.message = EXITED, "the machine was restarted"
                container.ended_s, container.start = time.time(), 0
        return known

    def exited(self, container: Container) -> None:
        """Record an exit; on disk after the next `sync`."""
        self._append(_exited(container))
        self._unsynced = True

    def forgotten(self, id: str) -> None:
        """Record that an exit need not be told any more."""
        self._append("\n" + json.dumps({"forgotten": id}))

    def sync(self, containers: Iterable[Container]) -> None:
        """Bring exits to the disk, and the file into shape when it has grown or failed.

        A disk that takes nothing holds up no exit: it is tried again, and until then the exits are
        only as safe as this process.
        """
        try:
            if self.retry_s is not None:
                if time.monotonic() >= self.retry_s:
                    self.rewrite(containers)
            elif self._unsynced:
                os.fdatasync(self.fd)
                if os.fstat(self.fd).st_size > self._compact_bytes:
                    self.rewrite(containers)
        except OSError as error:
            self._failed(error)
        self._unsynced = False

    def rewrite(self, containers: Iterable[Container]) -> None:
        """Replace the file by one that has only what is not forgotten. Raises OSError, keeping the old one."""
        text = json.dumps({"boot": self._boot})
        for each in containers:
            # Those just forked too: what they write themselves may go into the old file.
            start = each.start or (start_ticks(each.pid) if each.state < ENDING else 0)
            text += _launched(each.id, each.pid, start, each.launched_s)
            if each.state >= ENDING:
                text += _exited(each)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC
        fd = os.open("journal.new", flags, 0o600, dir_fd=self._folder)
        try:
            _write_whole(fd, text)
            os.fsync(fd)
            os.rename("journal.new", "journal", src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)
        except OSError:
            os.close(fd)
            raise
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = fd
        self.retry_s = None
        self._compact_bytes = max(_COMPACT_BYTES, 4 * len(text))

    def _append(self, text: str) -> None:
        try:
            _write_whole(self.fd, text)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if self.retry_s is None:
            complain(f"journal: {error.strerror}; trying until it can be written again")
        self.retry_s = time.monotonic() + _RETRY_S


def _launched(id: str, pid: int, start: int, at: float) -> str:
    return "\n" + json.dumps({"launched": id, "pid": pid, "start": start, "at": at})


def _exited(container: Container) -> str:
    record = {"exited": container.id, "status": container.status, "message": container.message}
    return "\n" + json.dumps({**record, "at": container.ended_s})


def _write_whole(fd: int, text: str) -> None:
    data = text.encode()
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
