"""The laws of Chronos, as far as they are judged from what programs really did on agents' machines.

- *One completed start for each window.* While a task of a window runs, or when one has completed, no other is started for it,
  unless nobody can know of the first any more: its agent is gone for good, or its end was seen by nobody.
- *One at a time*, but for jobs that may overlap.
- *Only what is due*: a task of a schedule is for one of its slots; one of a child for a window in which a task of each
  parent has completed.
- *Only the newest leads*: after a Chronos has begun to lead, none of an older epoch believes that it may act.

What is accepted and what must have come of it in the end is in `promises.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from koinon.agent.launching import LaunchSpec
from koinon.chronos.core import events as chronos
from koinon.chronos.model import ids
from koinon.master.core.state import Standing
from koinon.simulator.chronoses import ChronosNode
from koinon.simulator.laws import Laws
from koinon.simulator.machines import Machine
from koinon.simulator.plan import JobPlan
from koinon.simulator.world import World

#: What may be known again.
_THERE = (Standing.ADMITTED, Standing.UNREACHABLE)


class Accepted(Struct):
    """A job that was told to be there."""

    plan: JobPlan
    first_ms: int  #: its first slot
    since_s: float = math.inf  #: when that was accepted

    def is_slot(self, due_ms: int) -> bool:
        """Is that one of its due times?"""
        # A cron job has no beginning: when a clock is set back, minutes come that were over when it was defined.
        begins = self.plan.cron or due_ms >= self.first_ms
        return begins and not (due_ms - self.first_ms) % (1000 * self.plan.period_s)


class MadeUp(Struct):
    """A run that stands for all slots from one to another: it has succeeded for them, or they were given up."""

    first_ms: int
    last_ms: int
    told_s: float  #: when that was told to the history


class Attempt(Struct, eq=False):
    """A task that was started."""

    task_id: str
    job: str
    window: str  #: the slot, or what a run by hand was given
    machine: Machine
    boots: int
    agent_id: str
    status: int | None = None
    ended: bool = False
    ended_s: float = 0.0
    seen: bool = True  #: a launcher knows how it ended

    @property
    def lives(self) -> bool:
        """Does it run?"""
        return not self.ended and self.machine.up and self.machine.boots == self.boots

    @property
    def completed(self) -> bool:
        """Has it done its work?"""
        return self.ended and self.status == 0


class ChronosLaws(Laws):
    """Judges clusters with Chronoses, too."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.jobs: dict[str, Accepted] = {}  #: what clients have asked for, whether it was accepted or not
        #: Tasks that were started, by job and by what they are for: a slot, or a run by hand.
        self.attempts: dict[str, dict[str, list[Attempt]]] = {}
        self.made_up: dict[str, dict[str, MadeUp]] = {}  #: by job and run, as Chronos has it
        self._windows: dict[str, int] = {}  #: of tasks of children, as Chronos has it
        self._running: dict[str, Attempt] = {}  #: by container
        self._chronos_epoch = 0

    # ── what programs do ──────────────────────────────────────────────────────────────────────────
    def runs(self, machine: Machine, spec: LaunchSpec) -> None:
        """See `Observer`."""
        super().runs(machine, spec)
        name = spec.env.get("CHRONOS_JOB_NAME")
        agent = self.cluster.agents[machine.name].core
        if name is None or agent is None:
            return
        task_id = spec.env["MESOS_TASK_ID"]
        place = ids.parse_task(task_id)
        words = spec.argv[-1].split()
        window = words[3] if len(words) > 3 else str(self._windows.get(task_id, place.due_ms))
        attempt = Attempt(task_id, name, window, machine, machine.boots, agent.state.agent_id)
        of_job = self.attempts.setdefault(name, {})
        self._check_start(self.jobs[name], attempt, place.due_ms, by_hand=len(words) > 3)
        of_job.setdefault(window, []).append(attempt)
        self._running[spec.container_id] = attempt

    def ends(self, spec: LaunchSpec, status: int | None, *, seen: bool) -> None:
        """See `Observer`."""
        attempt = self._running.pop(spec.container_id, None)
        if attempt is not None and attempt.lives:
            attempt.status, attempt.ended, attempt.seen = status, True, seen
            attempt.ended_s = self._world.now

    def _check_start(self, job: Accepted, attempt: Attempt, due_ms: int, *, by_hand: bool) -> None:
        if job.plan.period_s and not by_hand and not job.is_slot(due_ms):
            text = f"{attempt.task_id} is started, and {due_ms} is no due time of {job.plan.name}"
            self._world.accuse("only what is due", text, attempt.task_id)
        for parent in job.plan.parents:
            if not any(self.completed(parent, attempt.window)):
                text = f"{attempt.task_id} is started for {attempt.window}, in which no task of {parent} has completed"
                self._world.accuse("only what is due", text, parent, attempt.job)
        of_job = self.attempts.get(job.plan.name, {})
        for other in of_job.get(attempt.window, ()):
            if (other.lives or other.completed) and not self._is_lost(other):
                what = "runs" if other.lives else "has completed"
                text = f"{attempt.task_id} is started on {attempt.machine.name}, and {other.task_id} on {other.machine.name} {what}"
                self._world.accuse("one start completes for each window", text, job.plan.name)
        if job.plan.overlap != "allow":
            for other in self._running.values():
                if other.job == attempt.job and other.lives and not self._is_lost(other):
                    text = f"{attempt.task_id} is started, and {other.task_id} runs on {other.machine.name}"
                    self._world.accuse("one at a time", text, attempt.job)

    def _is_lost(self, attempt: Attempt) -> bool:
        """Can nobody know what it did?"""
        return not attempt.seen or self.registry.standing(attempt.agent_id) not in _THERE

    def completed(self, name: str, window: str) -> Iterator[Attempt]:
        """Tasks of a window that have completed."""
        return (one for one in self.attempts.get(name, {}).get(window, ()) if one.completed)

    # ── what Chronoses do ─────────────────────────────────────────────────────────────────────────
    def chronos_handled(
        self, node: ChronosNode, event: chronos.Event, effects: Sequence[chronos.Effect]
    ) -> None:
        """See `Observer`."""
        assert node.chronos is not None
        if isinstance(event, chronos.Loaded):
            epoch = node.chronos.leadership.epoch
            if epoch <= self._chronos_epoch:
                text = f"{node.name} begins epoch {epoch} after {self._chronos_epoch}"
                self._world.accuse("only the newest leads", text, node.name)
            self._chronos_epoch = epoch
        for effect in effects:
            match effect:
                case chronos.Accept(operations=operations):
                    known = node.chronos.runtime.core.state.runs
                    for operation in operations:
                        for task in operation.launch.task_infos if operation.launch is not None else ():
                            run = known[task.task_id.value]
                            if run.trigger == "parent":
                                self._windows[run.id] = run.window_ms
                case chronos.Record(runs):
                    for run in runs:
                        if run.state == "succeeded" or run.reason == "missed":
                            last_ms = max(run.due_ms, run.through_ms)
                            found = MadeUp(run.due_ms, last_ms, self._world.now)
                            self.made_up.setdefault(run.job, {}).setdefault(run.id, found)

    def chronos_acts(self, node: ChronosNode, epoch: int) -> None:
        """See `Observer`."""
        if epoch < self._chronos_epoch:
            text = f"{node.name} may act in epoch {epoch}, and {self._chronos_epoch} has begun"
            self._world.accuse("only the newest leads", text, node.name)
