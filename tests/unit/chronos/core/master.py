"""A master and its agents, as far as Chronos sees them.

The master knows of tasks what it has launched itself and what agents report when they register; after its failure it asks
none of them, but waits, and says nothing of the tasks of those who have not come back. Agents keep what they know on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from koinon.chronos.core import events as ev
from koinon.mesos import v1

if TYPE_CHECKING:
    from tests.unit.chronos.core.world import World

S = v1.TaskState
TERMINAL = frozenset(
    (S.TASK_FINISHED, S.TASK_FAILED, S.TASK_KILLED, S.TASK_ERROR, S.TASK_DROPPED, S.TASK_GONE, S.TASK_LOST)
)
#: Agents that do not come back to a new master count as out of reach after that.
RETURN_S = 20.0


def status_of(task_id: str, state: v1.TaskState, agent: str, **more: Any) -> v1.TaskStatus:
    return v1.TaskStatus(task_id=v1.TaskID(task_id), state=state, agent_id=v1.AgentID(agent), **more)


class Task(Struct, eq=False):
    """A task as its agent has it."""

    id: str
    job: str
    cpus: float
    state: v1.TaskState = S.TASK_STAGING
    told: list[v1.TaskStatus] = []  #: updates that are not acknowledged, oldest first

    @property
    def over(self) -> bool:
        return self.state in TERMINAL


class AgentNode:
    """A machine. Its tasks run on whether somebody hears it or not."""

    def __init__(self, world: World, id: str, cpus: float) -> None:
        self.world, self.id, self.cpus = world, id, cpus
        self.tasks: dict[str, Task] = {}
        self.connected = False  #: to the master
        self.cut = False  #: nobody can reach it
        self.gone = False
        self.link = 0  #: which connection this is: what is sent over one does not arrive over the next
        self._uuids = 0

    def register(self) -> None:
        """Comes to the master, with all it has; or tries again."""
        if self.gone or self.connected:
            return
        if self.cut or not self.world.master.up:
            self.world.at(self.world.random.uniform(0.2, 2.0), self.register)
            return
        self.connected = True
        self.world.master.registered(self)
        for task in list(self.tasks.values()):
            self._tell(task)

    def cut_off(self) -> None:
        """The connection breaks."""
        if self.connected:
            self.connected = False
            self.link += 1
            self.world.at(self.world.random.uniform(0.2, 2.0), self.register)

    def send(self, do: Callable[[], None]) -> None:
        """The master says something, if this connection lasts so long. Without one it says nothing (`Core.tell`)."""
        if not self.connected:
            return
        link = self.link
        self.world.soon(lambda: do() if link == self.link and self.connected else None)

    def reboot(self) -> None:
        """What ran is lost, what had ended is still told."""
        self.cut_off()
        for task in list(self.tasks.values()):
            if not task.over:
                if self.world.random.random() < 0.5:
                    self._move(task, S.TASK_FAILED)
                else:  # not even its name was on the disk yet
                    del self.tasks[task.id]

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────
    def launch(self, task_id: str, job: str, cpus: float) -> None:
        assert task_id not in self.tasks, f"launched twice: {task_id}"
        task = self.tasks[task_id] = Task(task_id, job, cpus)
        self.world.at(self.world.latency_s(), lambda: self._start(task))

    def _start(self, task: Task) -> None:
        if task.over or self.gone or task.id not in self.tasks:
            return
        self.world.started(task)
        self._move(task, S.TASK_STARTING)
        self._move(task, S.TASK_RUNNING)
        self.world.at(self.world.duration_s(task.job), lambda: self._finish(task))

    def _finish(self, task: Task) -> None:
        if task.over or self.gone or task.id not in self.tasks:
            return
        attempt = int(task.id.split(":")[2])
        fate = self.world.fate(task.job, attempt)
        if fate is S.TASK_FINISHED:
            self.world.completed(task)
        self._move(task, fate)

    def kill(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is not None and not task.over:
            self.world.at(0.2, lambda: None if task.over or self.gone else self._move(task, S.TASK_KILLED))

    def _move(self, task: Task, state: v1.TaskState) -> None:
        task.state = state
        self._uuids += 1
        uuid = f"{self.id}-{self._uuids}".encode().ljust(16, b"-")
        message = "Command exited with status 3" if state is S.TASK_FAILED else None
        task.told.append(status_of(task.id, state, self.id, uuid=uuid, message=message))
        if len(task.told) == 1:
            self._tell(task)

    def _tell(self, task: Task) -> None:
        """The oldest update that nobody has acknowledged, again and again."""
        if self.connected and task.told:
            status = task.told[0]
            self.world.soon(lambda: self.world.master.update(self, status))
            self.world.at(3.0, lambda: self._tell(task) if task.told and task.told[0] is status else None)

    def acknowledged(self, task_id: str, uuid: bytes | None) -> None:
        task = self.tasks.get(task_id)
        if task is not None and task.told and task.told[0].uuid == uuid:
            del task.told[0]
            if not task.told and task.over:
                del self.tasks[task.id]
            else:
                self._tell(task)


class Master:
    """The leading master; after `fail` it is another one, which knows less."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.up = True
        self.suppressed = False
        self.agents: dict[str, AgentNode] = {}  #: registered
        self.recovered: set[str] = set()  #: known to the registry, and not back yet
        self.unreachable: set[str] = set()
        self.gone: set[str] = set()
        self.tasks: dict[str, dict[str, Task | None]] = {}  #: by agent; None: launched, and not heard of
        self.states: dict[str, v1.TaskState] = {}  #: as told last
        self.cpus: dict[str, float] = {}  #: of tasks that nothing was heard of
        self.offers: dict[str, str] = {}  #: agent by offer
        self.refused: dict[str, float] = {}  #: by agent: not offered before
        self._numbers = 0

    # ── faults ────────────────────────────────────────────────────────────────────────────────────
    def fail(self, seconds: float) -> None:
        """It dies; another one leads after so long."""
        if not self.up:
            return
        self.up = False
        self.world.disconnect()
        known = {*self.agents, *self.recovered}
        for agent in list(self.agents.values()):
            agent.cut_off()
        self.agents, self.recovered = {}, known
        self.tasks, self.states, self.cpus, self.offers, self.refused = {}, {}, {}, {}, {}
        self.world.at(seconds, self._lead)

    def _lead(self) -> None:
        self.up = True
        for agent_id in sorted(self.recovered):
            self.world.at(RETURN_S, lambda agent_id=agent_id: self._give_up(agent_id))  # type: ignore[misc]

    def _give_up(self, agent_id: str) -> None:
        if self.up and agent_id in self.recovered:
            self.recovered.discard(agent_id)
            self.unreachable.add(agent_id)

    def lose(self, agent: AgentNode) -> None:
        """It cannot be reached any more, and its tasks count so."""
        agent.cut = True
        agent.cut_off()
        if self.agents.pop(agent.id, None) is None:
            return
        self.unreachable.add(agent.id)
        self._rescind(agent.id)
        for task_id in sorted(self.tasks.pop(agent.id, {})):
            if self.states.get(task_id) not in TERMINAL:
                self._say(task_id, S.TASK_UNREACHABLE, agent.id)

    def mark_gone(self, agent: AgentNode) -> None:
        """An operator says that it never comes back."""
        agent.gone, agent.connected = True, False
        for known in (self.recovered, self.unreachable):
            known.discard(agent.id)
        self.agents.pop(agent.id, None)
        self.gone.add(agent.id)
        self._rescind(agent.id)
        for task_id in sorted({*self.tasks.pop(agent.id, {}), *agent.tasks}):
            self._say(task_id, S.TASK_GONE_BY_OPERATOR, agent.id)
        agent.tasks.clear()

    # ── agents ────────────────────────────────────────────────────────────────────────────────────
    def registered(self, agent: AgentNode) -> None:
        """Its tasks are known from now on; those that it should have and has not are missing."""
        was_away = agent.id in self.unreachable
        for known in (self.recovered, self.unreachable):
            known.discard(agent.id)
        self.agents[agent.id] = agent
        had = self.tasks.get(agent.id, {})
        self.tasks[agent.id] = dict(agent.tasks)
        for task_id, task in had.items():
            if task_id not in agent.tasks and self.states.get(task_id) not in TERMINAL:
                self._say(task_id, S.TASK_DROPPED if task is None else S.TASK_GONE, agent.id)
        for task in agent.tasks.values():
            if was_away and task.state is S.TASK_RUNNING:
                self._say(task.id, task.state, agent.id)
        self._offer()

    def update(self, agent: AgentNode, status: v1.TaskStatus) -> None:
        task_id = status.task_id.value
        task = agent.tasks.get(task_id)
        if not self.up or agent.id not in self.agents or not agent.connected or task is None:
            return
        self.tasks[agent.id][task_id] = task
        self.states[task_id] = status.state
        self.world.hear(ev.Updated(status))

    # ── Chronos ───────────────────────────────────────────────────────────────────────────────────
    def subscribed(self) -> None:
        self.suppressed = False
        self.refused.clear()
        self.offers.clear()
        self.world.at(0.05, self._offer)

    def disconnected(self) -> None:
        self.offers.clear()

    def revive(self) -> None:
        self.suppressed = False
        self.refused.clear()
        self._offer()

    def suppress(self) -> None:
        self.suppressed = True

    def _offer(self) -> None:
        if not self.up or not self.world.subscribed or self.suppressed:
            return
        made = []
        for agent in self.agents.values():
            free = agent.cpus - self._used(agent)
            taken = agent.id in self.offers.values() or self.refused.get(agent.id, 0) > self.world.time
            if free > 0.05 and not taken:
                self._numbers += 1
                offer_id = f"O{self._numbers}"
                self.offers[offer_id] = agent.id
                made.append(_offer(offer_id, agent.id, free))
        if made:
            self.world.hear(ev.Offered(made))

    def _used(self, agent: AgentNode) -> float:
        known = self.tasks.get(agent.id, {})
        return sum(
            self.cpus.get(task_id, 0.0) if task is None else task.cpus
            for task_id, task in known.items()
            if self.states.get(task_id) not in TERMINAL
        )

    def _rescind(self, agent_id: str) -> None:
        for offer_id, of_agent in list(self.offers.items()):
            if of_agent == agent_id:
                del self.offers[offer_id]
                self.world.hear(ev.Rescinded(offer_id))

    def decline(self, offer_ids: Sequence[str], refuse_s: float) -> None:
        for offer_id in offer_ids:
            agent_id = self.offers.pop(offer_id, None)
            if agent_id is not None:
                self.refused[agent_id] = self.world.time + refuse_s
                self.world.at(refuse_s + 0.01, self._offer)

    def accept(self, effect: ev.Accept) -> None:
        offer_ids = [one.value for one in effect.offer_ids]
        agents = {self.offers.get(one, "") for one in offer_ids}
        agent = self.agents.get(agents.pop()) if len(agents) == 1 else None
        assert effect.operations[0].launch is not None
        for info in effect.operations[0].launch.task_infos:
            task_id = info.task_id.value
            cpus = sum(one.scalar.value for one in info.resources if one.scalar is not None)
            if agent is None:
                self._say(task_id, S.TASK_DROPPED, info.agent_id.value)
                continue
            self.tasks[agent.id][task_id] = None
            self.states[task_id] = S.TASK_STAGING
            self.cpus[task_id] = cpus
            agent.send(lambda task_id=task_id, name=info.name, cpus=cpus: agent.launch(task_id, name, cpus))  # type: ignore[misc]
        self.decline(offer_ids, effect.refuse_s)

    def kill(self, task_id: str) -> None:
        for agent in self.agents.values():
            if task_id in self.tasks[agent.id]:
                agent.send(lambda agent=agent: agent.kill(task_id))  # type: ignore[misc]

    def acknowledge(self, status: v1.TaskStatus) -> None:
        assert status.agent_id is not None
        agent = self.agents.get(status.agent_id.value)
        if agent is None:
            return
        if status.state in TERMINAL:
            self.tasks[agent.id].pop(status.task_id.value, None)
            self.world.soon(self._offer)
        agent.send(lambda: agent.acknowledged(status.task_id.value, status.uuid))

    def reconcile(self, asked: dict[str, str | None]) -> None:
        if not asked:
            asked = {task_id: agent_id for agent_id, of in self.tasks.items() for task_id in of}
        for task_id, agent_id in asked.items():
            assert agent_id is not None
            answer = self._answer(task_id, agent_id)
            if answer is not None:
                self._say(task_id, answer, agent_id)
            else:  # the SDK asks until it is answered
                self.world.at(
                    2.0, lambda one=(task_id, agent_id): self.world.call(lambda: self.reconcile(dict([one])))
                )  # type: ignore[misc]

    def _answer(self, task_id: str, agent_id: str) -> v1.TaskState | None:
        if agent_id in self.agents:
            if task_id in self.tasks[agent_id]:
                return self.states.get(task_id, S.TASK_STAGING)
            return S.TASK_GONE
        if agent_id in self.unreachable:
            return S.TASK_UNREACHABLE
        if agent_id in self.gone:
            return S.TASK_GONE_BY_OPERATOR
        return None if agent_id in self.recovered else S.TASK_UNKNOWN

    def _say(self, task_id: str, state: v1.TaskState, agent_id: str) -> None:
        reason = v1.TaskStatus.Reason.REASON_RECONCILIATION
        self.world.hear(ev.Updated(status_of(task_id, state, agent_id, reason=reason)))


def _offer(offer_id: str, agent_id: str, cpus: float) -> v1.Offer:
    return v1.Offer(
        id=v1.OfferID(offer_id),
        framework_id=v1.FrameworkID("F-1"),
        agent_id=v1.AgentID(agent_id),
        hostname=f"host-{agent_id}",
        resources=[v1.Resource(name="cpus", type=v1.Value.Type.SCALAR, scalar=v1.Value.Scalar(cpus))],
    )
