"""Who looks on: told of everything that the laws are about. `laws.py` is the one that judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from koinon.agent.core import events as agent
    from koinon.agent.launching import LaunchSpec
    from koinon.chronos.core import events as chronos
    from koinon.master.core import events as master
    from koinon.mesos import v1
    from koinon.simulator.agents import AgentNode
    from koinon.simulator.chronoses import ChronosNode
    from koinon.simulator.frameworks import FrameworkNode
    from koinon.simulator.machines import Machine, Process
    from koinon.simulator.masters import MasterNode


class Observer(Protocol):
    """Each method may raise Violation."""

    def master_handled(self, node: MasterNode, event: master.Event, effects: Sequence[master.Effect]) -> None:
        """A master's core took in an event; the effects have not left yet."""

    def master_acts(self, node: MasterNode) -> None:
        """A master sends something."""

    def runs(self, machine: Machine, spec: LaunchSpec) -> None:
        """A launcher is about to run a program."""

    def ends(self, spec: LaunchSpec, status: int | None, *, seen: bool) -> None:
        """A program has ended, with a wait status if somebody knows it; `seen`: by a launcher."""

    def begins(self, process: Process, task_id: str) -> None:
        """An executor begins with a task."""

    def agent_handled(self, node: AgentNode, event: agent.Event, effects: Sequence[agent.Effect]) -> None:
        """An agent's core took in an event; the effects have not left yet."""

    def launched(self, node: FrameworkNode, task: v1.TaskInfo) -> None:
        """A framework is about to launch a task."""

    def heard(self, node: FrameworkNode, status: v1.TaskStatus) -> None:
        """A framework was told of a task."""

    def acknowledged(self, node: FrameworkNode, status: v1.TaskStatus) -> None:
        """A framework acknowledges what it was told."""

    def refused(self, node: FrameworkNode, call: str, error: str) -> None:
        """A call of a framework came to nothing, or nobody knows."""

    def chronos_handled(
        self, node: ChronosNode, event: chronos.Event, effects: Sequence[chronos.Effect]
    ) -> None:
        """A Chronos's core took in an event; the effects have not left yet."""

    def chronos_acts(self, node: ChronosNode, epoch: int) -> None:
        """A Chronos believes that it may do something."""
