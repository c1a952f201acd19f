"""A cluster, built as a plan says."""

from __future__ import annotations

from koinon.agent.launching import LaunchSpec
from koinon.coordination.zookeeper import Url
from koinon.master.core import Config
from koinon.mesos.resources import Resources
from koinon.simulator.agents import AgentNode
from koinon.simulator.chronoses import ChronosNode, Database
from koinon.simulator.disk import Disk
from koinon.simulator.executors import spawn
from koinon.simulator.frameworks import FrameworkNode
from koinon.simulator.keepers.ensemble import Ensemble
from koinon.simulator.keepers.server import PORT as KEEPER_PORT
from koinon.simulator.keepers.server import ServerNode
from koinon.simulator.launcher import Launcher
from koinon.simulator.machines import Machine, Node, Process
from koinon.simulator.masters import PORT, MasterNode
from koinon.simulator.network import Network
from koinon.simulator.observer import Observer
from koinon.simulator.plan import Plan
from koinon.simulator.world import World


class Cluster:
    """Everything that runs, by name."""

    def __init__(self, plan: Plan, world: World, observer: Observer) -> None:
        self.plan = plan
        self._observer = observer
        self.world = world
        self.network = Network(world)
        self.machines: dict[str, Machine] = {}
        self.launchers: dict[str, Launcher] = {}
        self.ensemble: Ensemble | None = None
        self.keepers: dict[str, ServerNode] = {}
        url: Url | None = None
        if plan.masters:
            self.ensemble = Ensemble(world, plan.session_s * plan.tick)
            for name in plan.keeper_names:
                self.keepers[name] = ServerNode(self._machine(name), name, self.ensemble)
            servers = tuple((keeper.machine.ip, KEEPER_PORT) for keeper in self.keepers.values())
            url = Url(servers=servers, path="/cluster")
        config = Config(
            agent_ping_timeout_s=plan.ping_s,
            max_agent_ping_timeouts=plan.pings_missed,
            agent_reregister_timeout_s=plan.reregister_s,
            agent_removal_interval_s=plan.removal_interval_s,
            offer_timeout_s=plan.offer_timeout_s,
        )
        self.masters = {
            name: MasterNode(self._machine(name), name, config, observer, url, plan.session_s)
            for name in plan.master_names
        }
        where = ",".join(f"{master.machine.ip}:{PORT}" for master in self.masters.values())
        if url is not None and plan.detectors:
            where = f"zk://{url.hosts}{url.path}"
        self.agents: dict[str, AgentNode] = {}
        for name, cpus in zip(plan.agent_names, plan.agents, strict=True):
            machine = self._machine(name)
            launcher = Launcher(machine, world.random(f"{name}/launcher"), self._spawn, observer)
            self.launchers[name] = launcher
            resources = Resources.parse(f"cpus:{cpus};mem:{128 * cpus}")
            self.agents[name] = AgentNode(machine, name, resources, where, launcher, observer)
        self.frameworks = {
            one.name: FrameworkNode(self._machine(one.name), one, where, observer) for one in plan.frameworks
        }
        for one in self.frameworks.values():
            one.agents = list(self.agents.values())
        self.database = Database(world)
        self.chronoses: dict[str, ChronosNode] = {}
        for name in plan.chronos_names:
            keepers = [keeper.machine for keeper in self.keepers.values()]
            self.chronoses[name] = ChronosNode(
                self._machine(name), name, plan, where, keepers, self.database, observer
            )
        self.nodes: dict[str, Node] = {
            **self.keepers,
            **self.masters,
            **self.agents,
            **self.frameworks,
            **self.chronoses,
        }

    def _machine(self, name: str) -> Machine:
        machine = Machine(self.world, self.network, name, f"10.0.0.{len(self.machines) + 1}")
        machine.rate = 1.0 + self.plan.drift * self.world.random(f"{name}/clock").uniform(-1, 1)
        machine.disk = Disk(self.world, f"{name}/disk", self.world.random(f"{name}/disk"))
        self.machines[name] = machine
        return machine

    def _spawn(self, machine: Machine, spec: LaunchSpec) -> Process:
        return spawn(machine, spec, self._observer)

    def start(self) -> None:
        """Start every node."""
        for node in self.nodes.values():
            node.start()
        if self.ensemble is not None:
            self.ensemble.start()

    @property
    def leader(self) -> MasterNode | None:
        """The master that leads, if one does."""
        for master in self.masters.values():
            if master.core is not None and master.core.state.recovered and master.may_act:
                return master
        return None

    @property
    def leading_chronos(self) -> ChronosNode | None:
        """The Chronos that leads, if one does and can be asked."""
        return next((node for node in self.chronoses.values() if node.leader is not None), None)
