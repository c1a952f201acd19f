"""A batch: one command, run as many instances, each a task of its own. Pure: offers and updates in, tasks out.

    WAITING ──placed──▶ STAGING ──▶ STARTING ──▶ RUNNING ──▶ FINISHED · FAILED · KILLED · LOST · …
       ▲                   │
       └──never arrived────┘

An instance is started once and never again: what becomes of it is told, not repaired. But one that never arrived at an
agent, because the master went away in between, was not started.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from msgspec import Struct

from koinon.cli.tasks import TERMINAL
from koinon.mesos.v1 import (
    AgentID,
    CommandInfo,
    Environment,
    Offer,
    Resource,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
    Value,
)

#: How often an instance is placed anew when it does not arrive.
_ATTEMPTS_MAX = 5
#: Exit status of an instance that ended otherwise than by its own exit.
NO_STATUS = 1

_EXITED = re.compile(r"exited with status (\d+)")
_SIGNALLED = re.compile(r"terminated with signal ([^:]+)")
_SIGNALS = {str(signal.strsignal(one)).lower(): int(one) for one in signal.valid_signals()} | {
    one.name.lower(): int(one) for one in signal.Signals
}


class Spec(Struct, frozen=True, kw_only=True):
    """What is to run."""

    name: str
    command: str
    instances: int
    resources: dict[str, float]  #: cpus, gpus; mem and disk in MB
    env: dict[str, str] = {}
    user: str | None = None


class Instance(Struct, kw_only=True):
    """One run of the command."""

    index: int
    task_id: str
    state: str = "WAITING"
    agent_id: str = ""
    hostname: str = ""
    address: str = ""  #: of its agent, `ip:port`
    message: str = ""
    exit_status: int | None = None  #: None until it ended
    attempts: int = 0  #: how often it was placed
    started_s: float | None = None
    ended_s: float | None = None

    @property
    def placed(self) -> bool:
        """Was it sent to an agent?"""
        return self.state != "WAITING"

    @property
    def ended(self) -> bool:
        """Will nothing more come of it?"""
        return self.exit_status is not None


class Batch:
    """The instances of a batch, from waiting to ended."""

    def __init__(self, spec: Spec, run_id: str) -> None:
        self.spec = spec
        self.instances = [
            Instance(index=index, task_id=f"{spec.name}-{run_id}.{index}") for index in range(spec.instances)
        ]
        self._by_task_id = {instance.task_id: instance for instance in self.instances}
        self._strays: set[str] = set()
        self._waiting = self.instances[::-1]
        self._open = spec.instances

    # ── placing ───────────────────────────────────────────────────────────────────────────────────
    @property
    def waiting(self) -> int:
        """How many instances wait for an offer."""
        return len(self._waiting)

    def place(self, offers: Sequence[Offer]) -> list[tuple[Offer, list[TaskInfo]]]:
        """Tasks to launch on each of the offers; an empty list declines it.

        Instances spread: the next one goes to the offer that got the fewest so far.
        """
        placed: list[tuple[Offer, list[TaskInfo]]] = [(offer, []) for offer in offers]
        left = [_Left(offer.resources) for offer in offers]
        order = [(0, at) for at in range(len(offers))]
        heapify(order)
        while self._waiting and order:
            count, at = heappop(order)
            taken = left[at].take(self.spec.resources)
            if taken is None:
                continue
            offer, tasks = placed[at]
            tasks.append(self._task(self._waiting.pop(), offer, taken))
            heappush(order, (count + 1, at))
        return placed

    def _task(self, instance: Instance, offer: Offer, resources: list[Resource]) -> TaskInfo:
        instance.state = "STAGING"
        instance.attempts += 1
        instance.agent_id = offer.agent_id.value
        instance.hostname = offer.hostname
        if offer.url is not None and offer.url.address is not None:
            instance.address = (
                f"{offer.url.address.ip or offer.url.address.hostname}:{offer.url.address.port}"
            )
        env = {
            **self.spec.env,
            "KOINON_INDEX": str(instance.index),
            "KOINON_COUNT": str(self.spec.instances),
            "KOINON_TASK_ID": instance.task_id,
        }
        variables = [Environment.Variable(name=name, value=value) for name, value in env.items()]
        return TaskInfo(
            name=self.spec.name,
            task_id=TaskID(instance.task_id),
            agent_id=AgentID(instance.agent_id),
            resources=resources,
            command=CommandInfo(
                value=self.spec.command, user=self.spec.user, environment=Environment(variables=variables)
            ),
        )

    # ── what becomes of them ──────────────────────────────────────────────────────────────────────
    def update(self, status: TaskStatus) -> Instance | None:
        """The instance that `status` is about, brought up to date; None for one that is not ours."""
        instance = self._by_task_id.get(status.task_id.value)
        if instance is None or instance.ended:
            return instance
        if instance.state == "STAGING" and _never_arrived(status) and instance.attempts < _ATTEMPTS_MAX:
            self._place_anew(instance)
            return instance
        instance.state = status.state.value.removeprefix("TASK_")
        instance.message = status.message or ""
        if status.state is TaskState.TASK_RUNNING and instance.started_s is None:
            instance.started_s = status.timestamp
        if _is_terminal(status):
            instance.ended_s = status.timestamp
            instance.exit_status = exit_status_of(status)
            self._open -= 1
        return instance

    def _place_anew(self, instance: Instance) -> None:
        """Under another id: should the first one turn up somewhere, it can be told apart."""
        self._strays.add(instance.task_id)
        del self._by_task_id[instance.task_id]
        name, _, index = instance.task_id.rpartition(".")
        instance.task_id = f"{name}.{index.partition('-')[0]}-{instance.attempts + 1}"
        self._by_task_id[instance.task_id] = instance
        instance.state = "WAITING"
        instance.agent_id = instance.hostname = instance.address = ""
        self._waiting.append(instance)

    def is_stray(self, status: TaskStatus) -> bool:
        """Does a task run that another one has taken the place of?"""
        return status.task_id.value in self._strays and not _is_terminal(status)

    def give_up_waiting(self) -> None:
        """End the instances that were never placed."""
        for instance in self._waiting:
            instance.state, instance.exit_status, instance.message = "KILLED", NO_STATUS, "Never started"
        self._open -= len(self._waiting)
        self._waiting.clear()

    @property
    def alive(self) -> list[Instance]:
        """Instances that were placed and have not ended."""
        return [instance for instance in self.instances if instance.placed and not instance.ended]

    @property
    def done(self) -> bool:
        """Have all instances ended?"""
        return self._open == 0

    @property
    def exit_status(self) -> int:
        """0 if all instances ended with 0, else the status of the first (by index) that did not."""
        return next((one.exit_status for one in self.instances if one.exit_status), 0)

    def counts(self) -> dict[str, int]:
        """How many instances are in each state."""
        counts: dict[str, int] = {}
        for instance in self.instances:
            counts[instance.state] = counts.get(instance.state, 0) + 1
        return counts

    def summary(self, framework_id: str) -> dict[str, Any]:
        """The batch for programs."""
        return {
            "name": self.spec.name,
            "framework_id": framework_id,
            "exit_status": self.exit_status,
            "counts": self.counts(),
            "instances": [
                {
                    "index": one.index,
                    "task_id": one.task_id,
                    "state": one.state,
                    "exit_status": one.exit_status,
                    "message": one.message,
                    "agent_id": one.agent_id,
                    "hostname": one.hostname,
                    "started": one.started_s,
                    "ended": one.ended_s,
                }
                for one in self.instances
            ],
        }


def _is_terminal(status: TaskStatus) -> bool:
    return status.state.value.removeprefix("TASK_") in TERMINAL


def _never_arrived(status: TaskStatus) -> bool:
    """Said of a task of which no agent has ever told anything: has none ever had it?"""
    # What an agent takes it tells of, and goes on telling until we have acknowledged it.
    return status.state is TaskState.TASK_DROPPED or (
        status.state is TaskState.TASK_GONE and status.reason is TaskStatus.Reason.REASON_RECONCILIATION
    )


def is_echo(status: TaskStatus) -> bool:
    """Is this a master's answer that the task has ended, where its agent says more about it: the exit status?"""
    return (
        status.reason is TaskStatus.Reason.REASON_RECONCILIATION
        and status.uuid is None
        and status.state in (TaskState.TASK_FINISHED, TaskState.TASK_FAILED, TaskState.TASK_KILLED)
    )


