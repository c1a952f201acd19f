"""One process of a cluster of `koinon up`, started again as often as it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from koinon.cli.client import Client
from koinon.cli.errors import Failure

MARATHON, CHRONOS = "marathon", "chronos"

_RESTART_FIRST_S = 0.2
_RESTART_MAX_S = 10.0
#: A process that ran for so long is healthy: its next restart is prompt again.
_HEALTHY_S = 30.0


class Process:
    """A program with a name, an address and a log."""

    def __init__(self, name: str, argv: Sequence[str], address: str, log: Path) -> None:
        self.name = name
        self.address = address
        self.log = log
        self.started_s = 0.0
        self.start_due_s: float | None = None
        self._argv = argv
        self._restart_s = _RESTART_FIRST_S
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begin = 0

    def start(self, lock: int | None = None) -> None:
        """Start the process; should `up` be killed, the kernel ends it. It inherits `lock`, which it holds till then."""
        self.start_due_s = None
        self.started_s = time.monotonic()
        with self.log.open("ab") as log:
            self._log_begin = log.tell()
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for us; we stop the processes in order
                pass_fds=() if lock is None else (lock,),
                preexec_fn=_die_with_parent(os.getpid()),
            )

    def _environment(self) -> dict[str, str] | None:
        """Of the process; None: ours."""
        return None

    def died(self) -> str | None:
        """How the process ended, once; None while it runs."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        self._process = None
        if status < 0:
            return f"was ended by signal {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def plan_restart(self) -> float:
        """Set when to start it again; returns in how many seconds."""
        if time.monotonic() - self.started_s > _HEALTHY_S:
            self._restart_s = _RESTART_FIRST_S
        pause_s, self._restart_s = self._restart_s, min(2 * self._restart_s, _RESTART_MAX_S)
        self.start_due_s = time.monotonic() + pause_s
        return pause_s

    def answers(self) -> bool:
        """Whether it is ready for requests."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://{self.address}"

    def last_words(self) -> str:
        """The end of what this process logged."""
        with self.log.open("rb") as log:
            log.seek(self._log_begin)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-8:])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end; kill it if it takes longer."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class Role(Process):
    """A master or an agent."""

    def __init__(
        self, kind: str, name: str, flags: Sequence[str], address: str, work_dir: Path, log: Path
    ) -> None:
        super().__init__(name, [sys.executable, "-m", "koinon", kind, *flags], address, log)
        self.kind = kind
        self.work_dir = work_dir

    def answers(self) -> bool:
        """See `Process.answers`; masters that stand by do."""
        try:
            with Client(self.address, what=self.kind, timeout_s=2.0) as client:
                client.ping()
        except Failure:
            return False
        return True


class Service(Role):
    """The Marathon or the Chronos of a cluster."""

    def __init__(self, name: str, flags: Sequence[str], address: str, work_dir: Path, log: Path) -> None:
        super().__init__(name, name, flags, address, work_dir, log)

    def _environment(self) -> dict[str, str]:
        # What is said on the command line and in the environment, too, is an error; and where it keeps things we say.
        flags = ["--zk", "--zk_hosts", "--work_dir", *(one for one in self._argv if one.startswith("--"))]
        said = {f"{self.kind}_{flag[2:].partition('=')[0]}".upper() for flag in flags}
        return {name: value for name, value in os.environ.items() if name not in said}

    def answers(self) -> bool:
        """See `Process.answers`; one that leads does."""
        try:
            with Client(self.address, what=self.kind, timeout_s=2.0) as client:
                return client.exists("/ping")
        except Failure:
            return False


def _die_with_parent(parent_pid: int) -> Callable[[], None]:
    """What a child does before it becomes its program: SIGTERM is to come when `up` is gone."""
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_parent_death_signal = 1

    def in_child() -> None:
        prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent_pid:  # gone already
            os._exit(1)

    return in_child
