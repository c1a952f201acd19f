"""Frameworks of a study: they take what they are offered for the tasks that wait, and decline the rest.

They speak the scheduler API as real ones do:

    no task waits          SUPPRESS; the next task that comes makes it REVIVE, not more often than each `revive_s`
    a task of another      REVIVE, too: what was declined for the others may be enough for it
    kind comes
    offers come            ACCEPT of those that tasks fit into, one after the other; DECLINE of all others. What is left
                           is refused for `refuse_s`
    an update comes        ACKNOWLEDGE
    a task is lost         with its agent, or because its offer was void: it waits again, before all others of its kind
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from koinon.master.core import events
from koinon.mesos import v1
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call, Event
from koinon.sdk import framework_info
from koinon.simulator.study import description
from koinon.simulator.study.agents import amounts_of
from koinon.simulator.study.arrivals import Arrival, arrivals
from koinon.simulator.study.description import Amounts, Attributes
from koinon.simulator.study.waiting import Kind, Waiting, Work

if TYPE_CHECKING:
    from koinon.simulator.study.cluster import Cluster

_Type = Call.Type
_Operation = v1.Offer.Operation
#: After these a task does not run, or nobody can tell.
_LOST = frozenset(
    (
        TaskState.TASK_UNREACHABLE,
        TaskState.TASK_GONE,
        TaskState.TASK_DROPPED,
        TaskState.TASK_LOST,
    )
)
#: A workload, and the tasks of it that are to come.
_Source: TypeAlias = tuple[description.Workload, Iterator[Arrival]]


class Framework:
    """One framework."""

    def __init__(self, cluster: Cluster, given: description.Framework) -> None:
        self.name, self.role = given.name, given.role
        self.id: v1.FrameworkID | None = None
        self.waiting = Waiting()
        self.launched: dict[str, Work] = {}  #: by task id
        self.stream = f"stream-{given.name}"
        self._given = given
        self._cluster = cluster
        self._filters = v1.Filters(refuse_seconds=given.refuse_s)
        self._suppressed = True
        self._asks = False  #: a REVIVE is planned
        self._revive_s = -inf  #: not before then
        self._kinds: dict[tuple[str, Amounts], Kind] = {}  #: by workload and amounts
        self._numbers = 0

    def start(self) -> None:
        """Subscribe, and let tasks come."""
        cluster, given = self._cluster, self._given
        needs_gpus = any(kind.gpus for workload in given.workloads for kind in workload.kinds())
        capabilities = [
            "PARTITION_AWARE",
            "RESERVATION_REFINEMENT",
            *(["GPU_RESOURCES"] if needs_gpus else []),
        ]
        info = framework_info(
            self.name,
            roles=[self.role],
            user="study",
            failover_timeout_s=1e9,
            capabilities=capabilities,
            checkpoint=True,
        )
        subscribe = Call.Subscribe(framework_info=info, suppressed_roles=[self.role])
        call = Call(type=_Type.SUBSCRIBE, subscribe=subscribe)
        cluster.clock.post(cluster.tell, events.SchedulerSubscribed(self.stream, call))
        for workload in given.workloads:
            path = f"{given.name}/{workload.name}"
            self._next((workload, arrivals(workload, cluster.study.seed, path, cluster.study.length_s)))

    # ── tasks come ────────────────────────────────────────────────────────────────────────────────
    def _next(self, source: _Source) -> None:
        if (arrival := next(source[1], None)) is not None:
            self._cluster.clock.at(self._cluster.begin_s + arrival.at_s, self._arrive, (source, arrival))

    def _arrive(self, what: tuple[_Source, Arrival]) -> None:
        source, arrival = what
        workload, now, wants = source[0], self._cluster.clock.now, False
        tasks = self._cluster.measures.tasks[self.name, workload.name]
        for amounts, duration_s in arrival.tasks:
            kind = self._kinds.get((workload.name, amounts))
            if kind is None:
                kind = self._kinds[workload.name, amounts] = Kind(amounts, workload.constraints)
            self._numbers += 1
            name = f"{workload.name}.{self._numbers}"
            wants |= self.waiting.put(Work(self._numbers, name, tasks, kind, now, duration_s))
        tasks.arrived += len(arrival.tasks)
        if wants or self._suppressed:
            self._ask()
        self._next(source)

    def _ask(self) -> None:
        """Offers are wanted, of what was refused, too."""
        if self.id is not None and not self._asks:
            self._asks = True
            clock = self._cluster.clock
            clock.at(max(clock.now, self._revive_s), self._revive)

    def _revive(self, _: object) -> None:
        self._asks = False
        if self.waiting:
            self._suppressed = False
            self._revive_s = self._cluster.clock.now + self._given.revive_s
            self._call(_Type.REVIVE)

    # ── what the master says ──────────────────────────────────────────────────────────────────────
    def hear(self, event: Event) -> None:
        """An event on the stream."""
        match event.type:
            case Event.Type.UPDATE:
                assert event.update is not None
                self._update(event.update.status)
            case Event.Type.OFFERS:
                assert event.offers is not None
                self._offers(event.offers.offers)
            case Event.Type.SUBSCRIBED:
                assert event.subscribed is not None
                self.id = event.subscribed.framework_id
                self._cluster.measures.subscribed(self.name, self.id.value)
                self._ask()
            case Event.Type.ERROR:
                raise AssertionError(f"the master ends framework {self.name}: {event.error}")
            case _:
                # HEARTBEAT; RESCIND of offers that were answered already; FAILURE, of which updates tell the rest.
                return

    def _offers(self, offers: list[v1.Offer]) -> None:
        waiting, unused = self.waiting, []
        for offer in offers:
            if waiting and (taken := waiting.take(amounts_of(offer.resources), partial(_attributes, offer))):
                self._launch(offer, taken)
            else:
                unused.append(offer.id)
        if unused:
            self._call(_Type.DECLINE, decline=Call.Decline(offer_ids=unused, filters=self._filters))
        if not waiting and not self._suppressed:
            self._suppressed = True
            self._call(_Type.SUPPRESS)

    def _launch(self, offer: v1.Offer, taken: list[Work]) -> None:
        infos = []
        for work in taken:
            work.launches += 1
            task_id = work.name if work.launches == 1 else f"{work.name}.{work.launches}"
            self.launched[task_id] = work
            infos.append(
                v1.TaskInfo(
                    task_id=v1.TaskID(task_id),
                    name=task_id,
                    agent_id=offer.agent_id,
                    resources=work.kind.resources,
                    command=v1.CommandInfo(value=f"sleep {work.duration_s!r}"),
                )
            )
        operation = _Operation(type=_Operation.Type.LAUNCH, launch=_Operation.Launch(task_infos=infos))
        accept = Call.Accept(offer_ids=[offer.id], operations=[operation], filters=self._filters)
        self._call(_Type.ACCEPT, accept=accept)

    def _update(self, status: v1.TaskStatus) -> None:
        task_id, state = status.task_id.value, status.state
        if status.uuid is not None:
            assert status.agent_id is not None
            acknowledge = Call.Acknowledge(agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid)
            self._call(_Type.ACKNOWLEDGE, acknowledge=acknowledge)
        work = self.launched.get(task_id)
        if work is None:  # it was lost, and waits or runs again under another id
            return
        if state is TaskState.TASK_RUNNING:
            if not work.started:
                work.started = True
                assert status.timestamp is not None
                self._cluster.measures.started(work.tasks, work.arrived_s, status.timestamp)
        elif state is TaskState.TASK_FINISHED:
            del self.launched[task_id]
            work.tasks.finished += 1
        elif state in _LOST:
            del self.launched[task_id]
            work.tasks.lost += 1
            if self.waiting.put_back(work) or self._suppressed:
                self._ask()
        else:
            raise AssertionError(f"task {task_id} of framework {self.name} is {state.name}: {status.message}")

    def _call(self, kind: Call.Type, **body: Any) -> None:
        call = Call(type=kind, framework_id=self.id, **body)
        self._cluster.clock.post(self._cluster.tell, events.SchedulerCalled(self.stream, call))


def _attributes(offer: v1.Offer) -> Attributes:
    return {one.name: one.text.value for one in offer.attributes if one.text is not None}
