"""What goes wrong, done and undone: one method for each kind of fault in `plan.KINDS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from koinon.agent.core.events import ShutdownRequested
from koinon.master.core import Refused
from koinon.master.core import events as master_events
from koinon.mesos import v1
from koinon.simulator.machines import Machine, Node
from koinon.simulator.plan import Fault

if TYPE_CHECKING:
    from koinon.simulator.cluster import Cluster

#: The clock on the wall of a machine is set forward or back by so much at most.
_JUMP_S = 7200.0
_WEIGHTS = (0.5, 1.0, 2.0, 4.0)


class Faults:
    """Does the faults of a plan to a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._random = cluster.world.random("faults")
        self._undo: dict[int, Callable[[], None]] = {}
        self._count = 0
        self._kinds: dict[str, Callable[[Fault], Callable[[], None] | None]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "reboot": self._reboot,
            "cut off": self._cut_off,
            "cut from": self._cut_from,
            "cut one way": self._cut_one_way,
            "slow link": self._slow_link,
            "break connections": self._break_connections,
            "slow disk": self._slow_disk,
            "dies writing": self._dies_writing,
            "clock jumps": self._clock_jumps,
            "full disk": self._full_disk,
            "launcher dies": self._launcher_dies,
            "launches fail": self._launches_fail,
            "containers crash": self._containers_crash,
            "declared gone": self._declared_gone,
            "shut down": self._shut_down,
            "taken over": self._taken_over,
            "all masters down": self._all_masters_down,
            "rolling restart": self._rolling_restart,
            "torn down": self._torn_down,
            "weight": self._weight,
            "history away": self._history_away,
        }

    def plan(self, faults: tuple[Fault, ...]) -> None:
        """They will happen."""
        for fault in faults:
            self._world.at(fault.at_s, self._do, fault)

    def heal(self) -> None:
        """Undo all that is not undone."""
        for machine in self._cluster.machines.values():
            machine.disk.fatal_in = None
        for number in list(self._undo):
            self._heal(number)

    def _do(self, fault: Fault) -> None:
        self._world.tell("-", f"*** {fault}")
        undo = self._kinds[fault.kind](fault)
        if undo is not None:
            self._count += 1
            self._undo[self._count] = undo
            self._world.after(fault.for_s, self._heal, self._count, fault)

    def _heal(self, number: int, fault: Fault | None = None) -> None:
        if (undo := self._undo.pop(number, None)) is not None:
            if fault is not None:
                self._world.tell("-", f"*** over: {fault}")
            undo()

    def _machine(self, name: str) -> Machine:
        return self._cluster.machines[name]

    def _node(self, name: str) -> Node:
        return self._cluster.nodes[name]

    # ── processes and machines ────────────────────────────────────────────────────────────────────
    def _kill(self, fault: Fault) -> Callable[[], None]:
        node = self._node(fault.on)
        node.hold()
        if node.process is not None:
            node.process.kill("SIGKILL")
        return node.release

    def _all_masters_down(self, fault: Fault) -> Callable[[], None]:
        masters = list(self._cluster.masters.values())
        for master in masters:
            master.hold()
            if master.process is not None:
                master.process.kill("SIGKILL")

        def start() -> None:
            for master in masters:
                master.release()

        return start

    def _rolling_restart(self, fault: Fault) -> None:
        """One after the other, everything is ended, and started again by who looks after it."""
        nodes = list(self._cluster.nodes.values())
        for number, node in enumerate(nodes):
            self._world.after(fault.for_s * number / len(nodes), self._end, node)

    def _end(self, node: Node) -> None:
        if node.process is not None:
            node.process.kill("SIGTERM")

    def _freeze(self, fault: Fault) -> Callable[[], None] | None:
        process = self._node(fault.on).process
        if process is None or process.frozen:
            return None
        process.freeze()
        return process.wake

    def _reboot(self, fault: Fault) -> Callable[[], None] | None:
        machine = self._machine(fault.on)
        if not machine.up:
            return None
        machine.crash()

        def boot() -> None:
            if (launcher := self._cluster.launchers.get(machine.name)) is not None:
                launcher.reboot()
            machine.boot()

        return boot

    def _slow_disk(self, fault: Fault) -> Callable[[], None]:
        disk, more_s = self._machine(fault.on).disk, 0.05 + 2 * fault.size
        disk.write_s += more_s

        def fast() -> None:
            disk.write_s -= more_s

        return fast

    def _dies_writing(self, fault: Fault) -> None:
        self._machine(fault.on).disk.fatal_in = int(fault.size * 4)

    def _clock_jumps(self, fault: Fault) -> None:
        """For good: a clock that is wrong is no reason to do nothing."""
        self._machine(fault.on).offset_s += _JUMP_S * (2 * fault.size - 1) ** 3

    def _full_disk(self, fault: Fault) -> Callable[[], None] | None:
        disk = self._machine(fault.on).disk
        if disk.full:
            return None
        disk.full = True

        def room() -> None:
            disk.full = False

        return room

    # ── the network ───────────────────────────────────────────────────────────────────────────────
    def _cut(self, pairs: list[tuple[str, str]]) -> Callable[[], None]:
        network = self._cluster.network
        network.cut(pairs)
        return lambda: network.heal(pairs)

    def _cut_off(self, fault: Fault) -> Callable[[], None]:
        others = [name for name in self._cluster.machines if name != fault.on]
        return self._cut([(fault.on, name) for name in others] + [(name, fault.on) for name in others])

    def _cut_from(self, fault: Fault) -> Callable[[], None]:
        return self._cut([(fault.on, fault.to), (fault.to, fault.on)])

    def _cut_one_way(self, fault: Fault) -> Callable[[], None]:
        return self._cut([(fault.on, fault.to)])

    def _slow_link(self, fault: Fault) -> Callable[[], None] | None:
        slow = self._cluster.network.slow
        if fault.on in slow:
            return None
        slow[fault.on] = 0.8 * fault.size**2

        def fast() -> None:
            del slow[fault.on]

        return fast

    def _break_connections(self, fault: Fault) -> None:
        self._cluster.network.break_connections(self._machine(fault.on), fault.size, self._random)

    # ── containers ────────────────────────────────────────────────────────────────────────────────
    def _launcher_dies(self, fault: Fault) -> None:
        self._cluster.launchers[fault.on].die()

    def _launches_fail(self, fault: Fault) -> Callable[[], None]:
        launcher = self._cluster.launchers[fault.on]
        launcher.failing = fault.size

        def work() -> None:
            launcher.failing = 0.0

        return work

    def _containers_crash(self, fault: Fault) -> None:
        self._cluster.launchers[fault.on].crash_some(fault.size)

    def _history_away(self, fault: Fault) -> Callable[[], None] | None:
        database = self._cluster.database
        if database.away:
            return None
        database.away = True

        def back() -> None:
            database.away = False

        return back

    # ── operators ─────────────────────────────────────────────────────────────────────────────────
    def _ask(self, event: master_events.Event) -> bool:
        """An operator asks the leader; whether it was accepted."""
        master = self._cluster.leader
        if master is None or master.runtime is None or master.process is None or master.process.frozen:
            return False
        try:
            master.process.within(master.runtime.feed, event)
        except Refused as refused:
            self._world.tell("-", f"refused: {refused.status} {refused.message}")
            return False
        return True

    def _declared_gone(self, fault: Fault) -> None:
        agent = self._cluster.agents[fault.on]
        if agent.core is not None and (agent_id := agent.core.state.agent_id):
            self._ask(master_events.AgentGoneRequested(agent_id))

    def _shut_down(self, fault: Fault) -> None:
        """SIGUSR1: it kills its tasks, takes leave of the master, and comes back as another agent."""
        node = self._cluster.agents[fault.on]
        if node.process is not None and node.runtime is not None and not node.process.frozen:
            node.process.within(node.runtime.tell, ShutdownRequested("SIGUSR1 was received"))

    def _taken_over(self, fault: Fault) -> None:
        """A second instance of the scheduler subscribes while the first one runs."""
        node = self._cluster.frameworks[fault.on]
        if node.machine.up and node.book.framework_id is not None:
            node.start_another()

    def _torn_down(self, fault: Fault) -> None:
        book = self._cluster.frameworks[fault.on].book
        if book.framework_id is not None:
            self._ask(master_events.TeardownRequested(book.framework_id))

    def _weight(self, fault: Fault) -> None:
        weight = _WEIGHTS[min(int(fault.size * len(_WEIGHTS)), len(_WEIGHTS) - 1)]
        self._ask(master_events.WeightsUpdated([v1.WeightInfo(weight=weight, role=fault.on)]))
