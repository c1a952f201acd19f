"""What goes wrong, and is mended again: each fault is done to a cluster that works, and leaves one that works.

A fault returns the moments that measures are taken between. `FAULTS` is the order of the table in the documentation.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.partitions.cluster import AGENTS, SESSION_S, Cluster, Part, eventually
from tests.partitions.journal import now_s

#: How long ZooKeeper is without a server.
_SERVER_GONE_S = 3.0
#: pymesos waits ten seconds for each answer of a leader that gives none, and may have several of them to wait for.
_ANSWERS_S = 90.0
#: Deposed.
_STATUS = 1


@dataclass(frozen=True)
class Moments:
    """Of the fault, and of its end."""

    since: float
    mended: float


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    users_see: str  #: what a user sees of it
    do: Callable[[Cluster], Moments]
    #: Nothing can be launched until it is mended: what is measured is the time from then on, not the pause.
    from_mended: bool = False
    #: Whether it is of interest when agents are with a master again.
    agents_return: bool = True
    #: The agents that the cluster may give up.
    agents_cut: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """The name as an identifier."""
        return self.name.lower().replace(" ", "-").replace(",", "").replace(";", "").replace(":", "")


def leader_killed(cluster: Cluster) -> Moments:
    leader = cluster.wait_leader()
    since = now_s()
    leader.signal(signal.SIGKILL)
    return _other_leads(cluster, leader, since)


def leader_frozen(cluster: Cluster) -> Moments:
    leader = cluster.wait_leader()
    ended = len(leader.statuses)
    since = now_s()
    leader.signal(signal.SIGSTOP)
    moments = _other_leads(cluster, leader, since)
    time.sleep(1.0)  # the other one is at work
    leader.signal(signal.SIGCONT)
    _deposed(leader, ended)
    return moments


def leader_apart_from_zookeeper(cluster: Cluster) -> Moments:
    leader = cluster.wait_leader()
    ended = len(leader.statuses)
    since = now_s()
    leader.machine.part_from(*cluster.server_machines)
    _deposed(leader, ended)
    return _other_leads(cluster, leader, since)


def leader_deaf_to_zookeeper(cluster: Cluster) -> Moments:
    leader = cluster.wait_leader()
    ended = len(leader.statuses)
    since = now_s()
    leader.machine.ignore(*cluster.server_machines)
    _deposed(leader, ended)
    return _other_leads(cluster, leader, since)


def leader_apart_from_agents(cluster: Cluster) -> Moments:
    leader = cluster.wait_leader()
    since = now_s()
    leader.machine.part_from(*(part.machine for part in cluster.agents))
    eventually(lambda: not cluster.active_agents(), "all agents are given up")
    for framework in cluster.frameworks:
        cluster.wait_entry(framework.name, "failure", since)
    mended = now_s()
    cluster.network.heal()
    cluster.wait_agents()
    return Moments(since, mended)


def leader_apart_from_all(cluster: Cluster) -> Moments:
    leader = cluster.wait_leader()
    ended = len(leader.statuses)
    since = now_s()
    leader.machine.cut()
    _deposed(leader, ended)
    return _other_leads(cluster, leader, since)


def server_lost(cluster: Cluster) -> Moments:
    server = cluster.zookeeper.leader()
    since = now_s()
    server.kill()
    time.sleep(_SERVER_GONE_S)
    server.start()
    server.wait_ready()
    return Moments(since, now_s())


def quorum_lost(cluster: Cluster) -> Moments:
    leader = cluster.wait_leader()
    ended = len(leader.statuses)
    since = now_s()
    lost = cluster.zookeeper.servers[:2]
    for server in lost:
        server.kill()
    _deposed(leader, ended)
    time.sleep(_SERVER_GONE_S)
    mended = now_s()
    for server in lost:
        server.start()
    cluster.wait_agents()
    return Moments(since, mended)


def data_lost(cluster: Cluster) -> Moments:
    since = now_s()
    for server in cluster.zookeeper.servers:
        server.kill()
        shutil.rmtree(server.folder / "data" / "version-2")
    time.sleep(_SERVER_GONE_S)
    mended = now_s()
    cluster.zookeeper.start()
    cluster.wait_agents()
    # Those, too, which were not restarted, and have seen more than the servers know now.
    eventually(lambda: cluster.candidates() == len(cluster.masters), "all masters stand for election")
    return Moments(since, mended)


def agent_apart(cluster: Cluster) -> Moments:
    agent = cluster.agents[2]
    since = now_s()
    agent.machine.cut()
    return _given_up(cluster, agent, since)


def agent_not_heard(cluster: Cluster) -> Moments:
    agent = cluster.agents[3]
    since = now_s()
    for master in cluster.masters:
        master.machine.ignore(agent.machine)
    return _given_up(cluster, agent, since)


def no_masters(cluster: Cluster) -> Moments:
    since = now_s()
    for master in cluster.masters:
        master.stop(signal.SIGKILL)
    time.sleep(cluster.without_masters_s)
    mended = now_s()
    for master in cluster.masters:
        master.start()
    cluster.wait_agents()
    return Moments(since, mended)


def rolling_restart(cluster: Cluster) -> Moments:
    since = now_s()
    for server in cluster.zookeeper.servers:
        server.stop()
        server.start()
        server.wait_ready()
        time.sleep(SESSION_S)  # else sessions end that lost two servers one after the other
    leader = cluster.wait_leader()
    for master in sorted(cluster.masters, key=lambda master: master is leader):  # the leader last
        master.stop()
        master.start()
        eventually(lambda master=master: cluster.answers(master), f"{master.name} answers")
    cluster.wait_agents()
    for agent in cluster.agents:
        began = now_s()
        agent.stop()
        agent.start()
        cluster.wait_entry(agent.name, "Registered", began)
    return Moments(since, now_s())


def _other_leads(cluster: Cluster, leader: Part, since: float) -> Moments:
    cluster.wait_leader(other_than=leader)
    cluster.wait_agents()
    for framework in cluster.frameworks:  # which must find the other one without the help of a mended link
        cluster.wait_entry(framework.name, "subscribed", since, _ANSWERS_S)
    mended = now_s()
    cluster.network.heal()
    return Moments(since, mended)


def _given_up(cluster: Cluster, agent: Part, since: float) -> Moments:
    for framework in cluster.frameworks:
        cluster.wait_entry(framework.name, "failure", since)
    assert agent.name not in cluster.active_agents()
    mended = now_s()
    cluster.network.heal()
    cluster.wait_agents()
    return Moments(since, mended)


def _deposed(leader: Part, ended: int) -> None:
    """Returns when that process has ended by itself, and has said why."""
    status = eventually(lambda: leader.statuses[ended:], f"{leader.name} ends")[0]
    assert status == _STATUS, f"{leader.name} ended with {status}"
    assert leader.log.read_text().count("deposed: this master ends") > leader.depositions
    leader.depositions += 1


_NEW_LEADER = "tasks run on; no offers and no news until another master leads"
_NO_LEADER = "tasks run on, and end; no offers and no news, commands say that no master leads"
FAULTS = (
    Fault("Leader killed", _NEW_LEADER, leader_killed),
    Fault(
        "Leader frozen, and woken when another one leads", f"{_NEW_LEADER}; the woken one ends", leader_frozen
    ),
    Fault(
        "Leader cut off from ZooKeeper",
        f"{_NEW_LEADER}; the one before has stopped before that",
        leader_apart_from_zookeeper,
    ),
    Fault("Leader does not hear ZooKeeper, which hears it", "the same", leader_deaf_to_zookeeper),
    Fault("Leader cut off from everybody", "the same", leader_apart_from_all),
    Fault(
        "Leader cut off from all agents",
        "tasks run on; agents are given up one after the other, their tasks are out of reach, until the cut is mended",
        leader_apart_from_agents,
        from_mended=True,
        agents_cut=frozenset(AGENTS),
    ),
    Fault("One of three ZooKeeper servers lost, the one that led", "nothing", server_lost),
    Fault("Two of three ZooKeeper servers lost, and back", _NO_LEADER, quorum_lost, from_mended=True),
    Fault(
        "All data of ZooKeeper lost, and its servers started again",
        f"{_NO_LEADER}; then agents register with a registry that is begun anew",
        data_lost,
        from_mended=True,
    ),
    Fault(
        "Agent cut off, given up, and back",
        "its tasks are out of reach (lost, for frameworks that know no partitions), and come back; others do not notice",
        agent_apart,
        agents_cut=frozenset({AGENTS[2]}),
    ),
    Fault(
        "Agent not heard by masters, which it hears; given up, and back",
        "the same",
        agent_not_heard,
        agents_cut=frozenset({AGENTS[3]}),
    ),
    Fault("All masters down for a minute, and back", _NO_LEADER, no_masters, from_mended=True),
    Fault(
        "Rolling restart: ZooKeeper, masters, agents, one by one",
        "tasks run on; short pauses, the longest when the leader is restarted",
        rolling_restart,
        agents_return=False,
    ),
)
