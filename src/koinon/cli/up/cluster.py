"""The processes of `koinon up` together, from the first start to the stop."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from koinon.cli.client import Client, agent_address
from koinon.cli.errors import Failure
from koinon.cli.up.process import Process, Role

_READY_TIMEOUT_S = 60.0
_READY_POLL_S = 0.02
#: An agent may have to wait for the grace periods of its tasks.
_STOP_TIMEOUT_S = 20.0


class Cluster:
    """What is to run: `services` that others need until their own end, and the roles.

    `told` are names and addresses that are no process of ours, to be printed first. All processes inherit `lock`.
    """

    def __init__(
        self,
        services: Sequence[Process],
        roles: Sequence[Role],
        told: Sequence[tuple[str, str]] = (),
        *,
        lock: int,
    ) -> None:
        self._lock = lock
        self._services = services
        self._roles = roles
        self._processes: Sequence[Process] = (*services, *roles)
        self._told = told
        self._master_address = next(role.address for role in roles if role.kind == "master")
        self._name_width = max(
            8, *(len(name) for name, _ in told), *(len(one.name) for one in self._processes)
        )
        self._stop_signal: int | None = None
        self._alarm, self._alarm_end = socket.socketpair()
        self._alarm.setblocking(False)
        self._alarm_end.setblocking(False)

    def run(self) -> int:
        """Returns when told to stop, with the exit status of `up`."""

        def stop(number: int, _frame: FrameType | None) -> None:
            self._stop_signal = self._stop_signal or number

        signal.set_wakeup_fd(self._alarm_end.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake us
        try:
            for process in self._processes:
                process.start(self._lock)
            if self._wait_until_ready():
                self._keep_running()
        finally:
            self._stop()
            signal.set_wakeup_fd(-1)
        return 0

    def _wait_until_ready(self) -> bool:
        """Print addresses and `ready`. False when told to stop before; raises Failure when something cannot start."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        for name, place in self._told:
            self._tell(name, place)
        awaited = list(self._processes)
        while self._stop_signal is None:
            for process in self._processes:
                if (end := process.died()) is not None:
                    raise Failure(f"{process.name} {end}; the end of {process.log}:\n{process.last_words()}")
            while awaited and (address := self._address_of(awaited[0])):
                self._tell(awaited.pop(0).name, address)
            if not awaited:
                print("ready", flush=True)
                return True
            if time.monotonic() > deadline_s:
                late = awaited[0]
                raise Failure(
                    f"not ready after {_READY_TIMEOUT_S:g} s; the end of {late.log}:\n{late.last_words()}"
                )
            self._sleep(_READY_POLL_S)
        return False

    def _tell(self, name: str, address: str) -> None:
        print(f"{name:<{self._name_width}} {address}", flush=True)

    def _address_of(self, process: Process) -> str | None:
        """Where one that is ready can be reached, of an agent also its id; None if it is not ready."""
        if not process.answers():
            return None
        if not (isinstance(process, Role) and process.kind == "agent"):
            return process.url
        try:
            with Client(self._master_address) as master:
                agents = master.get("/slaves")["slaves"]
        except Failure:
            return None
        ids = (one["id"] for one in agents if one["active"] and agent_address(one["pid"]) == process.address)
        return next((f"{process.url}  {agent_id}" for agent_id in ids), None)

    def _keep_running(self) -> None:
        while self._stop_signal is None:
            now_s = time.monotonic()
            for process in self._processes:
                if (end := process.died()) is not None:
                    pause_s = process.plan_restart()
                    _say(f"{process.name} {end}; starting it again in {pause_s:g} s (log: {process.log})")
                if process.start_due_s is not None and process.start_due_s <= now_s:
                    process.start(self._lock)
            due_s = [one.start_due_s for one in self._processes if one.start_due_s is not None]
            self._sleep(max(0.0, min(due_s) - now_s) if due_s else None)

    def _stop(self) -> None:
        for stage in (self._roles, self._services):
            for process in stage:
                process.signal(signal.SIGTERM)
            for process in stage:
                process.wait(_STOP_TIMEOUT_S)
        for (
            role
        ) in self._roles:  # an agent leaves its tasks running for the next one; here they are to end, too
            if role.kind == "agent":
                _end_launcher(role.work_dir / "run")

    def _sleep(self, duration_s: float | None) -> None:
        """Sleep until a signal comes, at most so long."""
        if select.select([self._alarm], [], [], duration_s)[0]:
            self._alarm.recv(4096)


def _end_launcher(directory: Path) -> None:
    """End the process that runs the tasks of an agent that is gone, and the tasks; returns when they are gone.

    How they ended is kept in its journal: the next agent reports it.
    """
    if not directory.is_dir():
        return
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as launcher:
            launcher.settimeout(_STOP_TIMEOUT_S)
            # The path of a Unix socket is short by law; through the open directory any path is.
            launcher.connect(f"/proc/self/fd/{folder}/socket")
            launcher.sendall(b'{"id": 1, "do": "stop"}\n')
            while launcher.recv(1 << 16):
                pass
    except (FileNotFoundError, ConnectionError):
        return  # there is none: it ends by itself when it has no tasks
    except TimeoutError:
        _say(f"the tasks below {directory.parent} did not end within {_STOP_TIMEOUT_S:g} s")
    finally:
        os.close(folder)


def _say(sentence: str) -> None:
    print(f"koinon: {sentence}", file=sys.stderr, flush=True)
