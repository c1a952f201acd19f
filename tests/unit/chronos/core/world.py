"""A small world around Chronos's core: a store, a history, a master with agents, a clock; in memory, and all under one seed.

Everything takes its time, so everything can be cut off on its way. What Chronos and the master say to each other belongs to a
*session*, which ends when either of them dies; what an agent has done it tells until it is heard. The world keeps its own
book of what tasks really did (`starts`, `completions`): the laws are held against that, not against what Chronos believes.

Faults are methods, which tests and `chaos` call.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

import msgspec
from msgspec import Struct

from koinon.chronos.core import Chronos, Config
from koinon.chronos.core import events as ev
from koinon.chronos.model import Job, Run, ids
from koinon.mesos import v1
from tests.unit.chronos.core.master import AgentNode, Master, Task, status_of

S = v1.TaskState
START_S = 1_900_000_000.0
ENDS = (S.TASK_FINISHED, S.TASK_FAILED, S.TASK_KILLED)


class Place:
    """What is left of an agent's offers: so many cpus."""

    def __init__(self, offer: v1.Offer) -> None:
        self.agent_id = offer.agent_id.value
        self.hostname = offer.hostname
        self.cpus = 0.0
        self.add(offer)

    def add(self, offer: v1.Offer) -> None:
        self.cpus += sum(one.scalar.value for one in offer.resources if one.scalar is not None)

    def place(self, job: Job, run: Run) -> v1.TaskInfo | str:
        if job.cpus > self.cpus + 1e-9:
            return f"{job.cpus} cpus needed, {self.cpus} offered"
        self.cpus -= job.cpus
        return v1.TaskInfo(
            name=job.name,
            task_id=v1.TaskID(run.id),
            agent_id=v1.AgentID(self.agent_id),
            resources=[v1.Resource(name="cpus", type=v1.Value.Type.SCALAR, scalar=v1.Value.Scalar(job.cpus))],
        )


class Happened(Struct, frozen=True):
    """Something that a task really did."""

    at: float
    job: str
    due_ms: int
    attempt: int
    window_ms: int = 0  #: as Chronos stored it with its intent


