"""`/registrar(1)/registry`: the registry as Mesos's message shows it."""

import json

import pytest

from koinon.master.core import events as m
from koinon.master.views.about import About
from koinon.master.views.registry import registry
from koinon.mesos import v1
from tests.unit.master.cluster import Cluster, register

ABOUT = About(master_id="M", hostname="m", ip="127.0.0.1", port=5050, flags={}, started_s=1.0)


def shown(cluster: Cluster) -> dict:
    return json.loads(b"".join(registry(ABOUT, cluster.master.state)))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_of_an_empty_cluster(cluster):
    found = shown(cluster)
    assert found.keys() == {"master", "slaves"}
    assert found["master"]["info"]["id"] == "M"
    assert found["master"]["info"]["pid"] == "master@127.0.0.1:5050"
    assert found["slaves"] == {"slaves": []}


def test_an_admitted_agent_with_what_it_has(cluster):
    message = register(text="cpus:4")
    message.agent_info.attributes = [
        v1.Attribute(name="rack", type=v1.Value.Type.TEXT, text=v1.Value.Text("a"))
    ]
    cluster.join(message)
    assert shown(cluster)["slaves"]["slaves"] == [
        {
            "info": {
                "id": {"value": "M-S0"},
                "hostname": "a",
                "port": 5051,
                "attributes": [{"name": "rack", "type": "TEXT", "text": {"value": "a"}}],
                "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0}, "role": "*"}],
                "checkpoint": True,
            }
        }
    ]


def test_agents_of_every_standing_before_and_after_an_election(cluster):
    for _ in range(3):
        cluster.join()
    cluster.do(m.AgentGoneRequested("M-S2"))
    cluster.store()
    cluster.do(m.AgentChannelClosed("channel-2"))
    cluster.tick(80)
    for _ in range(2):  # the first agent answers
        cluster.register(register("M-S0"))
        cluster.tick(15)
    cluster.store()
    for leader in (cluster, Cluster(cluster.registry)):
        found = shown(leader)
        assert [one["info"]["id"]["value"] for one in found["slaves"]["slaves"]] == ["M-S0"]
        (lost,), (gone,) = found["unreachable"]["slaves"], found["gone"]["slaves"]
        assert (lost["id"]["value"], gone["id"]["value"]) == ("M-S1", "M-S2")
        assert gone["timestamp"]["nanoseconds"] == 1000 * 10**9
        assert lost["timestamp"]["nanoseconds"] > gone["timestamp"]["nanoseconds"]


def test_what_is_not_durable_yet_is_not_shown(cluster):
    cluster.register()
    assert shown(cluster)["slaves"] == {"slaves": []}
    cluster.do(m.WeightsUpdated([v1.WeightInfo(weight=2.0, role="ads")]))
    assert "weights" not in shown(cluster)
    cluster.store()
    assert shown(cluster)["weights"] == [{"info": {"weight": 2.0, "role": "ads"}}]
    cluster.do(m.AgentGoneRequested("M-S0"))
    assert "gone" not in shown(cluster)


def test_many_agents_come_in_slices(cluster):
    for number in range(250):
        cluster.registry[f"agents/A{number}"] = (
            b'{"info":{"hostname":"h","id":{"value":"A%d"}},"standing":"admitted","since_s":1.0}' % number
        )
    leader = Cluster(cluster.registry)
    pieces = list(registry(ABOUT, leader.master.state))
    assert max(piece.count(b'"hostname":"h"') for piece in pieces) == 100
    assert len(shown(leader)["slaves"]["slaves"]) == 250
