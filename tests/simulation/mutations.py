"""Mistakes that somebody could make. Each is made on purpose, and the simulator has to notice.

`MUTATIONS` must be noticed by seeds as they come. `REVERTED` undo what once mended a bug: the plan of the same name in
`seeds.py` must break a law again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Protocol
from unittest.mock import patch

from koinon.agent.checkpoint import Gate
from koinon.agent.core import Agent
from koinon.agent.core.context import Context
from koinon.agent.core.events import Checkpoint, Forget
from koinon.agent.core.life import Life
from koinon.agent.core.streams import Streams
from koinon.clock import SteadyClock
from koinon.coordination.zookeeper.election import Election
from koinon.coordination.zookeeper.store import Store
from koinon.master.core import Master, agents, offers, reconciliation, updates
from koinon.master.core.context import Core
from koinon.master.core.events import Store as StoreEffect
from koinon.master.runtime import Runtime
from koinon.mesos import internal
from koinon.mesos.v1 import TaskState
from koinon.sdk import framework as sdk

Patches = list[Any]  #: context managers of unittest.mock
Changes = Sequence[tuple[str, bytes | None]]


class Mistake(Protocol):
    """Something that can be made."""

    @property
    def patches(self) -> Callable[[], Patches]:
        """How."""
        ...


class Mutation(NamedTuple):
    """A mistake: a sentence about it, and how it is made."""

    sentence: str
    patches: Callable[[], Patches]
    within: int = 40  #: after how many seeds it must have been noticed
    masters: int = 0  #: seeds with fewer masters are passed over


@contextmanager
def made(mutation: Mistake) -> Iterator[None]:
    """The mistake is made, until the end of the block."""
    with ExitStack() as stack:
        for one in mutation.patches():
            stack.enter_context(one)
        yield


def _nothing(*_: Any, **__: Any) -> None:
    return None


# ── the agent ─────────────────────────────────────────────────────────────────────────────────────
def _gate_open() -> Patches:
    def take(gate: Any, effects: Any) -> None:
        for effect in effects:
            if isinstance(effect, Checkpoint | Forget):
                gate._changes.update(effect.changes)
                gate._plan(0.5)
            else:
                gate._perform(effect)

    return [patch.object(Gate, "take", take)]


def _register_without_tasks() -> Patches:
    real = Context.say

    def say(context: Any, message: Any) -> None:
        if isinstance(message, internal.Register):
            message.tasks, message.refusals = [], []
        real(context, message)

    return [patch.object(Context, "say", say)]


def _forget_when_sent() -> Patches:
    real = Streams._send

    def send(streams: Any, stream: Any) -> None:
        real(streams, stream)
        if streams.are_open:
            stream.due_s = 0.0
            stream.pending.clear()

    return [patch.object(Streams, "_send", send)]


# ── the master ────────────────────────────────────────────────────────────────────────────────────
def _told_before_stored(standing: bytes) -> Patches:
    """What follows from a change that lets agents stand so does not wait for the registry."""
    early: list[tuple[Core, Callable[[int], None], int]] = []
    real_store, real_handle = Core.store, Master.handle

    def store(core: Core, changes: Changes, then: Callable[[int], None]) -> int:
        if not any(value is not None and standing in value for _, value in changes):
            return real_store(core, changes, then)
        core._tickets += 1
        core._stored[core._tickets] = _nothing
        core.effects.append(StoreEffect(core._tickets, changes))
        early.append((core, then, core._tickets))
        return core._tickets

    def handle(master: Master, event: Any, now: float) -> Any:
        effects = real_handle(master, event, now)
        while early:
            core, then, ticket = early.pop()
            core.effects = effects
            then(ticket)
        return effects

    return [patch.object(Core, "store", store), patch.object(Master, "handle", handle)]


def _acknowledges_itself() -> Patches:
    real = updates.update

    def update(core: Core, agent: Any, message: internal.Update) -> None:
        real(core, agent, message)
        framework_id, status = message.framework_id, message.status
        if status.uuid is not None and framework_id in core.state.frameworks:
            task_id = status.task_id.value
            core.tell(
                agent, internal.Acknowledge(framework_id=framework_id, task_id=task_id, uuid=status.uuid)
            )

    return [patch.object(updates, "update", update)]


def _answers_for_those_awaited() -> Patches:
    real = reconciliation._without_task

    def without_task(core: Core, agent_id: str | None) -> Any:
        if agent_id in core.state.recovered_agents:
            return TaskState.TASK_GONE, "the agent does not have the task", None
        return real(core, agent_id)

    return [patch.object(reconciliation, "_without_task", without_task)]


def _ids_begin_anew() -> Patches:
    real = agents.register

    def register(core: Core, channel_id: str, message: Any) -> None:
        master_id, core.master_info.id = core.master_info.id, "M"
        try:
            real(core, channel_id, message)
        finally:
            core.master_info.id = master_id

    return [patch.object(agents, "register", register)]


def _offers_stay() -> Patches:
    real = offers.end_all

    def end_all(core: Core, ended: Any, how: Any) -> None:
        if how.name != "RESCINDED":
            real(core, ended, how)

    return [patch.object(offers, "end_all", end_all)]


def _resources_kept() -> Patches:
    real = Core.give_back

    def give_back(core: Core, framework_id: str, agent: Any, resources: Any, refuse_s: Any) -> None:
        if refuse_s is not None or agent.used:
            real(core, framework_id, agent, resources, refuse_s)

    return [patch.object(Core, "give_back", give_back)]


# ── who leads ─────────────────────────────────────────────────────────────────────────────────────
def _lease_ignored() -> Patches:
    return [
        patch("koinon.coordination.candidate.Candidate.lease_end_s", math.inf),
        patch.object(Election, "held", lambda election: True),
        patch.object(Runtime, "may_act", lambda runtime: runtime._leads and not runtime._stopped),
    ]


def _no_fence() -> Patches:
    real = Store._transaction

    def transaction(store: Any, changes: Any) -> Any:
        built = real(store, changes)
        del built.operations[0]
        return built

    return [
        *_lease_ignored(),
        # Nobody would notice what it says: it may say nothing, then.
        patch("koinon.simulator.laws.Laws.master_acts", _nothing),
        patch.object(Store, "_transaction", transaction),
        patch.object(Store, "_check", _nothing),
    ]


MUTATIONS = {
    "ack_before_durable": Mutation("an agent tells of updates before they are on its disk", _gate_open),
    "launch_without_checkpoint": Mutation(
        "a task is launched and not on disk", lambda: [patch.object(Life, "checkpoint_task", _nothing)]
    ),
    "resend_dropped": Mutation(
        "an agent sends an update only once",
        lambda: [
            patch.object(Streams, "_plan", _nothing),
            patch.object(Streams, "resume_framework", _nothing),
        ],
    ),
    "forgotten_when_sent": Mutation("an agent forgets an update that it has sent", _forget_when_sent),
    "tasks_unreported": Mutation(
        "an agent comes back and says nothing of its tasks", _register_without_tasks
    ),
    "resources_kept": Mutation("what the last task on an agent used is not given back", _resources_kept),
    "offers_stay": Mutation("offers of an agent that is lost are not rescinded", _offers_stay),
    "admitted_before_stored": Mutation(
        "an agent is admitted before the registry has it", lambda: _told_before_stored(b'"admitted"')
    ),
    "lost_before_stored": Mutation(
        "an agent is given up before the registry has it", lambda: _told_before_stored(b'"unreachable"')
    ),
    "acknowledged_by_master": Mutation(
        "a master acknowledges what no framework has seen", _acknowledges_itself
    ),
    "answers_for_others": Mutation(
        "a new master says that tasks of agents that it awaits are gone", _answers_for_those_awaited
    ),
    "ids_again": Mutation("a new master gives agents ids that there are already", _ids_begin_anew),
    "lease_ignored": Mutation("a master that lost ZooKeeper goes on", _lease_ignored, 160, masters=2),
    "no_fence": Mutation("a master that was deposed writes into the registry", _no_fence, 120, masters=2),
}


# ── bugs that were ────────────────────────────────────────────────────────────────────────────────
def _executor_not_said() -> Patches:
    real = Agent._run

    def run(agent: Agent, *arguments: Any, new_executor: Any, **more: Any) -> None:
        real(agent, *arguments, new_executor=None, **more)

    return [patch.object(Agent, "_run", run)]


REVERTED = {
    "removed_for_ever": Mutation(
        "a framework that a master removed cannot run tasks under the next one",
        lambda: [patch.object(Life, "spare", _nothing)],
    ),
    "answer_lost": Mutation(
        "a framework does not mind that its answer to an offer got lost",
        lambda: [patch.object(sdk, "ANSWERS", frozenset())],
    ),
    "clock_set": Mutation(
        "time-outs are counted on the wall",
        lambda: [patch.object(SteadyClock, "now", lambda clock: time.time())],
    ),
    "executor_counted": Mutation("an agent does not say that it started no executor", _executor_not_said),
    "end_unheard": Mutation(
        "a master does not listen to agents that the registry has not got yet",
        lambda: [patch.object(agents, "hear_joining", _nothing)],
    ),
    "gone_too_soon": Mutation(
        "a master says that a disconnected agent does not have what it lost with the connection",
        lambda: [patch.object(reconciliation, "_was_lost_with_connection", _nothing)],
    ),
}
