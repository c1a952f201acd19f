"""Unmodified clients find our leader in ZooKeeper, and the next one."""

import json
from contextlib import closing

import pytest
from kazoo.client import KazooClient

from tests.cluster.harness import AGENT_FLAGS, Role, eventually
from tests.cluster.masters import running_masters
from tests.conformance.pymesos_framework import Framework

LIFE = ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]


@pytest.fixture
def zk(zookeeper):
    """Without credentials, which pymesos does not know."""
    return zookeeper.url()


@pytest.fixture
def masters(tmp_path, zk):
    with running_masters(tmp_path, zk, count=2) as found:
        yield found


@pytest.fixture
def agent(tmp_path, zk, masters):
    role = Role("agent", "agent", tmp_path, {"master": zk, **AGENT_FLAGS})
    role.start()
    yield role
    role.stop()


def test_a_pymesos_framework_follows_the_leader(zk, masters, agent):
    with Framework(zk, failover_timeout=60.0) as framework:
        first = framework.launch("true")
        framework.wait_states(first, *LIFE)
        leader = masters.leader()
        leader.kill()
        of_the_new_one = masters.leader(but=leader).get("/state")["id"]
        framework.seen.wait(lambda seen: seen.reregistrations)
        with framework.seen.changed:
            for offer_id in [one for one in framework.seen.offers if not one.startswith(of_the_new_one)]:
                del framework.seen.offers[offer_id]
        second = framework.launch("true")
        framework.wait_states(second, *LIFE)
        assert framework.seen.errors == []


def test_a_pymesos_framework_that_is_there_before_any_master_finds_the_first_one(tmp_path, zk, zookeeper):
    with running_masters(tmp_path, zk, count=1) as masters:
        masters.leader()  # has made the path, below which its registry stays
    path = zk.partition(zookeeper.hosts)[2]
    with closing(KazooClient(zookeeper.hosts)) as client:
        client.start()
        eventually(
            lambda: not [name for name in client.get_children(path) if name.startswith("json")], "no master"
        )
        client.stop()
    with Framework(zk) as framework, running_masters(tmp_path, zk, count=1):
        framework.seen.wait(lambda seen: seen.framework_id)


def test_the_leader_is_found_as_the_mesos_command_line_finds_it(zk, zookeeper, masters):
    """It takes the first child, in the order of texts, whose name begins so."""
    leader = masters.leader()
    path = zk.partition(zookeeper.hosts)[2]
    with closing(KazooClient(zookeeper.hosts)) as client:
        client.start()
        first = next(name for name in sorted(client.get_children(path)) if name.startswith("json.info"))
        address = json.loads(client.get(f"{path}/{first}")[0])["address"]
        client.stop()
    assert f"{address['ip']}:{address['port']}" == leader.address