class World:
    """Everything around one leading core."""

    def __init__(
        self, *jobs: Job, agents: int = 2, cpus: float = 4.0, seed: int = 1, config: Config | None = None
    ):
        self.random = Random(seed)
        self.config = config or Config(failure_retry_s=5.0)
        self.time = START_S
        self.clock_off_s = 0.0  #: of the machine that leads
        self.store: dict[str, bytes] = {}
        self.history: dict[str, Run] = {}
        self.notices: list[ev.Notify] = []
        self.starts: list[Happened] = []
        self.completions: list[Happened] = []
        self.intents: dict[str, int] = {}  #: windows by task id, in the order in which launches left Chronos
        self.duration_s: Callable[[str], float] = lambda job: 1.0
        #: What becomes of a task that has run its time.
        self.fate: Callable[[str, int], v1.TaskState] = lambda job, attempt: S.TASK_FINISHED
        self.latency_s: Callable[[], float] = lambda: 0.01
        self.storing_s: Callable[[], float] = lambda: 0.005
        self.dies_within: Callable[[], bool] = lambda: False  #: Chronos, between two effects
        self.session = 0
        self.subscribed = False
        self.generation = 0
        self.alive = False
        self._happenings: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._written_at = 0.0
        self._ticks_at = float("inf")
        self.master = Master(self)
        self.agents = {f"S{i}": AgentNode(self, f"S{i}", cpus) for i in range(agents)}
        for agent in self.agents.values():
            self.at(0.01, agent.register)
        self.lead()
        self.run(1.0)
        if jobs:
            self.tell(ev.ChangeJobs(put=jobs))

    @property
    def now(self) -> float:
        """As the clock on the wall of the leading machine has it."""
        return self.time + self.clock_off_s

    # ── time ──────────────────────────────────────────────────────────────────────────────────────
    def at(self, delay_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._happenings, (self.time + delay_s, next(self._count), do))

    def soon(self, do: Callable[[], None]) -> None:
        """After the time that a message takes."""
        self.at(self.latency_s(), do)

    def run(self, seconds: float) -> None:
        end = self.time + seconds
        while self._step(end):
            pass
        self.time = end

    def until(self, condition: Callable[[], bool], seconds: float = 3600.0) -> None:
        end = self.time + seconds
        while not condition():
            assert self._step(end), f"not within {seconds} s"

    def _step(self, end: float) -> bool:
        next_s = self._happenings[0][0] if self._happenings else float("inf")
        wakeup = self.core.next_wakeup(self.time, self.now) if self.alive else float("inf")
        tick_s = max(wakeup, self.time) + 0.001
        if min(next_s, tick_s) > end:
            return False
        if next_s <= tick_s:
            self.time = max(self.time, next_s)
            heapq.heappop(self._happenings)[2]()
        else:
            self.time = tick_s
            self.tell(ev.ClockTicked())
        return True

    # ── Chronos ───────────────────────────────────────────────────────────────────────────────────
    def lead(self, clock_off_s: float = 0.0) -> None:
        """A new leader takes over from what is stored."""
        self.crash()
        self.generation += 1
        self.alive = True
        self.clock_off_s = clock_off_s
        self.core = Chronos(self.config, room=Place)
        self._written_at = 0.0
        self.tell(ev.Loaded(dict(self.store)))
        self.at(0.1, self._in_generation(self.subscribe))

    def crash(self) -> None:
        """Nothing of Chronos is left but what is stored. What is on its way to the store may arrive."""
        self.alive = False
        self.disconnect()

    def subscribe(self) -> None:
        """The master takes Chronos in, or it tries again."""
        if self.subscribed or not self.alive:
            return
        if not self.master.up:
            self.at(0.5, self._in_generation(self.subscribe))
            return
        self.session += 1
        self.subscribed = True
        self.master.subscribed()
        self.tell(ev.Subscribed("F-1", "master:5050"))

    def disconnect(self) -> None:
        """The session ends; what is on its way is lost."""
        if self.subscribed:
            self.subscribed = False
            self.session += 1
            self.master.disconnected()
            if self.alive:
                self.tell(ev.Disconnected())
                self.at(self.random.uniform(0.05, 2.0), self._in_generation(self.subscribe))

    def tell(self, event: ev.Event) -> None:
        """Hands the event to the core, and does what it says. Raises what it refuses it with."""
        if not self.alive:
            return
        effects = self.core.handle(event, self.time, self.now)
        generation = self.generation
        for effect in effects:
            if self.dies_within():
                self.die()
            if not self.alive or generation != self.generation:
                return
            self._perform(effect)
        self.core.check()
        for name, job in self.core.state.jobs.items():
            active = list(self.core.state.active_of(name))
            assert len(active) <= 1 or job.overlap == "allow", f"{name} runs several times: {active}"

    def set_clock(self, off_s: float) -> None:
        """Of the machine that leads. It is noticed at once."""
        self.clock_off_s = off_s
        self.tell(ev.ClockTicked())

    def die(self) -> None:
        """Chronos dies at once; another one takes over before long."""
        if self.alive:
            self.crash()
            self.at(
                self.random.uniform(0.1, 5.0), lambda: None if self.alive else self.lead(self.clock_off_s)
            )

    def _perform(self, effect: ev.Effect) -> None:
        master = self.master
        match effect:
            case ev.Store(ticket, changes):
                self._store(ticket, list(changes))
            case ev.Notify():
                self.notices.append(effect)
            case ev.Record(runs):
                self._record(list(runs))
            case ev.Accept(_, operations):
                launch = operations[0].launch
                assert launch is not None
                for task in launch.task_infos:
                    self._note_intent(task.task_id.value)
                self.call(lambda: master.accept(effect))
            case ev.Decline():
                self.call(lambda: master.decline([one.value for one in effect.offer_ids], effect.refuse_s))
            case ev.Revive():
                self.call(master.revive)
            case ev.Suppress():
                self.call(master.suppress)
            case ev.Kill(task_id):
                self.call(lambda: master.kill(task_id))
            case ev.Reconcile(tasks):
                self.call(lambda: master.reconcile(dict(tasks)))
            case ev.Acknowledge(status):
                self._assert_stored(status)
                self.call(lambda: master.acknowledge(status))
            case ev.Resign():
                raise AssertionError(effect.reason)

    def call(self, do: Callable[[], None]) -> None:
        """Says something to the master, if this session lasts so long."""
        if self.subscribed:
            session = self.session
            self.soon(lambda: do() if session == self.session else None)

    def hear(self, event: ev.Event) -> None:
        """The master says something, if this session lasts so long."""
        if self.subscribed:
            session = self.session
            self.soon(lambda: self.tell(event) if session == self.session else None)

    def _in_generation(self, do: Callable[[], None]) -> Callable[[], None]:
        generation = self.generation
        return lambda: do() if generation == self.generation else None

    # ── what is stored ────────────────────────────────────────────────────────────────────────────
    def _store(self, ticket: int, changes: list[tuple[str, bytes | None]]) -> None:
        generation = self.generation

        def durable() -> None:
            if generation != self.generation:  # another one leads: the store takes nothing from this one
                return
            for key, value in changes:
                if value is None:
                    self.store.pop(key, None)
                else:
                    self.store[key] = value
            self.tell(ev.Stored(ticket))

        self._written_at = max(self._written_at, self.time + self.storing_s())
        self.at(self._written_at - self.time, durable)

    def _record(self, runs: list[Run]) -> None:
        def recorded() -> None:
            for run in runs:
                known = self.history.setdefault(run.id, run)
                assert known == run, f"{run.id} has ended in two ways: {known} {run}"
            self.tell(ev.Recorded([run.id for run in runs]))

        self.at(self.random.uniform(0.0, 0.5), self._in_generation(recorded))

    def stored_run(self, run_id: str) -> Run | None:
        found = self.store.get(f"runs/{run_id}")
        return None if found is None else msgspec.json.decode(found, type=Run)

    def _note_intent(self, run_id: str) -> None:
        """The intent is durable before the launch leaves, and so is that nothing makes the run due any more."""
        run = self.stored_run(run_id)
        assert run is not None, f"{run_id} leaves before it is stored"
        assert run.is_active or run.has_ended, f"{run_id} leaves as {run.state}"
        assert run_id not in self.intents, f"{run_id} leaves twice"
        self.intents[run_id] = run.window_ms

    def _assert_stored(self, status: v1.TaskStatus) -> None:
        """The end of a task is acknowledged when it is stored: nobody will tell it again."""
        if status.state in ENDS:
            run = self.stored_run(status.task_id.value)
            known = run is None or run.has_ended or run.mesos_state == status.state.value
            assert known, f"{run} is acknowledged too early"

    # ── what tasks really do ──────────────────────────────────────────────────────────────────────
    def started(self, task: Task) -> None:
        self.starts.append(self._happened(task))

    def completed(self, task: Task) -> None:
        """The law: no window has two starts that complete."""
        happened = self._happened(task)
        for one in self.completions:
            is_same = one.due_ms == happened.due_ms or one.window_ms == happened.window_ms != 0
            assert one.job != happened.job or not is_same, (
                f"{happened.job} has completed twice for {happened.due_ms}: {self.story(happened.job)}"
            )
        self.completions.append(happened)

    def _happened(self, task: Task) -> Happened:
        place = ids.parse_task(task.id)
        return Happened(self.time, place.job, place.due_ms, place.attempt, self.intents[task.id])

    # ── looking ───────────────────────────────────────────────────────────────────────────────────
    def job(self, name: str) -> Job:
        return self.core.state.jobs[name]

    def completed_of(self, name: str) -> list[Happened]:
        return [one for one in self.completions if one.job == name]

    def ended_of(self, name: str) -> list[Run]:
        """Runs of a job that are in the history or on their way there, the oldest first."""
        found = [run for run in (self.history | self.core.state.ended).values() if run.job == name]
        return sorted(found, key=lambda run: (run.due_ms, run.attempt))

    def states_of(self, name: str) -> Counter[str]:
        return Counter(run.state for run in self.ended_of(name))

    def is_quiet(self) -> bool:
        """Nothing runs, waits, or is on its way to the history."""
        state = self.core.state
        return self.alive and not state.runs and not state.queue and not state.ended

    def add_agent(self) -> None:
        """A new machine."""
        agent = AgentNode(self, f"S{len(self.agents)}", 4.0)
        self.agents[agent.id] = agent
        agent.register()

    def running(self) -> list[Task]:
        return [task for agent in self.agents.values() for task in agent.tasks.values() if not task.over]

    def update(self, task_id: str, state: v1.TaskState, **more: object) -> None:
        """The master says something of a task, out of the blue."""
        self.tell(ev.Updated(status_of(task_id, state, "S0", **more)))

    def story(self, name: str) -> str:
        told: Iterable[str] = (
            *(f"{run}" for run in self.ended_of(name)),
            *(f"{run}" for run in self.core.state.runs.values() if run.job == name),
            *(f"start {one}" for one in self.starts if one.job == name),
            *(f"completion {one}" for one in self.completions if one.job == name),
            f"{self.core.state.jobs.get(name)}",
        )
        return "\n".join(told)
