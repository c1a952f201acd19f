"""What masters show about who leads, before and after a failover."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster.harness import Role, eventually
from tests.cluster.masters import ask, running_masters
from tests.zookeeper import ZooKeeper


def shown(master: Role, path: str) -> Any:
    answer = ask(master, path)
    assert answer is not None
    assert answer.status == 200, answer
    return json.loads(answer.text)


def identity(master: Role) -> tuple[dict[str, Any], float]:
    """The leader as /state and GET_MASTER agree on it, and since when it leads."""
    state = shown(master, "/state")
    assert state["leader"] == state["pid"] == f"master@{master.address}"
    leader = {"id": state["id"], "pid": state["pid"], "port": master.port, "hostname": "127.0.0.1"}
    assert state["leader_info"] == leader
    found = master.call({"type": "GET_MASTER"})["get_master"]
    assert {name: found["master_info"][name] for name in leader} == leader
    assert found["start_time"] == state["start_time"] <= state["elected_time"] == found["elected_time"]
    return leader, state["elected_time"]


def elected(master: Role) -> float:
    value: float = shown(master, "/metrics/snapshot")["master/elected"]
    return value


def test_who_leads_is_shown_alike_everywhere_and_anew_after_a_failover(
    tmp_path: Path, zookeeper: ZooKeeper
) -> None:
    with running_masters(tmp_path, zookeeper.url(), count=2) as masters:
        first = masters.leader()
        (second,) = masters.standbys(first)
        before, since = identity(first)
        assert (elected(first), elected(second)) == (1.0, 0.0)
        for master in (first, second):
            answer = ask(master, "/redirect")
            assert answer is not None
            assert answer.location == f"//{first.address}"
        answer = ask(second, "/registrar(1)/registry")
        assert answer is not None
        assert (answer.status, answer.location) == (307, f"//{first.address}/registrar(1)/registry")
        first.kill()
        eventually(lambda: elected(second) == 1.0, "the other one leads", 15.0)
        after, then = identity(second)
        assert after["id"] != before["id"]
        assert then > since
        assert shown(second, "/registrar(1)/registry")["master"]["info"]["id"] == after["id"]
