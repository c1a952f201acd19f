"""Agents of a study: each runs what the master sends it for as long as the task says, and tells how it went.

They say what real ones say (`koinon.mesos.internal`). Of each task an agent reports TASK_RUNNING, and TASK_FINISHED when
the first has been acknowledged; TASK_STARTING is left out, as nothing depends on it. When its machine fails, an agent falls
silent and what ran is lost; the master finds out by itself. Repaired, it comes back under its id, without tasks.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from koinon import MESOS_VERSION
from koinon.master.core import events
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState
from koinon.simulator.study.description import NAMES, Amounts, Group

if TYPE_CHECKING:
    from koinon.simulator.study.cluster import Cluster

_CAPABILITIES = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"]
_PORT = 5051
_EXECUTOR = v1.TaskStatus.Source.SOURCE_EXECUTOR
_KNOWN_MAX = 10_000
_AT = {name: at for at, name in enumerate(NAMES)}


def amounts_of(resources: list[v1.Resource]) -> Amounts:
    """The four that studies know, of resources as they stand in messages."""
    found = [0, 0, 0, 0]
    for resource in resources:
        if resource.scalar is not None:
            found[_AT[resource.name]] += round(resource.scalar.value * 1000)
    return Amounts(*found)


class Reader:
    """Reads resources of tasks, which are the same few lists over and over, each only once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[list[v1.Resource], Amounts]] = {}

    def of(self, resources: list[v1.Resource]) -> Amounts:
        """As `amounts_of`."""
        known = self._known.get(id(resources))
        if known is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            # Kept with the list itself: while it is there no other has its identity.
            known = self._known[id(resources)] = resources, amounts_of(resources)
        return known[1]


