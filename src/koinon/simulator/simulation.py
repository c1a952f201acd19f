"""One seed: a cluster, its load, what goes wrong, and what must be true all the same."""

from __future__ import annotations

import gc

from koinon.agent.launching import LaunchSpec
from koinon.master.core import Config
from koinon.mesos.resources import Resources
from koinon.mesos.states import TERMINAL
from koinon.simulator.agents import AgentNode
from koinon.simulator.disk import Disk
from koinon.simulator.frameworks import FrameworkNode
from koinon.simulator.launcher import Launcher
from koinon.simulator.machines import Machine, Process
from koinon.simulator.masters import MasterNode
from koinon.simulator.network import Network
from koinon.simulator.surroundings import simulated
from koinon.simulator.world import World


def _no_executors(machine: Machine, spec: LaunchSpec) -> Process:
    raise NotImplementedError


class Simulation:
    """A cluster in a world."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self._machines = 0
        self.masters = [MasterNode(self._machine("master-1"), "master-1", Config(agent_ping_timeout_s=3.0))]
        self.agents: list[AgentNode] = []
        for number in range(2):
            name = f"agent-{number + 1}"
            node = AgentNode(self._machine(name), name, Resources.parse("cpus:4;mem:1024"), "10.0.0.1:5050")
            node.launcher = Launcher(node.machine, self.world.random(f"{name}/launcher"), _no_executors)
            self.agents.append(node)
        self.frameworks = [FrameworkNode(self._machine("framework-1"), "framework-1", "10.0.0.1:5050")]

    def _machine(self, name: str) -> Machine:
        self._machines += 1
        machine = Machine(self.world, self.network, name, f"10.0.0.{self._machines}")
        machine.disk = Disk(self.world, f"{name}/disk", self.world.random(f"{name}/disk"))
        return machine

    def run(self) -> None:
        """Everything, from the first moment to the last."""
        for start in [node.start for node in self.masters] + [node.start for node in self.agents]:
            start()
        for framework in self.frameworks:
            framework.start()
        book = self.frameworks[0].book
        book.wanted = 50
        self.world.run(120.0)
        assert len(book.tasks) == 50
        assert all(state in TERMINAL for state in book.tasks.values()), book.tasks


def simulate(seed: int) -> Simulation:
    """Run one seed."""
    gc.disable()
    simulation = Simulation(seed)
    try:
        with simulated(simulation.world):
            simulation.run()
    finally:
        for process in simulation.world.processes:
            process.kill("the world is over", silently=True)
            process.loop.bury()
        gc.enable()
    return simulation
