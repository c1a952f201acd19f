"""The launcher of a machine and the programs that it runs: a model of `koinon.agent.launcher` and its client.

    run SECONDS [exit STATUS [term SECONDS]]     a command that ends by itself with a status; SIGTERM ends it after so
                                                 long (`term never`: it must be killed)
    work SECONDS PORTION …                       a command that takes so long on average; such a portion of its runs fails
    executor                                     a program of the SDK, see `executors.py`

A *launcher* outlives agents. It remembers what it started and how it ended until that is forgotten. When it dies, what
it had started runs on; the next one ends that, and nobody knows how it would have ended. When the machine goes
down everything ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from random import Random

from koinon.agent.launching import Container, Exit, LaunchFailed, LaunchSpec
from koinon.simulator.machines import Machine, Process
from koinon.simulator.observer import Observer
from koinon.simulator.world import Handle, World

#: How long a request and its answer take.
_REQUEST_S = 0.0005
#: How long after the death of a launcher there is the next one.
_NEXT_S = 1.0
_KILL_S = 0.01
_SIGTERM = 15
_SIGKILL = 9

#: Makes the process of a custom executor from its environment.
Spawn = Callable[[Machine, LaunchSpec], Process]


def duration_and_status(words: list[str]) -> tuple[float, int]:
    """How long a command runs, and how it ends then."""
    return float(words[1]), int(words[3]) if len(words) > 3 else 0


class Run:
    """A container."""

    def __init__(self, spec: LaunchSpec, pid: int, launched_s: float) -> None:
        self.spec = spec
        self.pid = pid
        self.launched_s = launched_s
        self.exit: Exit | None = None
        self.term_s: float | None = 0.05  #: how long after SIGTERM it ends; None: not at all
        self.end: Handle | None = None  #: when it ends by itself
        self.process: Process | None = None  #: of an executor
        self.client: Containers | None = None  #: whose end is also its end


class Launcher:
    """All that the launchers of a machine know, one after the other."""

    def __init__(self, machine: Machine, random: Random, spawn: Spawn, observer: Observer) -> None:
        self.machine = machine
        self.world: World = machine.world
        self.random = random
        self.runs: dict[str, Run] = {}
        self.started: dict[str, int] = {}  #: how often each container was ever started, by id
        self.failing = 0.0  #: how often a launch fails
        self.away = False  #: it has died, and there is no other yet
        self.client: Containers | None = None
        self._spawn = spawn
        self._observer = observer
        self._awaited: list[tuple[Process, asyncio.Future[None]]] = []
        self._pids = count(1000)

    # ── what clients ask for ──────────────────────────────────────────────────────────────────────
    def launch(self, spec: LaunchSpec, client: Containers) -> int:
        """Start a container; the pid of one that is there already."""
        if (known := self.runs.get(spec.container_id)) is not None:
            return known.pid
        self._observer.runs(self.machine, spec)
        run = Run(spec, next(self._pids), self.machine.wall())
        self.runs[spec.container_id] = run
        self.started[spec.container_id] = self.started.get(spec.container_id, 0) + 1
        if spec.tied:
            run.client = client
        self.world.tell(self.machine.name, f"container {spec.container_id} runs: {spec.argv[-1]}")
        words = spec.argv[-1].split()
        if words[0] == "executor":
            run.process = self._spawn(self.machine, spec)
            run.process.on_end.append(lambda: self._executor_ended(run))
            run.term_s = None
        elif words[0] == "work":
            status = int(self.random.random() < float(words[2]))
            seconds = self.random.expovariate(1 / float(words[1]))
            run.end = self.world.after(seconds, self._ended, run, status << 8)
        else:
            term = words[5] if len(words) > 5 else "0.05"
            run.term_s = None if term == "never" else float(term)
            seconds, status = duration_and_status(words)
            run.end = self.world.after(seconds, self._ended, run, status << 8)
        return run.pid

    def signal(self, container_id: str, number: int) -> bool:
        """Signal a container."""
        run = self.runs.get(container_id)
        if run is None or run.exit is not None:
            return False
        if number == _SIGKILL:
            self._kill(run)
        elif number == _SIGTERM and run.term_s is not None:
            self.world.after(run.term_s, self._ended, run, _SIGTERM)
        return True

    def forget(self, container_id: str) -> None:
        """The end of a container is known to whom it concerns."""
        run = self.runs.get(container_id)
        if run is not None and run.exit is not None:
            del self.runs[container_id]

    def attach(self, client: Containers) -> None:
        """There is a new client, in place of the one before."""
        self.client = client
        for run in list(self.runs.values()):
            if run.exit is not None:
                client.hear(run.exit)

    def detach(self, client: Containers) -> None:
        """The client has gone; what was tied to it ends."""
        if self.client is client:
            self.client = None
        for run in list(self.runs.values()):
            if run.client is client:
                self._kill(run)

    def crash_some(self, portion: float) -> None:
        """Some containers are killed by something else, such as a kernel that is out of memory."""
        for run in list(self.runs.values()):
            if run.exit is None and self.random.random() < portion:
                self._ended(run, _SIGKILL)

    # ── what happens ──────────────────────────────────────────────────────────────────────────────
    def _kill(self, run: Run) -> None:
        self.world.after(_KILL_S, self._ended, run, _SIGKILL)

    def _ended(self, run: Run, status: int | None, message: str = "") -> None:
        if run.exit is not None or self.runs.get(run.spec.container_id) is not run:
            return
        if status is not None and not self.machine.up:  # it went down with its machine
            return
        if self.away and status is not None:  # nobody sees it; the next launcher finds it gone
            run.end = None
            self._observer.ends(run.spec, status, seen=False)
            return
        if run.end is not None:
            run.end.cancel()
        run.exit = Exit(
            container_id=run.spec.container_id, status=status, ended_s=self.machine.wall(), message=message
        )
        self.world.tell(self.machine.name, f"container {run.spec.container_id} ended: {status} {message}")
        self._observer.ends(run.spec, status, seen=True)
        if run.process is not None and run.process.alive:
            run.process.kill(f"its container ended: {message}")
        if self.client is not None:
            self.client.hear(run.exit)

    def _executor_ended(self, run: Run) -> None:
        if self.machine.up:  # else nobody sees it
            self._ended(run, 0)

    def die(self) -> None:
        """The launcher is killed; its containers are not."""
        if not self.away:
            self.away = True
            self.world.tell(self.machine.name, "the launcher died")
            self.world.after(_NEXT_S * self.random.uniform(0.2, 1.5), self._next, self.machine.boots)

    async def back(self, process: Process) -> None:
        """Wait until there is a launcher again."""
        there: asyncio.Future[None] = process.loop.create_future()
        self._awaited.append((process, there))
        await there

    def _next(self, boots: int) -> None:
        if boots == self.machine.boots and self.machine.up:
            self._take_over("its launcher died")

    def reboot(self) -> None:
        """The machine was booted."""
        self._take_over("the machine was rebooted")

    def _take_over(self, why: str) -> None:
        self.away = False
        self.world.tell(self.machine.name, f"a new launcher: {why}")
        awaited, self._awaited = self._awaited, []
        for process, there in awaited:
            process.loop.deliver(_tell, there)
        for run in list(self.runs.values()):
            if run.exit is None:
                self._ended(run, None, why)


def _tell(there: asyncio.Future[None]) -> None:
    if not there.done():
        there.set_result(None)


class Containers:
    """The client of a launcher, in one agent's process: a `Containerizer`."""

    def __init__(self, process: Process, launcher: Launcher, on_exit: Callable[[Exit], None]) -> None:
        self._process = process
        self._launcher = launcher
        self._on_exit = on_exit
        self._told: set[str] = set()
        process.on_end.append(lambda: launcher.detach(self))

    def hear(self, exit: Exit) -> None:
        """A container has ended."""
        if exit.container_id not in self._told:
            self._told.add(exit.container_id)
            self._process.loop.deliver(self._on_exit, exit)

    async def recover(self) -> list[Container]:
        """See `Containerizer.recover`."""
        await self._answered()
        self._launcher.attach(self)
        return [
            Container(container_id=name, pid=run.pid, launched_s=run.launched_s, exit=run.exit)
            for name, run in self._launcher.runs.items()
        ]

    async def launch(self, spec: LaunchSpec) -> int:
        """See `Containerizer.launch`."""
        await self._answered()
        if self._launcher.random.random() < self._launcher.failing:
            raise LaunchFailed("program", "a fault of the simulation")
        pid = self._launcher.launch(spec, self)
        # The launcher may die between doing it and telling; asked again the next one tells the pid.
        await self._answered()
        return pid

    async def signal(self, container_id: str, signum: int) -> bool:
        """See `Containerizer.signal`."""
        await self._answered()
        return self._launcher.signal(container_id, signum)

    async def destroy(self, container_id: str) -> bool:
        """See `Containerizer.destroy`."""
        return await self.signal(container_id, _SIGKILL)

    def forget(self, container_id: str) -> None:
        """See `Containerizer.forget`."""
        self._process.loop.create_task(self._forget(container_id))

    async def _forget(self, container_id: str) -> None:
        await self._answered()
        self._launcher.forget(container_id)
        self._told.discard(container_id)

    async def _answered(self) -> None:
        await asyncio.sleep(_REQUEST_S)
        if self._launcher.away:
            await self._launcher.back(self._process)
