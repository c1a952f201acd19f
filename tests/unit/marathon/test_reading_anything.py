"""Whatever JSON is sent: it is read, or refused with a status and problems that have paths. Nothing else is raised."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from koinon.marathon.core import changes
from koinon.marathon.core.changes import assign
from koinon.marathon.model import Root
from koinon.marathon.model.problems import Invalid, Refused
from koinon.marathon.model.settings import Rules
from koinon.marathon.rendering import render_app, render_pod

RULES = Rules(features=frozenset({"secrets", "gpu_resources"}))

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.sampled_from([10**400, -(10**400)])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "/", "..", "a", "/a/b", "restart", "HTTP", "host", "container", "0", "*", "tcp", "disabled"]
    )
    | st.text(max_size=5)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

APP: dict[str, Any] = {
    "id": "/a",
    "cmd": "x",
    "args": ["x"],
    "container": {
        "type": "DOCKER",
        "docker": {
            "image": "x", "network": "BRIDGE", "portMappings": [{"containerPort": 1}], "parameters": [{"key": "a", "value": "b"}],
            "pullConfig": {"secret": "s"}, "credential": {},
        },
        "volumes": [{"containerPath": "a", "hostPath": "b", "mode": "RO", "persistent": {"size": 1}, "external": {"name": "x"}}],
        "portMappings": [{"containerPort": 1, "hostPort": 1, "networkNames": ["a"], "labels": {"a": "b"}}],
        "linuxInfo": {"seccomp": {"unconfined": True}, "ipcInfo": {"mode": "PRIVATE", "shmSize": 1}},
    },
    "env": {"A": "b", "B": {"secret": "s"}},
    "secrets": {"s": {"source": "x"}},
    "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"},
    "constraints": [["rack", "LIKE", "a"]],
    "fetch": [{"uri": "x", "extract": True}],
    "uris": ["x"],
    "ports": [1],
    "portDefinitions": [{"port": 1, "name": "a"}],
    "networks": [{"mode": "container", "name": "n", "labels": {}}],
    "ipAddress": {"networkName": "n", "discovery": {"ports": [{"number": 1, "name": "x"}]}, "labels": {}},
    "healthChecks": [{"protocol": "HTTP", "portIndex": 0, "command": {"value": "x"}}],
    "check": {"http": {"port": 1}, "exec": {"command": {"shell": "x"}}},
    "readinessChecks": [{"portName": "a", "httpStatusCodesForReady": [200]}],
    "upgradeStrategy": {"minimumHealthCapacity": 1},
    "unreachableStrategy": {"inactiveAfterSeconds": 1, "expungeAfterSeconds": 2},
    "residency": {"taskLostBehavior": "WAIT_FOREVER"},
    "dependencies": ["../b"],
    "acceptedResourceRoles": ["*"],
    "resourceLimits": {"cpus": "unlimited", "mem": 500},
    "executorResources": {"cpus": 1},
    "role": "*",
    "version": "2026-01-01T00:00:00.000Z",
}  # fmt: skip
POD: dict[str, Any] = {
    "id": "/p",
    "containers": [
        {
            "name": "c",
            "resources": {"cpus": 1, "mem": 32},
            "resourceLimits": {"cpus": 2},
            "exec": {"command": {"argv": ["x"]}},
            "image": {"kind": "DOCKER", "id": "x", "pullConfig": {"secret": "s"}},
            "endpoints": [{"name": "web", "containerPort": 1, "hostPort": 1, "protocol": ["tcp"]}],
            "healthCheck": {"http": {"endpoint": "web"}, "intervalSeconds": 30},
            "check": {"tcp": {"endpoint": "web"}},
            "volumeMounts": [{"name": "v", "mountPath": "x"}],
            "artifacts": [{"uri": "x"}],
        }
    ],
    "volumes": [{"name": "v", "host": "/x"}],
    "networks": [{"name": "n"}],
    "secrets": {"s": {"source": "x"}},
    "scaling": {"kind": "fixed", "instances": 2},
    "scheduling": {
        "placement": {"constraints": [{"fieldName": "a", "operator": "IS", "value": "b"}], "acceptedResourceRoles": ["*"]},
        "unreachableStrategy": "disabled",
    },
}  # fmt: skip
GROUP: dict[str, Any] = {
    "id": "g",
    "dependencies": ["../b"],
    "enforceRole": False,
    "apps": [{"id": "x", "cmd": "x"}],
    "groups": [{"id": "s", "apps": [{"id": "y", "cmd": "y"}], "groups": []}],
}
THERE = changes.create_pod(
    changes.create_app(Root(), {"id": "/g/x", "cmd": "x"}, RULES),
    {"id": "/g/p", "containers": [{"name": "c", "resources": {}}]},
    RULES,
)


@st.composite
def spoiled(draw: st.DrawFn, body: dict[str, Any]) -> Any:
    """`body` without some of its fields, and with something else in a few places."""
    made: Any = copy.deepcopy(body)
    for name in draw(st.sets(st.sampled_from(sorted(body)), min_size=len(body) // 2)):
        if name != "id" or draw(st.booleans()):
            del made[name]
    for _ in range(draw(st.integers(0, 3))):
        place: Any = made
        while isinstance(place, dict | list) and place:
            keys: list[Any] = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
                place[key] = draw(anything)
                break
            place = place[key]
    return made


def demand_due_form(refused: Refused) -> None:
    assert refused.status in (400, 404, 409, 422)
    msgspec.json.encode(refused.body)
    if isinstance(refused, Invalid):
        assert refused.body["details"]
        assert all(one["errors"] and one["path"].startswith(("/", "(")) for one in refused.body["details"])


def made_or_refused(change: Callable[[], Root]) -> None:
    """What is made can be shown, and every definition lies in a group."""
    try:
        target = assign(THERE, change(), RULES)
    except Refused as refused:
        demand_due_form(refused)
        return
    for app in target.apps.values():
        msgspec.json.encode(render_app(app))
    for pod in target.pods.values():
        msgspec.json.encode(render_pod(pod))
    assert all(
        path in target.groups
        for one in (*target.apps, *target.pods)
        for path in [one.rpartition("/")[0] or "/"]
    )


@settings(max_examples=100)
@given(spoiled(APP) | anything)
@example({"id": "/", "cmd": "x"})
def test_as_an_app(body: Any) -> None:
    made_or_refused(lambda: changes.create_app(THERE, body, RULES))
    made_or_refused(lambda: changes.put_app(THERE, "/g/x", body, RULES))
    made_or_refused(lambda: changes.put_apps(THERE, [body, body], RULES, partial=False))
    made_or_refused(lambda: changes.patch_apps(THERE, body, RULES))
    made_or_refused(lambda: (changes.version_asked(body), THERE)[1])


@settings(max_examples=100)
@given(spoiled(POD) | anything)
def test_as_a_pod(body: Any) -> None:
    made_or_refused(lambda: changes.create_pod(THERE, body, RULES))
    made_or_refused(lambda: changes.put_pod(THERE, "/g/p", body, RULES))


@settings(max_examples=100)
@given(spoiled(GROUP) | anything)
def test_as_a_group(body: Any) -> None:
    made_or_refused(lambda: changes.create_group(THERE, "/", body, RULES))
    made_or_refused(lambda: changes.patch_group(THERE, "/g", body, RULES))

    def put() -> Root:
        match changes.group_request(body):
            case changes.ScaleBy(factor):
                return changes.scale_group(THERE, changes.group_id("/", body), factor, RULES)
            case changes.ToVersion(_):
                return changes.rollback_group(THERE, changes.group_id("/", body), THERE, RULES)
        return changes.put_group(THERE, "/", body, RULES)

    made_or_refused(put)
