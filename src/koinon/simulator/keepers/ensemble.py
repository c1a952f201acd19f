"""Servers that agree: which of them leads, what is committed, which sessions live.

The agreement itself is not played message by message, as the simulation is not about ZooKeeper. What it depends on is:
a leader needs a quorum of servers that run and reach each other, and an election takes its time; who has lost the
leader sends its clients away, a little later; what was proposed when the leader was lost is done later, or never.

A *term* is the time of one leader. A server that is in no term is *lost*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from koinon.simulator.keepers.tree import Change, CloseSession, OpenSession, Tree

if TYPE_CHECKING:
    from koinon.simulator.keepers.server import ServerNode
    from koinon.simulator.world import World

#: So often within a tick it is looked who reaches whom.
_LOOKS = 2
#: A server without contact with the leader, or the leader without a quorum, gives up after so many ticks.
_SYNC_TICKS = 2

Answer = Callable[[object], None]


class Ensemble:
    """All servers together."""

    def __init__(self, world: World, tick_s: float) -> None:
        self.world = world
        self.tick_s = tick_s
        self.servers: list[ServerNode] = []
        self.leader: ServerNode | None = None
        self.term = 0
        self.log: list[Change] = []  #: committed
        self.tree = Tree()  #: as the log leaves it
        self._random: Random = world.random("keepers")
        self._expires: dict[int, float] = {}  #: when each session ends, as the leader sees it
        self._uncertain: list[Change] = []  #: proposed to a leader that was lost
        self._alone_s: dict[str, float] = {}  #: since when a server lacks what it needs
        self._election: tuple[float, ServerNode] | None = None
        self._arrives_s: dict[str, float] = {}  #: when the newest request of each server is with the leader
        self._committed_s = 0.0  #: when the newest commit is done
        self._owners: dict[int, str] = {}  #: which server each session is with
        self._numbers = 0

    def start(self) -> None:
        """Look, from now on."""
        self._look()

    def new_session(self) -> int:
        """A number for a session."""
        self._numbers += 1
        return self._numbers

    # ── who leads ─────────────────────────────────────────────────────────────────────────────────
    def _look(self) -> None:
        self.world.after(self.tick_s / _LOOKS, self._look)
        for server in self.servers:
            if server.is_awake and server.term:
                self._look_at(server)
        leader = self.leader
        if leader is None or leader.term != self.term:
            self._elect()
        elif self._leads(leader):
            self._expire()
            for server in self.servers:
                if server.is_awake and not server.term and _reach(leader, server):
                    self._join(server)

    def _look_at(self, server: ServerNode) -> None:
        """Has it what it needs to serve? It learns of it late."""
        if server is self.leader and server.term == self.term:
            content = self._leads(server)
        else:
            leader = self.leader
            content = (
                leader is not None
                and server.term == self.term == leader.term
                and leader.is_awake
                and _reach(server, leader)
            )
        if content:
            self._alone_s.pop(server.name, None)
            server.catch_up(len(self.log))
        elif (
            self._alone_s.setdefault(server.name, self.world.now) + _SYNC_TICKS * self.tick_s
            <= self.world.now
        ):
            self.lose(server)

    def lose(self, server: ServerNode) -> None:
        """It is in no term any more."""
        self._alone_s.pop(server.name, None)
        if server.term:
            self.world.tell(server.name, "is lost")
            server.term = 0
            server.send_away()

    def _leads(self, server: ServerNode) -> bool:
        if not server.is_awake:
            return False
        with_it = [
            one for one in self.servers if one.is_awake and one.term == self.term and _reach(server, one)
        ]
        return 2 * len(with_it) > len(self.servers)

    def _elect(self) -> None:
        """Those who are lost choose somebody, if they are enough; that takes a while."""
        lost = [server for server in self.servers if server.is_awake and not server.term]
        if self._election is None:
            self._election = (
                (self.world.now + self.tick_s * self._random.uniform(0.2, 1.0), lost[0]) if lost else None
            )
            return
        due_s, _ = self._election
        if self.world.now < due_s:
            return
        self._election = None
        self._random.shuffle(lost)
        for server in lost:
            followers = [one for one in lost if _reach(server, one)]
            if 2 * len(followers) > len(self.servers):
                self._begin(server, followers)
                return

    def _begin(self, leader: ServerNode, followers: list[ServerNode]) -> None:
        self.term += 1
        self.leader = leader
        self.world.tell(leader.name, f"leads the servers, in term {self.term}")
        uncertain, self._uncertain = self._uncertain, []
        for change in uncertain:
            if self._random.random() < 0.5:
                self._append(change)
        now = self.world.now
        self._committed_s = now
        self._expires = {
            number: self._tick_after(now + timeout_s) for number, timeout_s in self.tree.sessions.items()
        }
        for server in followers:
            self._join(server)

    def _join(self, server: ServerNode) -> None:
        server.term = self.term
        server.catch_up(len(self.log))

    # ── what is agreed ────────────────────────────────────────────────────────────────────────────
    def propose(self, origin: ServerNode, session: int, change: Change, answer: Answer) -> None:
        """A client of `origin` wants something done. Answered when it is, and `origin` knows; perhaps never."""
        leader = self.leader
        if leader is None or origin.term != self.term or not _reach(origin, leader):
            return
        network = leader.machine.network
        takes_s = network.latency(origin.machine, leader.machine) if origin is not leader else 0.0
        # Of one server all arrives in order.
        arrives_s = max(self.world.now + takes_s, self._arrives_s.get(origin.name, 0.0))
        self._arrives_s[origin.name] = arrives_s
        self.world.at(arrives_s, self._take, self.term, origin, session, change, answer)

    def _take(self, term: int, origin: ServerNode, session: int, change: Change, answer: Answer) -> None:
        """It has come to the leader, which asks the others."""
        leader = self.leader
        if leader is None or term != self.term or not leader.is_awake:
            return
        if isinstance(change, OpenSession):
            self._owners[change.number] = origin.name
            self._expires[change.number] = self._tick_after(self.world.now + change.timeout_s)
        elif self._owners.get(session, origin.name) != origin.name:
            return  # its client has gone to another server, which counts from then on
        network = leader.machine.network
        others = sorted(
            network.latency(leader.machine, server.machine) + network.latency(server.machine, leader.machine)
            for server in self.servers
            if server is not leader
        )
        takes_s = others[len(self.servers) // 2 - 1] if others else 0.0
        self._committed_s = max(self._committed_s, self.world.now + takes_s)
        self.world.at(self._committed_s, self._commit, term, origin, change, answer)

    def _commit(self, term: int, origin: ServerNode, change: Change, answer: Answer) -> None:
        leader = self.leader
        if leader is None or term != self.term or not self._leads(leader):
            self._uncertain.append(change)
            return
        result = self._append(change)
        index = len(self.log)
        network = leader.machine.network
        for server in self.servers:
            if server.term == self.term and _reach(leader, server):
                arrives_s = network.latency(leader.machine, server.machine)
                self.world.after(
                    arrives_s, server.catch_up, index, (answer, result) if server is origin else None
                )

    def _append(self, change: Change) -> object:
        self.log.append(change)
        return self.tree.apply(change)

    # ── sessions ──────────────────────────────────────────────────────────────────────────────────
    def touch(self, server: ServerNode, number: int) -> None:
        """A server has heard of a session. It tells the leader twice a tick."""
        if server is self.leader:
            self._touched(self.term, server, number)
        else:
            half_s = self.tick_s / 2
            told_s = (math.floor(self.world.now / half_s) + 1) * half_s
            self.world.at(told_s, self._touched, server.term, server, number)

    def touch_at_once(self, server: ServerNode, number: int) -> bool | None:
        """A client comes with a session: does it live? None: nobody knows."""
        leader = self.leader
        if (
            leader is None
            or server.term != self.term
            or not self._leads(leader)
            or not _reach(server, leader)
        ):
            return None
        if number not in self.tree.sessions:
            return False
        self._owners[number] = server.name
        self._touched(self.term, server, number)
        return True

    def _touched(self, term: int, server: ServerNode, number: int) -> None:
        leader = self.leader
        told = server.is_awake and server.term == term == self.term
        if (
            told
            and leader is not None
            and leader.is_awake
            and _reach(server, leader)
            and (number in self.tree.sessions)
        ):
            self._expires[number] = self._tick_after(self.world.now + self.tree.sessions[number])

    def _expire(self) -> None:
        assert self.leader is not None
        for number, expires_s in list(self._expires.items()):
            if expires_s <= self.world.now:
                del self._expires[number]
                self.world.tell("keepers", f"session {number} expires")
                self.propose(self.leader, 0, CloseSession(number), lambda result: None)

    def _tick_after(self, time_s: float) -> float:
        return (math.floor(time_s / self.tick_s) + 1) * self.tick_s


def _reach(one: ServerNode, other: ServerNode) -> bool:
    if one is other:
        return True
    network = one.machine.network
    return not network.is_cut(one.machine, other.machine) and not network.is_cut(other.machine, one.machine)
