"""Machines and the processes on them.

A *machine* has a clock of its own, which may be wrong and may jump, a disk, and a network card. A *process* has an
event loop; it ends by itself, is killed, or is frozen for a while. A *node* is what somebody looks after: when its
process has ended, the next one is started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

from koinon.simulator.loop import Loop
from koinon.simulator.world import EPOCH_S, Violation, World

if TYPE_CHECKING:
    from koinon.simulator.disk import Disk
    from koinon.simulator.network import Network


class Machine:
    """A machine: it is up or not."""

    def __init__(self, world: World, network: Network, name: str, ip: str) -> None:
        self.world = world
        self.network = network
        self.name = name
        self.ip = ip
        self.up = True
        self.boots = 1
        self.offset_s = 0.0  #: what its clock on the wall is wrong by
        self.rate = 1.0  #: seconds that its clock counts in one second
        self.disk: Disk
        self.processes: list[Process] = []
        network.join(self)

    def wall(self) -> float:
        """The time as its clock on the wall shows it."""
        return EPOCH_S + self.offset_s + self.world.now * self.rate

    def monotonic(self) -> float:
        """Seconds since the machine was made; never goes back, and goes on while processes are frozen."""
        return self.world.now * self.rate

    def true_s(self, monotonic_s: float) -> float:
        """When `monotonic` will be so much, in the world's time."""
        return monotonic_s / self.rate

    def boot_id(self) -> str:
        """Changes with every boot."""
        return f"{self.name}-boot-{self.boots}"

    def crash(self) -> None:
        """Power off: nobody is told anything."""
        self.up = False
        for process in list(self.processes):
            process.kill("its machine went down", silently=True)

    def boot(self) -> None:
        """Power on; nodes start their processes themselves."""
        self.up = True
        self.boots += 1


class Process:
    """A process. `main` is its program."""

    #: Whose code runs now; what clocks show depends on it.
    current: ClassVar[Process | None] = None

    def __init__(self, machine: Machine, name: str) -> None:
        self.world = machine.world
        self.machine = machine
        self.name = name
        self.alive = True
        self.frozen = False
        self.loop = Loop(self)  # type: ignore[abstract]
        self.on_end: list[Callable[[], None]] = []  #: called when it has ended, however
        self._listening: list[int] = []
        machine.processes.append(self)
        self.world.processes.append(self)

    def start(self, main: Coroutine[Any, Any, int | None]) -> None:
        """Run the program; the process ends when it does."""
        self.loop.deliver(self._start, main)

    def _start(self, main: Coroutine[Any, Any, int | None]) -> None:
        task = self.loop.create_task(main)
        task.add_done_callback(self._main_ended)

    def _main_ended(self, task: asyncio.Task[int | None]) -> None:
        if not self.alive:
            return
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error)
            return
        self.exit(f"ended with status {0 if task.cancelled() else task.result() or 0}")

    def failed(self, error: BaseException) -> None:
        """Its program has a mistake."""
        if not self.alive:
            return
        if isinstance(error, Violation):
            raise error
        text = f"{self.name} failed: {type(error).__name__}: {error}"
        raise Violation("no process fails", text, self.name) from error

    def exit(self, why: str) -> None:
        """The end, by its own doing."""
        self._end(why, silently=False)

    def kill(self, why: str, *, silently: bool = False) -> None:
        """SIGKILL; `silently`: not even the kernel closes its connections."""
        self._end(why, silently=silently)

    def _end(self, why: str, *, silently: bool) -> None:
        if not self.alive:
            return
        self.world.tell(self.name, f"process over: {why}")
        self.alive = False
        self.loop.kill()
        self.machine.processes.remove(self)
        self.machine.network.process_ended(self, silently=silently)
        for call in self.on_end:
            call()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True
        self.loop.freeze()
        self.world.tell(self.name, "frozen")

    def wake(self) -> None:
        """SIGCONT."""
        if self.frozen and self.alive:
            self.frozen = False
            self.world.tell(self.name, "woken")
            self.loop.wake()

    def enter(self) -> None:
        """Its code runs."""
        Process.current = self

    def leave(self) -> None:
        """Its code does not run any more."""
        Process.current = None
