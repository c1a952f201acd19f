"""Machines and the processes on them.

A *machine* has a clock of its own, which may be wrong and may jump, a disk, and a network card. A *process* has an
event loop; it ends by itself, is killed, or is frozen for a while. A *node* is what somebody looks after: when its
process has ended, the next one is started.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from koinon.simulator.loop import Loop
from koinon.simulator.world import EPOCH_S, Violation, World

if TYPE_CHECKING:
    from koinon.simulator.disk import Disk
    from koinon.simulator.network import Network


class Ended(SystemExit):
    """A process has ended itself in the middle of something."""


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
        self.nodes: list[Node] = []
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
        self.world.tell(self.name, "down")
        for process in list(self.processes):
            process.kill("its machine went down", silently=True)

    def boot(self) -> None:
        """Power on."""
        self.up = True
        self.boots += 1
        self.world.tell(self.name, "booted")
        for node in self.nodes:
            node.start()


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
        self.world.tell(self.name, "".join(traceback.format_exception(error)))
        text = f"{self.name} failed: {type(error).__name__}: {error}"
        self.world.accuse("no process fails", text, self.name)

    def exit(self, why: str) -> None:
        """The end, by its own doing."""
        self._end(why, silently=False)

    def end_now(self, why: str) -> NoReturn:
        """As `os._exit`: nothing of it does anything after this."""
        self._end(why, silently=False)
        raise Ended(why)

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

    def within(self, call: Callable[..., None], *arguments: Any) -> None:
        """Make a call as if its event loop did."""
        before, running = Process.current, asyncio._get_running_loop()
        asyncio._set_running_loop(self.loop)
        Process.current = self
        try:
            call(*arguments)
        finally:
            Process.current = before
            asyncio._set_running_loop(running)

    def enter(self) -> None:
        """Its code runs."""
        Process.current = self

    def leave(self) -> None:
        """Its code does not run any more."""
        Process.current = None


class Node:
    """A role on a machine: while nobody holds it, its process is started again whenever it has ended."""

    #: How long a supervisor waits before it starts the next process.
    RESTART_S = 0.5

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.world = machine.world
        self.name = name
        self.random = machine.world.random(name)
        self.process: Process | None = None
        self._holds = 0
        self._starts = count(1)
        machine.nodes.append(self)

    async def main(self, process: Process) -> int:
        """The program."""
        raise NotImplementedError

    def start(self) -> None:
        """Start a process, if there is to be one and is none."""
        if self.process is None and not self._holds and self.machine.up:
            self.start_another()

    def start_another(self) -> None:
        """Start a process; should there be one already, it is left to itself."""
        process = self.process = Process(self.machine, f"{self.name}.{next(self._starts)}")
        process.on_end.append(lambda: self._ended(process))
        process.start(self.main(process))

    def hold(self) -> None:
        """No process is to run for now."""
        self._holds += 1

    def release(self) -> None:
        """That is over; holds are counted."""
        self._holds -= 1
        self.start()

    def over(self) -> None:
        """Forget what the process knew; it has ended."""

    def _ended(self, process: Process) -> None:
        if process is not self.process:
            return
        self.process = None
        self.over()
        self.world.after(self.RESTART_S * self.random.uniform(0.5, 2), self.start)
