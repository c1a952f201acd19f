"""The laws of the first act: what must be true whatever goes wrong.

- *One leader acts*: after a master has begun to lead, none of an older epoch sends anything.
- *The registry keeps what was promised.* What a master was told to be stored is there for the next one; what was not
  stored nobody has heard of; nothing comes from a master after the next one has loaded.
- *Histories are true.* A framework hears of a task only after it launched it, in states that may follow each other; the
  end comes once, and after it the task does not run.
- *Nothing runs twice*: each task is started once, and agents and leader agree on what holds resources.
- *An update is kept until its framework has acknowledged it.*
- *Ids belong to one agent*, for ever; and an agent obeys no master of an epoch that it knows to be over.
- *Nobody is given up too early*: a framework has its failover timeout, an agent the time of its pings, whatever clocks on
  the wall show.
- *Nothing runs unrecorded*: a program that outlives its agent is on the agent's disk before it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from koinon.agent.core import events as agent
from koinon.agent.core.tables import TASK_MOVES, AgentState, ExecutorState
from koinon.agent.launching import LaunchSpec
from koinon.master.core import events as master
from koinon.master.core.checks import Broken
from koinon.master.core.state import Framework, Standing
from koinon.master.core.tables import HOLDING
from koinon.mesos import internal, v1
from koinon.mesos.resources import ResourceError, Resources
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from koinon.simulator.disk import AGENT_FILE
from koinon.simulator.machines import Machine
from koinon.simulator.registry import AGENTS, RegistryStory
from koinon.simulator.world import World

if TYPE_CHECKING:
    from koinon.chronos.core import events as chronos
    from koinon.simulator.agents import AgentNode
    from koinon.simulator.chronoses import ChronosNode
    from koinon.simulator.cluster import Cluster
    from koinon.simulator.frameworks import FrameworkNode
    from koinon.simulator.machines import Process
    from koinon.simulator.masters import MasterNode

_Reason = v1.TaskStatus.Reason
_Source = v1.TaskStatus.Source
#: After these, told to a framework, nothing else is true of a task for ever.
_FINAL = TERMINAL - {TaskState.TASK_LOST}
#: What a master answers that does not know a task, perhaps no more.
_IGNORANCE = frozenset(
    (
        TaskState.TASK_GONE,
        TaskState.TASK_GONE_BY_OPERATOR,
        TaskState.TASK_UNREACHABLE,
        TaskState.TASK_UNKNOWN,
        TaskState.TASK_LOST,
    )
)
#: Clocks do not run exactly as fast as each other.
_EARLY = 0.9

#: What a framework hears of a task from its agent.
_MOVES: dict[TaskState | None, frozenset[TaskState]] = {
    None: frozenset(TaskState) - {TaskState.TASK_STAGING},
    **dict(TASK_MOVES.items()),
}


def is_answer(status: v1.TaskStatus) -> bool:
    """Does it answer a question? Then it tells the newest state, whatever is still on its way."""
    return status.source is _Source.SOURCE_MASTER and (status.message or "").startswith("Reconciliation")


class TaskStory(Struct):
    """What is known of a task, by who knows everything."""

    task_id: str
    framework: str
    agent_id: str
    starts: int = 0  #: how often an agent had its container started
    #: Updates of its agent that the framework heard, by uuid, and the newest of them.
    heard: dict[bytes, TaskState] = {}
    newest: TaskState | None = None
    acknowledged: set[bytes] = set()
    final: TaskState | None = None


class Laws:
    """Judges. See `Observer` for what it is told."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.registry = RegistryStory(world)
        self.tasks: dict[str, TaskStory] = {}
        self.owners: dict[str, str] = {}  #: which node has which agent id
        self._epoch = 0  #: the newest that a master began
        self._began_s = 0.0  #: when it did
        self._left: dict[str, float] = {}  #: when each subscription ended, by its framework
        self._silent: dict[str, float] = {}  #: when each agent last answered a ping of who leads
        self._obeyed: dict[str, int] = {}  #: the newest epoch that each process of an agent obeyed
        self.cluster: Cluster

    # ── masters ───────────────────────────────────────────────────────────────────────────────────
    def master_handled(self, node: MasterNode, event: master.Event, effects: Sequence[master.Effect]) -> None:
        """See `Observer`."""
        process = node.process
        assert process is not None
        if isinstance(event, master.RegistryLoaded):
            self._began(node, event.epoch)
            self.registry.loaded(process, dict(event.entries))
            self._left.clear()
            self._silent.clear()
        elif isinstance(event, master.RegistryStored):
            self.registry.stored(process, event.ticket)
        elif isinstance(event, master.AgentSaid) and isinstance(
            event.message, internal.Pong | internal.Register
        ):
            self._answered(node, event)
        for effect in effects:
            match effect:
                case master.Store(ticket, changes):
                    self.registry.asked(process, ticket, changes)
                    self._given_up(node, changes)
                case master.SendToAgent(_, internal.Registered(agent_id=agent_id)):
                    self._promised(agent_id, (Standing.ADMITTED,), "was admitted")
                case master.Announce(master.FrameworkUpdated(framework)) if not framework.connected:
                    self._left[framework.id] = self._world.now
                case master.Announce(master.FrameworkRemoved(framework)):
                    self._removed(framework)
                case master.SendEvent(_, sent) if sent.update is not None:
                    self._told(sent.update.status)
                case master.SendEvent(_, sent) if sent.failure is not None:
                    failure = sent.failure
                    if failure.executor_id is None and failure.agent_id is not None:
                        gone = (Standing.UNREACHABLE, Standing.GONE, None)
                        self._promised(failure.agent_id.value, gone, "was said to be lost")

    def _answered(self, node: MasterNode, event: master.AgentSaid) -> None:
        assert node.core is not None
        for agent_id, known in node.core.state.agents.items():
            if known.channel_id == event.channel_id:
                self._silent[agent_id] = self._world.now

    def _given_up(self, node: MasterNode, changes: Sequence[tuple[str, bytes | None]]) -> None:
        """Agents are to be unreachable: have they been silent for long enough?"""
        config = node.config
        patience_s = min(
            config.agent_ping_timeout_s * config.max_agent_ping_timeouts, config.agent_reregister_timeout_s
        )
        for key, value in changes:
            agent_id = key.removeprefix(AGENTS)
            if value is None or agent_id == key or b'"unreachable"' not in value:
                continue
            since_s = self._silent.get(agent_id, self._began_s)
            if self._world.now - since_s < _EARLY * patience_s:
                silent_s = self._world.now - since_s
                text = f"agent {agent_id} is given up after {silent_s:.3f} s, and has {patience_s:g} s"
                self._world.accuse("nobody is given up too early", text, agent_id)

    def _removed(self, framework: Framework) -> None:
        """A framework is removed: did somebody want that, or was it away for long enough?"""
        if framework.decisions and framework.decisions[-1].code == "torn_down":
            return
        away_s = self._world.now - self._left.get(framework.id, self._world.now)
        if away_s < _EARLY * framework.info.failover_timeout:
            text = f"{framework.id} is removed after {away_s:.3f} s, and has {framework.info.failover_timeout:g} s"
            self._world.accuse("nobody is given up too early", text, framework.id)

    def _began(self, node: MasterNode, epoch: int) -> None:
        if epoch and epoch <= self._epoch:
            self._world.accuse("one leader acts", f"{node.name} begins epoch {epoch} after {self._epoch}")
        self._epoch = epoch
        self._began_s = self._world.now

    def master_acts(self, node: MasterNode) -> None:
        """See `Observer`."""
        if node.core is not None and node.core.state.epoch < self._epoch:
            text = f"{node.name} acts in epoch {node.core.state.epoch}, and {self._epoch} has begun"
            self._world.accuse("one leader acts", text, node.name)

    def _told(self, status: v1.TaskStatus) -> None:
        if status.source is not _Source.SOURCE_MASTER or status.agent_id is None:
            return
        agent_id = status.agent_id.value
        if status.state is TaskState.TASK_GONE_BY_OPERATOR:
            self._promised(agent_id, (Standing.GONE,), "was said to be gone")
        elif status.reason is _Reason.REASON_AGENT_REMOVED:
            self._promised(agent_id, (Standing.UNREACHABLE, Standing.GONE, None), "was said to be removed")

    def _promised(self, agent_id: str, expected: tuple[Standing | None, ...], what: str) -> None:
        standing = self.registry.standing(agent_id)
        if standing not in expected:
            self._world.accuse(
                "durable before visible",
                f"agent {agent_id} {what}, and the registry has {standing}",
                agent_id,
            )

    # ── agents ────────────────────────────────────────────────────────────────────────────────────
    def agent_handled(self, node: AgentNode, event: agent.Event, effects: Sequence[agent.Effect]) -> None:
        """See `Observer`."""
        assert node.core is not None
        if isinstance(event, agent.MasterSaid):
            match event.message:
                case internal.Registered(agent_id=agent_id, epoch=epoch):
                    self._owns(node, agent_id)
                    self._obeys(node, epoch)
                case internal.Acknowledge(task_id=task_id, uuid=uuid):
                    task = self.tasks.get(task_id)
                    if task is not None and uuid not in task.acknowledged:
                        text = f"{node.name} heard that {uuid.hex()} of {task_id} is acknowledged, which it is not"
                        self._world.accuse("updates are kept", text, task_id)
        for effect in effects:
            if isinstance(effect, agent.LaunchContainer):
                place = node.core.state.containers[effect.container_id]
                if place.task_id:
                    self._starts(node.name, place.task_id)

    def _owns(self, node: AgentNode, agent_id: str) -> None:
        owner = self.owners.setdefault(agent_id, node.name)
        if owner != node.name:
            text = f"{node.name} was given the id {agent_id} of {owner}"
            self._world.accuse("ids belong to one agent", text, agent_id)

    def _obeys(self, node: AgentNode, epoch: int) -> None:
        assert node.core is not None
        assert node.process is not None
        if node.core.state.state is not AgentState.REGISTERED:
            return
        if epoch < self._obeyed.get(node.process.name, 0):
            self._world.accuse("no old epochs", f"{node.name} obeys epoch {epoch}", node.name)
        self._obeyed[node.process.name] = epoch

    def runs(self, machine: Machine, spec: LaunchSpec) -> None:
        """See `Observer`."""
        if spec.tied:
            return
        wanted = spec.container_id.encode()
        recorded = any(
            wanted in value
            for key, value in machine.disk.file(AGENT_FILE).items()
            if key.startswith(("tasks/", "executors/"))
        )
        if not recorded:
            text = f"{machine.name} runs {spec.container_id}, and no record of it is on its disk"
            self._world.accuse("nothing runs unrecorded", text, spec.container_id)

    def ends(self, spec: LaunchSpec, status: int | None, *, seen: bool) -> None:
        """See `Observer`."""

    def begins(self, process: Process, task_id: str) -> None:
        """See `Observer`."""
        self._starts(process.name, task_id)

    def _starts(self, who: str, task_id: str) -> None:
        if (task := self.tasks.get(task_id)) is not None:
            task.starts += 1
            if task.starts > 1:
                self._world.accuse("nothing runs twice", f"{who} starts {task_id} a second time", task_id)

    # ── frameworks ────────────────────────────────────────────────────────────────────────────────
    def launched(self, node: FrameworkNode, task: v1.TaskInfo) -> None:
        """See `Observer`."""
        task_id = task.task_id.value
        self.tasks[task_id] = TaskStory(task_id, node.name, task.agent_id.value)

    def heard(self, node: FrameworkNode, status: v1.TaskStatus) -> None:
        """See `Observer`."""
        task_id, state = status.task_id.value, status.state
        task = self.tasks.get(task_id)
        if task is None or task.framework != node.name:
            self._world.accuse(
                "true histories", f"{node.name} hears of {task_id}, which it never launched", task_id
            )
        if (
            status.uuid in task.heard
        ):  # at least once: an agent that was killed may not know that it was heard
            if task.heard[status.uuid] is not state:
                self._world.accuse("true histories", f"an update of {task_id} has changed", task_id)
            return
        if status.uuid is not None:
            if state not in _MOVES[task.newest]:
                text = f"the agent of {task_id} told {task.newest}, and now {state}"
                self._world.accuse("true histories", text, task_id)
            task.heard[status.uuid] = state
            task.newest = state
        allowed = task.final is None or state is task.final or (is_answer(status) and state in _IGNORANCE)
        if not allowed:
            text = f"{task_id} was {task.final and task.final.name} for ever, and is {state.name} now"
            self._world.accuse("true histories", text, task_id)
        if state in _FINAL:
            if not is_answer(status):
                task.final = state
            if state is not TaskState.TASK_GONE_BY_OPERATOR and (where := self._lives(task_id)) is not None:
                text = f"{task_id} was said to be {state.name}, but {where} has it"
                self._world.accuse("true histories", text, task_id)

    def acknowledged(self, node: FrameworkNode, status: v1.TaskStatus) -> None:
        """See `Observer`."""
        assert status.uuid is not None
        if (task := self.tasks.get(status.task_id.value)) is not None:
            task.acknowledged.add(status.uuid)

    def refused(self, node: FrameworkNode, call: str, error: str) -> None:
        """See `Observer`."""
        self._world.tell(node.name, f"{call} came to nothing: {error}")

    # ── Chronoses: see `ChronosLaws` ──────────────────────────────────────────────────────────────
    def chronos_handled(
        self, node: ChronosNode, event: chronos.Event, effects: Sequence[chronos.Effect]
    ) -> None:
        """See `Observer`."""

    def chronos_acts(self, node: ChronosNode, epoch: int) -> None:
        """See `Observer`."""

    def _lives(self, task_id: str) -> str | None:
        """Which agent has the task, not ended."""
        for node in self.cluster.agents.values():
            if node.core is None:
                continue
            for framework in node.core.state.frameworks.values():
                task = framework.tasks.get(task_id)
                if task is not None and not task.terminal and not framework.terminating:
                    return node.name
        return None

    # ── everything, from time to time ─────────────────────────────────────────────────────────────
    def look(self) -> None:
        """Compares what masters and agents believe. Raises Violation."""
        for node in self.cluster.masters.values():
            if node.core is not None and node.core.state.recovered:
                try:
                    node.core.check()
                except Broken as broken:
                    self._world.accuse("the master's books", str(broken))
                for one in self.cluster.agents.values():
                    self._compare(node, one)

    def _compare(self, node: MasterNode, agent_node: AgentNode) -> None:
        """What lives on a connected agent holds resources at the master; all of it fits."""
        assert node.core is not None
        core = agent_node.core
        known = None if core is None else node.core.state.agents.get(core.state.agent_id)
        if core is None or known is None or not node.is_connected_with(known.channel_id, agent_node.process):
            return
        if core.state.session is None or core.state.state is not AgentState.REGISTERED:
            return
        held: list[Resources] = [offer.resources for offer in known.offers.values()]
        for framework in core.state.frameworks.values():
            if framework.terminating or framework.framework_id not in node.core.state.frameworks:
                continue
            believed = known.tasks.get(framework.framework_id, {})
            for executor in framework.executors.values():
                if executor.state is not ExecutorState.TERMINATED:
                    held.append(executor.resources)
            for task in framework.tasks.values():
                if task.terminal:
                    continue
                held.append(task.resources)
                at_master = believed.get(task.task_id)
                if at_master is None or at_master.state not in HOLDING:
                    state = None if at_master is None else at_master.state
                    text = f"{agent_node.name} has {task.task_id} {task.state.name}, and {node.name} {state}"
                    self._world.accuse("nothing is used twice", text, task.task_id)
        everything = Resources.sum(one.unallocated() for one in held)
        try:
            known.total - everything
        except ResourceError:
            text = f"of {agent_node.name} {everything.format()} is used or offered; it has {known.total.format()}"
            self._world.accuse("nothing is used twice", text, core.state.agent_id)