def exit_status_of(status: TaskStatus) -> int:
    """Exit status of a task that ended so, as a shell counts: 128 + n after signal n."""
    if status.state is TaskState.TASK_FINISHED:
        return 0
    return exit_status_in(status.message or "") or NO_STATUS


def exit_status_in(sentence: str) -> int | None:
    """The exit status that the sentence tells, as a shell counts; None if it tells none."""
    if exited := _EXITED.search(sentence):
        return int(exited[1])
    if signalled := _SIGNALLED.search(sentence):
        number = _SIGNALS.get(signalled[1].strip().rstrip(".").lower())
        return None if number is None else 128 + number
    return None


class _Left:
    """What is left of an offer while tasks are taken out of it; amounts in thousandths."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        #: Plain scalars only: no one else's volumes, nothing that may be revoked.
        self._pieces = [
            (resource, round(resource.scalar.value * 1000))
            for resource in resources
            if resource.scalar is not None
            and resource.disk is None
            and resource.revocable is None
            and resource.shared is None
        ]
        # What is reserved for the role goes first: nobody else could use it.
        self._pieces.sort(key=lambda piece: not piece[0].reservations)

    def take(self, wanted: dict[str, float]) -> list[Resource] | None:
        """Resources of these amounts; None, and nothing taken, if there is not enough."""
        pieces = list(self._pieces)
        taken = []
        for name, amount in wanted.items():
            missing = round(amount * 1000)
            for at, (resource, left) in enumerate(pieces):
                if resource.name == name and left and missing:
                    part = min(left, missing)
                    pieces[at] = (resource, left - part)
                    missing -= part
                    taken.append(_scalar(resource, part / 1000))
            if missing:
                return None
        self._pieces = pieces
        return taken


def _scalar(resource: Resource, amount: float) -> Resource:
    return Resource(
        name=resource.name,
        type=Value.Type.SCALAR,
        scalar=Value.Scalar(amount),
        role=resource.role,
        reservations=resource.reservations,
        allocation_info=resource.allocation_info,
        provider_id=resource.provider_id,
    )