class Common:
    """What the agents of a group have in common; they share it."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.resources = Resources.parse(group.resources.text()).to_v1()
        self.attributes = [
            v1.Attribute(name=name, type=v1.Value.Type.TEXT, text=v1.Value.Text(value))
            for name, value in group.attributes.items()
        ]


class _Run:
    """A task on an agent."""

    __slots__ = ("amounts", "framework_id", "latest", "lives", "pending", "task_id")

    def __init__(self, framework_id: str, task_id: v1.TaskID, amounts: Amounts) -> None:
        self.framework_id = framework_id
        self.task_id = task_id
        self.amounts = amounts
        self.lives = True  #: it runs
        self.latest = TaskState.TASK_RUNNING
        self.pending: list[v1.TaskStatus] = []  #: updates that are not acknowledged; the first one was sent


class Agent:
    """One agent."""

    __slots__ = ("_cluster", "_failures", "_index", "_runs", "channel", "common", "id", "up", "used")

    def __init__(self, cluster: Cluster, common: Common, index: int) -> None:
        self.common = common
        self.id: v1.AgentID | None = None
        self.channel = ""
        self.up = True
        self._cluster = cluster
        self._index = index  #: in its group
        self._runs: dict[tuple[str, str], _Run] = {}
        self.used = [0] * len(NAMES)  #: thousandths
        self._failures = 0

    def start(self, _: object = None) -> None:
        """The machine is there: register with the master, and fail some day."""
        self.up = True
        cluster, group = self._cluster, self.common.group
        cluster.measures.agents_up += 1
        cluster.open_channel(self)
        hostname = f"{group.name}-{self._index}"
        info = v1.AgentInfo(
            hostname=hostname,
            port=_PORT,
            resources=self.common.resources,
            attributes=self.common.attributes,
            id=self.id,
        )
        self._say(
            internal.Register(
                agent_info=info,
                pid=f"slave(1)@{hostname}:{_PORT}",
                version=MESOS_VERSION,
                protocol=internal.PROTOCOL,
                capabilities=_CAPABILITIES,
            )
        )
        if group.failures is not None:
            self._failures += 1
            lives_s = self._draw("lives", group.failures.every_s)
            cluster.clock.at(cluster.clock.now + lives_s, self._fail)

    def _draw(self, what: str, mean_s: float) -> float:
        # A stream for each draw, so that more agents or other work do not change when this one fails.
        seed = f"{self._cluster.study.seed}/{what}/{self.common.group.name}/{self._index}/{self._failures}"
        return Random(seed).expovariate(1 / mean_s)

    def _fail(self, _: object) -> None:
        cluster, failures = self._cluster, self.common.group.failures
        assert failures is not None
        self.up = False
        cluster.measures.agents_up -= 1
        cluster.measures.failures += 1
        cluster.drop_channel(self)
        for run in self._runs.values():
            self._free(run)
        self._runs.clear()
        cluster.clock.at(cluster.clock.now + self._draw("repair", failures.repair_s), self.start)

    # ── what the master says ──────────────────────────────────────────────────────────────────────
    def hear(self, letter: tuple[str, internal.MasterMessage]) -> None:
        """A message on a channel; one that was meant for an earlier life is not heard."""
        channel, message = letter
        if channel != self.channel or not self.up:
            return
        kind = message.__class__
        if kind is internal.Acknowledge:
            self._acknowledged(message)  # type: ignore[arg-type]
        elif kind is internal.RunTask:
            self._run(message)  # type: ignore[arg-type]
        elif kind is internal.Ping:
            self._say(_PONG)
        elif kind is internal.Registered:
            self.id = v1.AgentID(message.agent_id)  # type: ignore[union-attr]
        elif kind is not internal.UpdateFramework:
            raise AssertionError(f"an agent of a study does not know what to do about {message}")

    def _run(self, message: internal.RunTask) -> None:
        task, framework_id = message.task, message.framework.id
        assert framework_id is not None
        amounts = self._cluster.amounts.of(task.resources)
        run = _Run(framework_id.value, task.task_id, amounts)
        key = run.framework_id, run.task_id.value
        assert key not in self._runs, f"{key} was sent twice"
        self._runs[key] = run
        used, have = self.used, self.common.group.resources
        for at, amount in enumerate(amounts):
            used[at] += amount
            assert used[at] <= have[at], f"agent {self.id} has {have.text()} and is to run {used}"
        self._cluster.measures.take(run.framework_id, amounts)
        self._update(run, TaskState.TASK_RUNNING)
        assert task.command is not None
        assert task.command.value is not None
        clock = self._cluster.clock
        clock.at(clock.now + float(task.command.value.removeprefix("sleep ")), self._finish, run)

    def _finish(self, run: _Run) -> None:
        if run.lives:
            self._free(run)
            run.latest = TaskState.TASK_FINISHED
            self._update(run, TaskState.TASK_FINISHED)

    def _free(self, run: _Run) -> None:
        if run.lives:
            run.lives = False
            used = self.used
            for at, amount in enumerate(run.amounts):
                used[at] -= amount
            self._cluster.measures.free(run.framework_id, run.amounts)

    # ── updates ───────────────────────────────────────────────────────────────────────────────────
    def _update(self, run: _Run, state: TaskState) -> None:
        cluster = self._cluster
        status = v1.TaskStatus(
            task_id=run.task_id,
            state=state,
            source=_EXECUTOR,
            agent_id=self.id,
            timestamp=cluster.clock.now,
            uuid=cluster.next_uuid(),
        )
        run.pending.append(status)
        if len(run.pending) == 1:
            self._send(run)

    def _send(self, run: _Run) -> None:
        self._say(
            internal.Update(framework_id=run.framework_id, status=run.pending[0], latest_state=run.latest)
        )

    def _acknowledged(self, message: internal.Acknowledge) -> None:
        key = message.framework_id, message.task_id
        run = self._runs.get(key)
        if run is None or not run.pending or run.pending[0].uuid != message.uuid:
            return
        run.pending.pop(0)
        if run.pending:
            self._send(run)
        elif not run.lives:
            del self._runs[key]

    def _say(self, message: internal.AgentMessage) -> None:
        cluster = self._cluster
        cluster.clock.post(cluster.tell, events.AgentSaid(self.channel, message))


_PONG = internal.Pong()
