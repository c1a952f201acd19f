"""Where instances go, with real processes: constraints, roles, ports; how soon, how often; what tasks find there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.harness import eventually
from tests.cluster.marathons import Marathons, new_marathons

__all__ = ["new_marathons"]

NewMarathons = Callable[..., Marathons]

SLEEP = {"cmd": "sleep 1000", "cpus": 0.1, "mem": 16}


def with_agents(new_marathons: NewMarathons, *agents: dict[str, str], **flags: str) -> Marathons:
    """On a cluster of such agents."""
    marathons = new_marathons(agents=0, **flags)
    for own in agents:
        marathons.cluster.add_agent(**own).start()
    marathons.cluster.wait_ready()
    return marathons


def racks(marathons: Marathons, app: str) -> Counter[str]:
    """How many tasks of the app run in each rack."""
    slaves = marathons.cluster.master.get("/slaves")["slaves"]
    rack = {slave["id"]: slave["attributes"].get("rack", "") for slave in slaves}
    return Counter(
        rack[task["slaveId"]] for task in marathons.tasks(app).values() if task["state"] == "TASK_RUNNING"
    )


def reasons(marathons: Marathons, app: str) -> dict[str, int]:
    """Why the latest offers of agents are of no use to the app: how many for which reason."""
    (entry,) = [one for one in marathons.ask("/v2/queue")["queue"] if one["app"]["id"] == app]
    rows = entry["processedOffersSummary"]["rejectSummaryLastOffers"]
    return {row["reason"]: row["declined"] for row in rows if row["declined"]}


def test_constraints_hold_when_instances_come_and_go(new_marathons: NewMarathons) -> None:
    marathons = with_agents(
        new_marathons, {"attributes": "rack:a"}, {"attributes": "rack:a"}, {"attributes": "rack:b"}
    )
    marathons.create({"id": "/unique", **SLEEP, "instances": 3, "constraints": [["rack", "UNIQUE"]]})
    marathons.create({"id": "/group", **SLEEP, "instances": 4, "constraints": [["rack", "GROUP_BY", "2"]]})
    marathons.create({"id": "/like", **SLEEP, "instances": 3, "constraints": [["rack", "LIKE", "[b-z]"]]})
    marathons.create({"id": "/most", **SLEEP, "instances": 4, "constraints": [["rack", "MAX_PER", "2"]]})
    marathons.wait_running("/group", 4)
    marathons.wait_running("/like", 3)
    marathons.wait_running("/most", 4)
    marathons.wait_running("/unique", 2)
    assert racks(marathons, "/unique") == {"a": 1, "b": 1}
    assert racks(marathons, "/group") == {"a": 2, "b": 2}
    assert racks(marathons, "/like") == {"b": 3}
    assert racks(marathons, "/most") == {"a": 2, "b": 2}
    eventually(lambda: reasons(marathons, "/unique") == {"UnfulfilledConstraint": 3}, "all agents refused it")

    # Whoever dies is replaced where the constraint wants it.
    victims = sorted(marathons.running("/group"))[:2]
    marathons.ask("/v2/tasks/delete", "POST", {"ids": victims})
    eventually(lambda: not marathons.running("/group") & set(victims), "two have ended")
    marathons.wait_running("/group", 4)
    assert racks(marathons, "/group") == {"a": 2, "b": 2}

    # Another rack gives the third one its place.
    marathons.cluster.add_agent(attributes="rack:c").start()
    marathons.wait_running("/unique", 3)
    assert racks(marathons, "/unique") == {"a": 1, "b": 1, "c": 1}


def test_resources_of_the_own_role_are_used_as_far_as_they_are_accepted(new_marathons: NewMarathons) -> None:
    resources = "cpus(web):1;mem(web):256;ports(web):[31000-31009];cpus:1;mem:256;ports:[31010-31019]"
    marathons = with_agents(new_marathons, {"resources": resources}, mesos_role="web")
    app = {**SLEEP, "cpus": 1, "mem": 32, "instances": 2, "acceptedResourceRoles": ["web"]}
    marathons.create({"id": "/own", **app})
    marathons.wait_running("/own", 1)
    eventually(
        lambda: reasons(marathons, "/own").get("InsufficientCpus") == 1, "there are no more of its own"
    )
    marathons.create({"id": "/rest", **app, "instances": 1, "acceptedResourceRoles": ["*"]})
    marathons.wait_running("/rest", 1)


def test_tasks_know_what_they_got(new_marathons: NewMarathons) -> None:
    marathons = with_agents(new_marathons, {"resources": "cpus:2;mem:512;ports:[31000-31009,8080-8081]"})
    marathons.create(
        {
            "id": "/team/web",
            "cmd": "env -0 > environment.part; mv environment.part environment; sleep 1000",
            "cpus": 0.25,
            "mem": 32,
            "labels": {"tier": "front"},
            "env": {"WHO": "me"},
            "requirePorts": True,
            "portDefinitions": [{"port": 8081, "name": "http"}, {"port": 0}],
            "taskKillGracePeriodSeconds": 1,
        }
    )
    (task_id,) = marathons.wait_running("/team/web", 1)
    task = marathons.tasks("/team/web")[task_id]
    fixed, dynamic = task["ports"]
    assert fixed == 8081
    assert dynamic in (8080, *range(31000, 31010))

    def environment() -> dict[str, str] | None:
        found = list(marathons.directory.rglob(f"{task_id}/runs/*/environment"))
        if not found:
            return None
        pairs = [one.partition("=") for one in found[0].read_text().split("\0") if one]
        return {name: value for name, _, value in pairs}

    found = eventually(environment, "the task has written its environment")
    expected = {
        "MESOS_TASK_ID": task_id,
        "MARATHON_APP_ID": "/team/web",
        "MARATHON_APP_VERSION": task["version"],
        "MARATHON_APP_RESOURCE_CPUS": "0.25",
        "MARATHON_APP_LABEL_TIER": "front",
        "HOST": task["host"],
        "PORT0": "8081",
        "PORT": "8081",
        "PORT_HTTP": "8081",
        "PORT1": str(dynamic),
        "PORTS": f"8081,{dynamic}",
        "WHO": "me",
    }
    assert {name: found.get(name) for name in expected} == expected
    told = marathons.cluster.tasks()[task_id]
    assert told["name"] == "web.team"
    assert [(port["number"], port.get("name")) for port in told["discovery"]["ports"]["ports"]] == [
        (8081, "http"),
        (dynamic, None),
    ]


def test_who_comes_next_does_not_wait_for_offers(new_marathons: NewMarathons) -> None:
    """Offers are asked for every five seconds at most, as by default; ten apps one after another need them at once."""
    marathons = new_marathons(agents=2, min_revive_offers_interval="5000", decline_offer_duration="120000")
    for number in range(10):
        marathons.create({"id": f"/app-{number}", **SLEEP})
        marathons.wait_running(f"/app-{number}", 1, timeout_s=4)


def test_an_app_that_fails_is_launched_less_and_less_often(new_marathons: NewMarathons) -> None:
    marathons = new_marathons()
    marathons.create({"id": "/broken", **SLEEP, "cmd": "exit 3", "backoffSeconds": 1, "backoffFactor": 30})

    def delay() -> Any:
        waiting = [one for one in marathons.ask("/v2/queue")["queue"] if one["app"]["id"] == "/broken"]
        return waiting[0]["delay"] if waiting else None

    def long_delay() -> bool:
        found = delay()
        return bool(found) and not found["overdue"] and found["timeLeftSeconds"] > 20

    eventually(long_delay, "its second failure delays it for half a minute", 15)
    app = marathons.ask("/v2/apps/broken")["app"]
    assert app["lastTaskFailure"]["state"] == "TASK_FAILED", json.dumps(app["lastTaskFailure"])
    launched = len([one for one in marathons.cluster.tasks() if one.startswith("broken.")])
    assert launched == 2
    marathons.ask("/v2/queue/broken/delay", "DELETE", status=204)
    eventually(
        lambda: len([one for one in marathons.cluster.tasks() if one.startswith("broken.")]) == 3,
        "it is launched at once",
    )
    marathons.ask("/v2/queue/nothing/delay", "DELETE", status=404)


@pytest.mark.parametrize("check", ["MESOS_TCP", "COMMAND"])
def test_agents_check_what_they_are_told_to(new_marathons: NewMarathons, check: str) -> None:
    marathons = new_marathons()
    own = {"command": {"value": "test -e well"}} if check == "COMMAND" else {"portIndex": 0}
    marathons.create(
        {
            "id": "/checked",
            **SLEEP,
            "cmd": "touch well; exec python3 -m http.server $PORT0",
            "healthChecks": [
                {"protocol": check, **own, "gracePeriodSeconds": 10, "intervalSeconds": 1, "delaySeconds": 0}
            ],
        }
    )
    eventually(lambda: marathons.ask("/v2/apps/checked")["app"]["tasksHealthy"] == 1, "it is healthy", 15)
