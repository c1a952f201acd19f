"""A small world around Marathon's core: a master with agents, a store, a clock; all in memory, and all under one seed.

`World` plays what happens in the order of time. Everything the core says is answered as a real master, store or service
would; faults are methods that tests and `chaos` call. A change of leader throws the core away and makes another one from
what is stored.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from koinon.marathon.core import Config, Marathon
from koinon.marathon.core import events as ev
from koinon.marathon.core.state import TERMINAL as CORE_TERMINAL
from koinon.marathon.model import App, Instance, Pod, Root, ids
from koinon.marathon.model.root import Group
from koinon.mesos import v1
from tests.unit.marathon.matching.offers import offer as make_offer

T = v1.TaskState
START_S = 1_700_000_000.0
TERMINAL = {
    T.TASK_FINISHED,
    T.TASK_FAILED,
    T.TASK_KILLED,
    T.TASK_ERROR,
    T.TASK_DROPPED,
    T.TASK_GONE,
    T.TASK_GONE_BY_OPERATOR,
}


class Task(Struct):
    """A task as the master has it."""

    id: str
    agent: str
    info: v1.TaskInfo
    state: v1.TaskState = T.TASK_STAGING
    told: list[v1.TaskStatus] = []  #: updates that are not acknowledged, oldest first
    kills: int = 0


class Agent(Struct):
    """A machine."""

    id: str
    resources: str
    attributes: str = ""
    reachable: bool = True
    offered: str | None = None  #: the offer that is out


class World:
    """Everything around one leading core."""

    def __init__(
        self,
        *,
        agents: int = 3,
        seed: int = 1,
        config: Config | None = None,
        resources: str = "cpus:16;mem:16384;disk:100000;ports:[31000-32000]",
    ) -> None:
        self.random = Random(seed)
        self.config = config or Config(launch_tokens=10_000, max_instances_per_offer=1000)
        self.now = START_S
        self.store: dict[str, bytes] = {}
        self.written: dict[str, bytes] = {}  #: what is stored, and what is to be stored besides
        self.events: list[ev.Publish] = []
        self.agents = {f"S{i}": Agent(f"S{i}", resources) for i in range(agents)}
        self.tasks: dict[str, Task] = {}
        self.ended: list[Task] = []
        self.probes: dict[str, ev.Probe] = {}
        self.resigned: ev.Resign | None = None
        self.starting_s = 0.5  #: from launch to running
        self.dying_s = 0.5  #: from kill to killed
        self.storing_s = 0.0
        self.subscribed = False
        #: What a new task does once it runs: None: it goes on; else it ends so.
        self.fate: Callable[[v1.TaskInfo], v1.TaskState | None] = lambda info: None
        #: What a probe finds.
        self.probe: Callable[[ev.Probe], bool] = lambda probe: True
        self.refuse_launches = False
        self.watch: Callable[[], None] = lambda: None  #: called after each event
        self._wants_offers: set[str] = set()
        self._declined: dict[str, float] = {}
        self._happenings: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._ids = itertools.count(1)
        self._stored_at = 0.0
        self.generation = 0
        self.lead()

    # ── time ──────────────────────────────────────────────────────────────────────────────────────
    def at(self, delay_s: float, do: Callable[[], None]) -> None:
        """`do` happens after so long."""
        heapq.heappush(self._happenings, (self.now + delay_s, next(self._count), do))

    def run(self, seconds: float = 60.0) -> None:
        """Lets so much time pass."""
        end = self.now + seconds
        while self._step(end):
            pass
        self.now = end

    def until(self, condition: Callable[[], bool], seconds: float = 3600.0) -> None:
        """Lets time pass until the condition holds."""
        end = self.now + seconds
        while not condition():
            assert self._step(end), f"not within {seconds} s: {self.story()}"

    def settle(self, seconds: float = 3600.0) -> None:
        """Until no deployment is under way, and all that follows from that has been told."""
        self.until(lambda: not self.core.state.deployments, seconds)
        self.run(2.0)

    def _step(self, end: float) -> bool:
        wakeup = self.core.next_wakeup(self.now)
        next_s = self._happenings[0][0] if self._happenings else float("inf")
        due = min(next_s, float("inf") if wakeup is None else max(wakeup, self.now))
        if due > end:
            return False
        self.now = max(self.now, due)
        if next_s <= self.now:
            heapq.heappop(self._happenings)[2]()
        else:
            self.now += 0.001
            self.tell(ev.ClockTicked())
        return True

    # ── the core ──────────────────────────────────────────────────────────────────────────────────
    def lead(self) -> None:
        """A new leader takes over from what is stored."""
        self.generation += 1
        self.core = Marathon(self.config, seed=self.random.getrandbits(32))
        self.written = dict(self.store)
        self.probes.clear()
        self.subscribed = False
        self._void_offers()
        self.tell(ev.Loaded(dict(self.store)))
        if self.resigned is None:
            self.at(0.1, self._in_generation(self.subscribe))

    def subscribe(self) -> None:
        """The master takes it in."""
        self._void_offers()
        self._wants_offers = {"*"}
        self.subscribed = True
        self.tell(ev.Subscribed("F-1", "master:5050"))
        for task in list(self.tasks.values()):
            self._deliver(task)
        self.at(0.05, self._in_generation(self._make_offers))

    def disconnect(self) -> None:
        """The master is gone, until `subscribe`."""
        self.subscribed = False
        self._void_offers()
        self.tell(ev.Disconnected())

    def tell(self, event: ev.Event) -> None:
        """Hands the event to the core, and does what it says. Raises what it refuses it with."""
        effects = self.core.handle(event, self.now)
        self.carry_out(effects)
        self.watch()

    def carry_out(self, effects: Iterable[ev.Effect]) -> None:
        """Does as the core says."""
        for effect in effects:
            match effect:
                case ev.Store(ticket, changes):
                    self._store(ticket, changes)
                case ev.Publish():
                    self.events.append(effect)
                case ev.Accept():
                    self._accept(effect)
                case ev.Decline(offer_ids):
                    self._back(offer_ids, effect.refuse_s)
                case ev.Revive():
                    self._wants_offers |= effect.roles
                    self._declined.clear()
                    self._soon_offers()
                case ev.Suppress(roles):
                    self._wants_offers -= roles
                case ev.UseRoles():
                    self._wants_offers = set(effect.roles) - set(effect.suppressed)
                    self._soon_offers()
                case ev.Kill(task_id):
                    self._kill(task_id)
                case ev.Reconcile(tasks):
                    self._reconcile(tasks)
                case ev.Acknowledge(status):
                    self._acknowledge(status)
                case ev.Probe():
                    assert effect.key not in self.probes, f"asked twice: {effect.key}"
                    self.probes[effect.key] = effect
                    self.at(effect.delay_s, lambda effect=effect: self._answer(effect))  # type: ignore[misc]
                case ev.StopProbe(key):
                    self.probes.pop(key, None)
                case ev.Resign():
                    self.resigned = effect

    def _in_generation(self, do: Callable[[], None]) -> Callable[[], None]:
        generation = self.generation
        return lambda: do() if generation == self.generation else None

    def _store(self, ticket: int, changes: Sequence[tuple[str, bytes | None]]) -> None:
        for key, value in changes:
            if value is None:
                self.written.pop(key, None)
            else:
                self.written[key] = value

        def durable() -> None:
            for key, value in changes:
                if value is None:
                    self.store.pop(key, None)
                else:
                    self.store[key] = value
            self.tell(ev.Stored(ticket))

        # One after the other, as they were said.
        self._stored_at = max(self._stored_at, self.now + self.storing_s)
        self.at(self._stored_at - self.now, self._in_generation(durable))

    def _answer(self, probe: ev.Probe) -> None:
        if self.probes.get(probe.key) is probe:
            passed = self.probe(probe)
            self.tell(ev.Probed(probe.key, passed, status=200 if passed else 500))
            self.at(probe.interval_s, lambda: self._answer(probe))

    # ── the master ────────────────────────────────────────────────────────────────────────────────
    def _soon_offers(self) -> None:
        self.at(0.01, self._in_generation(self._make_offers))

    def _make_offers(self) -> None:
        if not self.subscribed or not self._wants_offers:
            return
        made = []
        for agent in self.agents.values():
            if agent.offered is None and agent.reachable and self._declined.get(agent.id, 0) <= self.now:
                agent.offered = f"O{next(self._ids)}"
                busy = [task for task in self.tasks.values() if task.agent == agent.id]
                made.append(self._offer(agent, busy))
        if made:
            self.tell(ev.Offered(made))

    def _offer(self, agent: Agent, busy: Sequence[Task]) -> v1.Offer:
        made = make_offer(
            agent.resources, agent=agent.id, attributes=agent.attributes, id=agent.offered or ""
        )
        used: dict[str, float] = {"cpus": 0.0, "mem": 0.0, "disk": 0.0}
        ports: set[int] = set()
        for task in busy:
            for resource in task.info.resources:
                if resource.scalar is not None:
                    used[resource.name] = used.get(resource.name, 0) + resource.scalar.value
                if resource.ranges is not None:
                    for one in resource.ranges.range:
                        ports.update(range(one.begin, one.end + 1))
        for resource in made.resources:
            if resource.scalar is not None:
                resource.scalar.value = max(0.0, resource.scalar.value - used[resource.name])
            if resource.ranges is not None and ports:
                whole = [p for one in resource.ranges.range for p in range(one.begin, one.end + 1)]
                resource.ranges.range = [v1.Value.Range(begin=p, end=p) for p in whole if p not in ports]
        return made

    def _back(self, offer_ids: Sequence[v1.OfferID], refuse_s: float) -> None:
        names = {one.value for one in offer_ids}
        for agent in self.agents.values():
            if agent.offered in names:
                agent.offered = None
                self._declined[agent.id] = self.now + refuse_s
                self.at(refuse_s + 0.001, self._in_generation(self._make_offers))

    def _void_offers(self) -> None:
        self._declined.clear()
        for agent in self.agents.values():
            agent.offered = None

    def _accept(self, effect: ev.Accept) -> None:
        names = {one.value for one in effect.offer_ids}
        agent = next((one for one in self.agents.values() if one.offered in names), None)
        for operation in effect.operations:
            infos = (
                operation.launch.task_infos if operation.launch else operation.launch_group.task_group.tasks  # type: ignore[union-attr]
            )
            for info in infos:
                assert info.task_id.value not in self.tasks, f"launched twice: {info.task_id.value}"
                if agent is None or self.refuse_launches or not agent.reachable:
                    status = self._status(info.task_id.value, T.TASK_DROPPED, info.agent_id.value)
                    self.at(0.01, self._in_generation(lambda status=status: self.tell(ev.Updated(status))))  # type: ignore[misc]
                    continue
                task = Task(info.task_id.value, agent.id, info)
                self.tasks[task.id] = task
                self.at(0.01, lambda task=task: self.move(task, T.TASK_STARTING))  # type: ignore[misc]
                self.at(self.starting_s, lambda task=task: self._come_up(task))  # type: ignore[misc]
        self._back(effect.offer_ids, effect.refuse_s)

    def _come_up(self, task: Task) -> None:
        if self.tasks.get(task.id) is task and task.state in (T.TASK_STAGING, T.TASK_STARTING):
            self.move(task, T.TASK_RUNNING)
            if (fate := self.fate(task.info)) is not None:
                self.at(0.2, lambda: self.move(task, fate))

    def move(self, task: Task, state: v1.TaskState, *, healthy: bool | None = None, ip: str = "") -> None:
        """The task is in that state from now on."""
        if self.tasks.get(task.id) is not task or not self.agents[task.agent].reachable:
            return
        task.state = state
        status = self._status(task.id, state, task.agent, uuid=True, healthy=healthy)
        if ip:
            address = v1.NetworkInfo.IPAddress(ip_address=ip)
            status.container_status = v1.ContainerStatus(
                network_infos=[v1.NetworkInfo(ip_addresses=[address])]
            )
        task.told.append(status)
        if len(task.told) == 1:
            self._deliver(task)

    def _status(
        self,
        task_id: str,
        state: v1.TaskState,
        agent: str,
        *,
        uuid: bool = False,
        healthy: bool | None = None,
    ) -> v1.TaskStatus:
        return v1.TaskStatus(
            task_id=v1.TaskID(task_id),
            state=state,
            agent_id=v1.AgentID(agent),
            uuid=next(self._ids).to_bytes(16, "big") if uuid else None,
            healthy=healthy,
            timestamp=self.now,
        )

    def _deliver(self, task: Task) -> None:
        if task.told and self.subscribed and self.agents[task.agent].reachable:
            status = task.told[0]
            self.at(0.001, self._in_generation(lambda: self._tell_update(task, status)))
            self.at(10.0, lambda: self._deliver(task) if task.told and task.told[0] is status else None)

    def _tell_update(self, task: Task, status: v1.TaskStatus) -> None:
        if self.subscribed and task.told and task.told[0] is status:
            self.tell(ev.Updated(status))

    def _acknowledge(self, status: v1.TaskStatus) -> None:
        task = self.tasks.get(status.task_id.value)
        if task is None or not task.told or task.told[0].uuid != status.uuid:
            return
        self._assert_known(status)
        del task.told[0]
        if status.state in TERMINAL:
            del self.tasks[task.id]
            self.ended.append(task)
        self._deliver(task)

    def _assert_known(self, status: v1.TaskStatus) -> None:
        """The end of a task is acknowledged when it is stored: nobody will tell it again."""
        place = ids.parse_task(status.task_id.value)
        stored = self.store.get(f"instances/{place.instance}")
        if status.state in TERMINAL and stored is not None:
            for task in msgspec.json.decode(stored, type=Instance).tasks:
                assert task.id != status.task_id.value or task.condition in CORE_TERMINAL, "told too early"

    def _kill(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is None:
            status = self._status(task_id, T.TASK_GONE, "S0")
            self.at(0.01, self._in_generation(lambda: self.tell(ev.Updated(status))))
        elif self.agents[task.agent].reachable:
            task.kills += 1
            self.at(
                self.dying_s, lambda: self.move(task, T.TASK_KILLED) if task.state not in TERMINAL else None
            )

    def _reconcile(self, tasks: Mapping[str, str | None]) -> None:
        for task_id in tasks or list(self.tasks):
            task = self.tasks.get(task_id)
            if task is None:
                state, agent = T.TASK_GONE, tasks.get(task_id) or "S0"
            elif not self.agents[task.agent].reachable:
                state, agent = T.TASK_UNREACHABLE, task.agent
            else:
                state, agent = (task.told[0].state if task.told else task.state), task.agent
            status = self._status(task_id, state, agent)
            status.message, status.reason = "as it was", status.Reason.REASON_RECONCILIATION
            self.at(0.01, self._in_generation(lambda status=status: self.tell(ev.Updated(status))))  # type: ignore[misc]

    # ── faults ────────────────────────────────────────────────────────────────────────────────────
    def lose(self, agent_id: str) -> None:
        """The agent cannot be reached any more."""
        agent = self.agents[agent_id]
        agent.reachable, agent.offered = False, None
        for task in self.tasks.values():
            if task.agent == agent_id and self.subscribed:
                status = self._status(task.id, T.TASK_UNREACHABLE, agent_id)
                self.at(0.01, self._in_generation(lambda status=status: self.tell(ev.Updated(status))))  # type: ignore[misc]

    def find(self, agent_id: str) -> None:
        """The agent is back, and its tasks with it."""
        agent = self.agents[agent_id]
        agent.reachable = True
        for task in self.tasks.values():
            if task.agent == agent_id:
                if task.told:
                    self._deliver(task)
                else:
                    self.move(task, task.state)
        self._soon_offers()

    def fail(self, task: Task, state: v1.TaskState = T.TASK_FAILED) -> None:
        """The task ends by itself."""
        if task.state not in TERMINAL:
            self.move(task, state)

    # ── what people do ────────────────────────────────────────────────────────────────────────────
    def deploy(self, *specs: App | Pod, remove: Iterable[str] = (), force: bool = False, **more: Any) -> str:
        """Deploys these apps and pods as they are given here, and removes some; the deployment's id."""
        root = self.core.root
        apps, pods, groups = dict(root.apps), dict(root.pods), dict(root.groups)
        for spec in specs:
            before = root.run_spec(spec.id)
            if before is not None:
                spec = replace(spec, version=before.version, version_info=before.version_info)
            if isinstance(spec, App):
                apps[spec.id] = spec
            else:
                pods[spec.id] = spec
            path = spec.id
            while (path := path.rsplit("/", 1)[0] or "/") not in groups:
                groups[path] = Group(path)
        for path in remove:
            apps.pop(path, None)
            pods.pop(path, None)
        deployment_id = f"D{next(self._ids)}"
        target = Root(apps=apps, pods=pods, groups=groups, version=root.version)
        self.tell(ev.Deploy(target, deployment_id, force=force, **more))
        return deployment_id

    def cancel(self, deployment_id: str, *, force: bool = False) -> str:
        """Cancels; the id of what undoes it."""
        new = f"D{next(self._ids)}"
        self.tell(ev.CancelDeployment(deployment_id, new, force=force))
        return new

    def continue_(self, deployment_id: str) -> None:
        """Lets canaries go on."""
        self.tell(ev.ContinueDeployment(deployment_id))

    # ── what there is ─────────────────────────────────────────────────────────────────────────────
    def instances(self, path: str, *conditions: str) -> list[Instance]:
        """Of an app or pod, as the core sees them; only in these conditions, if there are any."""
        return [
            one for one in self.core.state.instances_of(path) if not conditions or one.condition in conditions
        ]

    def running(self, path: str) -> list[Task]:
        """Tasks of an app or pod that really run."""
        prefix = path.strip("/").replace("/", "_") + ".instance-"
        return [
            task
            for task in self.tasks.values()
            if task.id.startswith(prefix)
            and task.state is T.TASK_RUNNING
            and self.agents[task.agent].reachable
        ]

    def published(self, event_type: str) -> list[Mapping[str, Any]]:
        """Events of that type so far."""
        return [one.fields for one in self.events if one.event_type == event_type]

    def story(self) -> str:
        """For a failing test."""
        state = self.core.state
        lines = [f"t={self.now - START_S:.3f} deployments={list(state.deployments.values())}"]
        lines += [
            f"{one.id[-8:]} {one.run_spec} {one.condition} {one.goal} v={one.version} n={one.incarnation}"
            for one in state.instances.values()
        ]
        lines += [f"task {task.id[-20:]} {task.agent} {task.state.value}" for task in self.tasks.values()]
        return "\n".join(lines)
