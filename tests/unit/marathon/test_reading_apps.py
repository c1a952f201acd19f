"""Definitions that are right: what is filled in, old forms, and how they are shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from koinon.marathon import reading
from koinon.marathon.model import App, Group
from koinon.marathon.model.app import Network, PortDefinition, PortMapping, VersionInfo
from koinon.marathon.model.settings import Rules
from koinon.marathon.rendering import render_app, render_group, render_pod


def read(rules: Rules = Rules(), **fields: Any) -> App:  # noqa: B008 - it is frozen
    return reading.app({"id": "/a", "cmd": "sleep 1"} | fields, rules=rules)


def mappings(app: App) -> tuple[PortMapping, ...]:
    assert app.container is not None
    return app.container.port_mappings or ()


# ── defaults ──────────────────────────────────────────────────────────────────────────────────────
def test_the_smallest_app_gets_all_defaults() -> None:
    app = read()
    assert app == App("/a", cmd="sleep 1", port_definitions=(PortDefinition(name="default"),))
    assert (app.cpus, app.mem, app.disk, app.gpus, app.instances) == (1, 128, 0, 0, 1)
    assert (app.backoff_seconds, app.backoff_factor, app.max_launch_delay_seconds) == (1, 1.15, 300)


def test_nothing_is_shown_that_is_not_set() -> None:
    app = msgspec.structs.replace(read(), version="v", version_info=VersionInfo("s", "c"))
    assert render_app(app) == {
        "id": "/a",
        "cmd": "sleep 1",
        "instances": 1,
        "cpus": 1,
        "mem": 128,
        "disk": 0,
        "gpus": 0,
        "labels": {},
        "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "default"}],
        "requirePorts": False,
        "networks": [{"mode": "host"}],
        "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
        "backoffSeconds": 1,
        "backoffFactor": 1.15,
        "maxLaunchDelaySeconds": 300,
        "killSelection": "YOUNGEST_FIRST",
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "role": "*",
        "executor": "",
        "version": "v",
        "versionInfo": {"lastScalingAt": "s", "lastConfigChangeAt": "c"},
    }


def test_unknown_fields_are_ignored() -> None:
    assert read(tasksRunning=3, storeUrls=[], colour="red") == read()


def test_booleans_may_be_spelled_as_python_does() -> None:
    assert read(requirePorts="True").require_ports
    assert not read(fetch=[{"uri": "x", "extract": "False"}]).fetch[0].extract


def test_words_may_be_in_lower_case() -> None:
    assert read(killSelection="oldest_first").kill_selection == "OLDEST_FIRST"
    assert read(healthChecks=[{"protocol": "mesos_tcp"}]).health_checks[0].protocol == "MESOS_TCP"


def test_operators_of_constraints_may_be_in_lower_case() -> None:
    assert read(constraints=[["rack", "group_by", "3"], ["rack", "group_by", "3"]]).constraints == (
        ("rack", "GROUP_BY", "3"),
    )


@pytest.mark.parametrize("suffix", ["", ".d"])
def test_ids_may_have_dots_and_dot_segments(suffix: str) -> None:
    app = reading.app(
        {"id": f"../x/./y{suffix}", "cmd": "x", "dependencies": ["../z"]}, base="/team", rules=Rules()
    )
    assert (app.id, app.dependencies) == (f"/x/y{suffix}", ("/z",))


def test_an_app_of_a_single_instance_is_stopped_before_it_is_started() -> None:
    strategy = read(labels={"MARATHON_SINGLE_INSTANCE_APP": "true"}).upgrade_strategy
    assert (strategy.minimum_health_capacity, strategy.maximum_over_capacity) == (0, 0)


def test_checks_look_at_the_first_port_unless_they_name_one() -> None:
    checks = read(
        healthChecks=[{}, {"port": 80}, {"protocol": "COMMAND", "command": {"value": "true"}}]
    ).health_checks
    assert [(one.port_index, one.port) for one in checks] == [(0, None), (None, 80), (None, None)]


def test_fields_of_no_meaning_for_a_check_are_not_shown() -> None:
    app = read(healthChecks=[{}, {"protocol": "TCP"}])
    assert ["ignoreHttp1xx" in one for one in render_app(app)["healthChecks"]] == [True, False]


# ── networks and ports ────────────────────────────────────────────────────────────────────────────
def test_a_bridge_has_a_port_and_a_container_by_default() -> None:
    app = read(networks=[{"mode": "container/bridge"}])
    assert mappings(app) == (PortMapping(host_port=0, name="default"),)
    assert app.container is not None
    assert (app.container.type, app.port_definitions) == ("MESOS", None)


def test_a_network_of_containers_takes_no_host_ports_unless_told() -> None:
    app = read(networks=[{"name": "overlay"}], requirePorts=True)
    assert app.networks == (Network("container", "overlay"),)
    assert [one.host_port for one in mappings(app)] == [None]
    assert not app.require_ports


def test_a_network_without_a_name_is_the_default_one() -> None:
    app = read(Rules(default_network_name="overlay"), networks=[{"mode": "container"}])
    assert app.networks[0].name == "overlay"


def test_no_ports_can_be_asked_for() -> None:
    assert read(portDefinitions=[]).port_definitions == ()
    assert (
        mappings(
            read(networks=[{"mode": "container/bridge"}], container={"type": "MESOS", "portMappings": []})
        )
        == ()
    )


# ── old forms ─────────────────────────────────────────────────────────────────────────────────────
def test_ports_become_port_definitions() -> None:
    assert read(ports=[80, 0]).port_definitions == (PortDefinition(80, name="default"), PortDefinition())
    assert read(ports=[80], portDefinitions=[{"port": 80, "name": "web"}]).port_definitions == (
        PortDefinition(80, name="web"),
    )


def test_ports_become_port_mappings_without_host_networking() -> None:
    app = read(
        ports=[0, 0, 0], container={"docker": {"image": "x", "network": "BRIDGE", "portMappings": [{}]}}
    )
    assert len(mappings(app)) == 3
    assert app.port_definitions is None


@pytest.mark.parametrize(
    ("uri", "extract"), [("http://h/a.tgz", True), ("http://h/a.tar.xz", True), ("http://h/a.jar", False)]
)
def test_uris_become_fetch_and_archives_are_unpacked(uri: str, extract: bool) -> None:
    assert [(one.uri, one.extract) for one in read(uris=[uri]).fetch] == [(uri, extract)]


@pytest.mark.parametrize(
    ("fields", "networks"),
    [
        ({"container": {"docker": {"image": "x", "network": "HOST"}}}, [{"mode": "host"}]),
        ({"container": {"docker": {"image": "x", "network": "BRIDGE"}}}, [{"mode": "container/bridge"}]),
        (
            {"container": {"docker": {"image": "x", "network": "USER"}}, "ipAddress": {"networkName": "net"}},
            [{"mode": "container", "name": "net"}],
        ),
        ({"ipAddress": {"networkName": "net", "labels": {"a": "b"}}},
         [{"mode": "container", "name": "net", "labels": {"a": "b"}}]),
        ({"ipAddress": {"networkName": "mesos-bridge"}}, [{"mode": "container/bridge"}]),
    ],
)  # fmt: skip
def test_old_networks_become_those_of_today(fields: dict[str, Any], networks: list[dict[str, str]]) -> None:
    shown = render_app(read(**fields))
    assert shown["networks"] == networks
    assert "ipAddress" not in shown
    assert "network" not in shown.get("container", {}).get("docker", {})


def test_old_port_mappings_move_to_the_container() -> None:
    old = {
        "docker": {"image": "x", "network": "BRIDGE", "portMappings": [{"containerPort": 80, "name": "web"}]}
    }
    assert mappings(read(container=old)) == (PortMapping(80, 0, name="web"),)


def test_ports_of_an_ip_address_become_port_mappings() -> None:
    app = read(ipAddress={"networkName": "net", "discovery": {"ports": [{"number": 80, "name": "web"}]}})
    assert mappings(app) == (PortMapping(80, name="web"),)
    assert app.container is not None
    assert app.container.type == "MESOS"


def test_old_mappings_are_dropped_with_host_networking() -> None:
    app = read(
        container={"docker": {"image": "x", "network": "HOST", "portMappings": [{"containerPort": 80}]}}
    )
    assert app.container is not None
    assert app.container.port_mappings is None
    assert app.port_definitions == (PortDefinition(name="default"),)


# ── pods, groups ──────────────────────────────────────────────────────────────────────────────────
def test_a_pod_gets_all_defaults() -> None:
    body = {"id": "p", "containers": [{"name": "c", "resources": {}, "endpoints": [{"name": "web"}]}]}
    assert render_pod(reading.pod(body, rules=Rules(role="dev"))) == {
        "id": "/p",
        "containers": [
            {
                "name": "c",
                "resources": {"cpus": 1, "mem": 128, "disk": 0, "gpus": 0},
                "endpoints": [{"name": "web", "hostPort": 0, "protocol": ["tcp"]}],
            }
        ],
        "networks": [{"mode": "host"}],
        "scaling": {"instances": 1, "kind": "fixed"},
        "scheduling": {
            "backoff": {"backoff": 1, "backoffFactor": 1.15, "maxLaunchDelay": 300},
            "upgrade": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
            "placement": {"constraints": [], "acceptedResourceRoles": []},
            "killSelection": "YOUNGEST_FIRST",
            "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        },
        "executorResources": {"cpus": 0.1, "mem": 32, "disk": 10},
        "role": "dev",
    }


def test_endpoints_of_container_networks_have_no_host_port_unless_told() -> None:
    endpoint = {"name": "web", "containerPort": 80}
    body = {
        "id": "p",
        "networks": [{"name": "net"}],
        "containers": [{"name": "c", "resources": {}, "endpoints": [endpoint]}],
    }
    assert reading.pod(body, rules=Rules()).containers[0].endpoints[0].host_port is None


def test_a_group_says_that_it_enforces_its_role_only_if_it_does() -> None:
    assert render_group(Group("/g", ("/x",), version="v")) == {
        "id": "/g",
        "version": "v",
        "dependencies": ["/x"],
    }
    assert render_group(Group("/g", enforce_role=True))["enforceRole"]
