"""Wrong definitions: each is answered with its status, the kind of mistake, where it is, and what it is."""

from __future__ import annotations

from typing import Any

import pytest

from koinon.marathon.core import changes
from koinon.marathon.model import Root
from koinon.marathon.model.problems import Refused
from koinon.marathon.model.settings import Rules

FORM, MEANING = "Invalid JSON", "Object is not valid"
EVERYTHING = Rules(features=frozenset({"secrets", "gpu_resources", "external_volumes"}))

MESOS = {"type": "MESOS"}
IMAGE = {"type": "DOCKER", "docker": {"image": "nginx"}}
BRIDGE = [{"mode": "container/bridge"}]
TWO_NETWORKS = [{"name": "red"}, {"name": "blue"}]


def app(**fields: Any) -> dict[str, Any]:
    """A good app but for these fields."""
    return {"id": "/a", "cmd": "sleep 1000"} | fields


def container(**fields: Any) -> dict[str, Any]:
    """A good app of Mesos' engine but for these fields of its container."""
    return app(container=MESOS | fields)


def volume(**fields: Any) -> dict[str, Any]:
    return container(volumes=[{"containerPath": "data", "mode": "RW"} | fields])


def health(**fields: Any) -> dict[str, Any]:
    return app(healthChecks=[fields])


#: What is asked for, the kind of mistake, its path, and what is said of it (with a code, if it is one of form).
APPS: list[tuple[Any, str, str, str]] = [
    # ── form: types ──
    ([], FORM, "/", "error.expected.jsobject"),
    ({"cmd": "x"}, FORM, "/id", "error.path.missing"),
    ({"id": None, "cmd": "x"}, FORM, "/id", "error.path.missing"),
    ({"id": 7, "cmd": "x"}, FORM, "/id", "error.expected.jsstring"),
    (app(cmd=["x"]), FORM, "/cmd", "error.expected.jsstring"),
    (app(cpus="1"), FORM, "/cpus", "error.expected.jsnumber"),
    (app(mem=True), FORM, "/mem", "error.expected.jsnumber"),
    (app(instances=1.5), FORM, "/instances", "error.expected.int"),
    (app(args="x"), FORM, "/args", "error.expected.jsarray"),
    (app(env=["A=1"]), FORM, "/env", "error.expected.jsobject"),
    (app(env={"A": 1}), FORM, "/env/A", "error.expected.jsobject"),
    (app(env={"A": {}}), FORM, "/env/A/secret", "error.path.missing"),
    (app(labels={"a": None}), FORM, "/labels/a", "error.expected.jsstring"),
    (app(requirePorts="yes"), FORM, "/requirePorts", "error.expected.jsboolean"),
    (app(constraints=["hostname"]), FORM, "/constraints(0)", "error.expected.jsarray"),
    (app(fetch=[{"extract": False}]), FORM, "/fetch(0)/uri", "error.path.missing"),
    (app(container="nginx"), FORM, "/container", "error.expected.jsobject"),
    (app(container={"docker": {}}), FORM, "/container/docker/image", "error.path.missing"),
    (volume(persistent={}), FORM, "/container/volumes(0)/persistent/size", "error.path.missing"),
    # ── form: ranges, patterns, words ──
    (app(id="/A"), FORM, "/id", "error.pattern"),
    (app(id="/a_b"), FORM, "/id", "error.pattern"),
    (app(id="/-a"), FORM, "/id", "error.pattern"),
    (app(id=""), FORM, "/id", "error.minLength"),
    (app(cmd=""), FORM, "/cmd", "error.minLength"),
    (app(instances=-1), FORM, "/instances", "error.min"),
    (app(instances=2**31), FORM, "/instances", "error.max"),
    (app(cpus=0.0001), FORM, "/cpus", "error.min"),
    (app(mem=-1), FORM, "/mem", "error.min"),
    (app(backoffFactor=0.9), FORM, "/backoffFactor", "error.min"),
    (app(upgradeStrategy={"minimumHealthCapacity": 1.1}), FORM, "/upgradeStrategy/minimumHealthCapacity", "error.max"),
    (app(upgradeStrategy={"maximumOverCapacity": -1}), FORM, "/upgradeStrategy/maximumOverCapacity", "error.min"),
    (app(killSelection=1), FORM, "/killSelection", "error.unknown.enum.literal"),
    (app(killSelection="OLDEST"), FORM, "/killSelection", "error.unknown.enum.literal"),
    (app(unreachableStrategy="off"), FORM, "/unreachableStrategy", "error.unknown.enum.literal"),
    (app(constraints=[["hostname"]]), FORM, "/constraints(0)", "error.minLength"),
    (app(constraints=[["a", "IS", "b", "c"]]), FORM, "/constraints(0)", "error.maxLength"),
    (app(portDefinitions=[{"port": 70000}]), FORM, "/portDefinitions(0)/port", "error.max"),
    (app(portDefinitions=[{"protocol": "sctp"}]), FORM, "/portDefinitions(0)/protocol", "error.unknown.enum.literal"),
    (app(portDefinitions=[{"name": "Web"}]), FORM, "/portDefinitions(0)/name", "error.pattern"),
    (app(networks=[{"mode": "bridge"}]), FORM, "/networks(0)/mode", "error.unknown.enum.literal"),
    (app(fetch=[{"uri": "x" * 1025}]), FORM, "/fetch(0)/uri", "error.maxLength"),
    (app(executor="a//b"), FORM, "/executor", "error.pattern"),
    (app(executorResources={"mem": 1}), FORM, "/executorResources/mem", "error.min"),
    (app(resourceLimits={"cpus": "all"}), FORM, "/resourceLimits/cpus", "error.unknown.enum.literal"),
    (app(dependencies=["/B"]), FORM, "/dependencies(0)", "error.pattern"),
    (health(protocol="UDP"), FORM, "/healthChecks(0)/protocol", "error.unknown.enum.literal"),
    (health(intervalSeconds=-5), FORM, "/healthChecks(0)/intervalSeconds", "error.min"),
    (app(readinessChecks=[{"httpStatusCodesForReady": [99]}]), FORM,
     "/readinessChecks(0)/httpStatusCodesForReady(0)", "error.min"),
    (app(container=IMAGE | {"type": "RKT"}), FORM, "/container/type", "error.unknown.enum.literal"),
    (app(secrets={"s": {"source": ""}}), FORM, "/secrets/s/source", "error.minLength"),
    # ── ids, dependencies ──
    (app(id="/"), MEANING, "/id", "must have at least one segment: the root is a group"),
    (app(id="/x/versions"), MEANING, "/id",
     "must not end with 'versions': the words restart, tasks, versions are reserved"),
    (app(dependencies=["/a"]), MEANING, "/", "cyclic dependencies: /a → /a"),
    (app(id="/there"), MEANING, "/id", "/there cannot be both an app and a group"),
    (app(id="/there/db/replica"), MEANING, "/id", "/there/db cannot be both an app and a group"),
    (app(id="/there/pod"), MEANING, "/id", "/there/pod cannot be both an app and a pod"),
    (app(id="/there/x", dependencies=["/there"]), MEANING, "/", "cyclic dependencies: /there/x → /there → /there/x"),
    # ── what to run ──
    ({"id": "/a"}, MEANING, "/", "must have 'cmd' or 'args', or a 'container'"),
    (app(args=["x"]), MEANING, "/", "must have one of 'cmd' and 'args', not both"),
    (app(container={}), MEANING, "/container/docker", "must be given for a container of type DOCKER"),
    (app(gpus=1, container=IMAGE), MEANING, "/gpus", "GPUs are not supported by the Docker container engine"),
    (app(cpus=2, resourceLimits={"cpus": 1}), MEANING, "/resourceLimits/cpus",
     'must be 2, which is asked for, or more; or "unlimited"'),
    (app(fetch=[{"uri": "http://h/a b"}]), MEANING, "/fetch(0)/uri",
     "'http://h/a b' is not a URI: ' ' cannot be at 10"),
    (app(uris=["http://h/a"], fetch=[{"uri": "http://h/b"}]), MEANING, "/uris",
     "'fetch' and 'uris' say the same; only one of them may be given"),
    # ── containers ──
    (app(container={"docker": {"image": "x", "credential": {"principal": "me"}}}), MEANING,
     "/container/docker/credential", "is not supported any more; use 'pullConfig'"),
    (app(container={"docker": {"image": "x", "network": "NONE"}}), MEANING, "/container/docker/network",
     "NONE is not supported"),
    (app(container={"docker": {"image": "x", "pullConfig": {"secret": "s"}}}, secrets={"s": {"source": "x"}}),
     MEANING, "/container/docker/pullConfig", "is not supported by the Docker container engine"),
    (container(docker={"image": "x", "pullConfig": {"secret": "s"}}), MEANING,
     "/container/docker/pullConfig/secret", "'s' is not declared in 'secrets'"),
    (container(docker={"image": "x", "parameters": [{"key": "a", "value": "b"}]}), MEANING,
     "/container/docker/parameters", "are for the Docker container engine only"),
    (container(docker={"image": "x", "privileged": True}), MEANING, "/container/docker/privileged",
     "is for the Docker container engine only"),
    (app(container=IMAGE | {"linuxInfo": {}}), MEANING, "/container/linuxInfo",
     "is not supported by the Docker container engine"),
    (container(linuxInfo={"seccomp": {}}), MEANING, "/container/linuxInfo/seccomp",
     "must have a profileName, or be unconfined"),
    (container(linuxInfo={"seccomp": {"profileName": "x", "unconfined": True}}), MEANING,
     "/container/linuxInfo/seccomp", "must have a profileName or be unconfined, not both"),
    (container(linuxInfo={"ipcInfo": {"mode": "SHARE_PARENT", "shmSize": 16}}), MEANING,
     "/container/linuxInfo/ipcInfo/shmSize", "must not be given with SHARE_PARENT"),
    # ── volumes ──
    (volume(), MEANING, "/container/volumes(0)", "must have one of hostPath, persistent, external, secret"),
    (volume(hostPath="/x", secret="s"), MEANING, "/container/volumes(0)",
     "must have one of hostPath, persistent, external, secret, not hostPath and secret"),
    (container(volumes=[{"containerPath": "x", "hostPath": "/x"}]), MEANING, "/container/volumes(0)/mode",
     "must be RO or RW"),
    (volume(persistent={"size": 10}), MEANING, "/container/volumes(0)/persistent",
     "persistent volumes are not supported yet"),
    (volume(external={"name": "n", "provider": "dvdi"}), MEANING, "/container/volumes(0)/external",
     "external volumes are not supported yet"),
    (volume(secret="s"), MEANING, "/container/volumes(0)/secret", "'s' is not declared in 'secrets'"),
    # ── networks and ports ──
    (app(networks=[{"mode": "host"}, *BRIDGE]), MEANING, "/networks",
     "must be a single host network, a single bridge network, or container networks"),
    (app(networks=BRIDGE * 2), MEANING, "/networks",
     "must be a single host network, a single bridge network, or container networks"),
    (app(networks=[{"mode": "host", "name": "n"}]), MEANING, "/networks(0)/name",
     "a network of mode 'host' must not have a name"),
    (app(networks=[{"mode": "host", "labels": {"a": "b"}}]), MEANING, "/networks(0)/labels",
     "the host network must not have labels"),
    (app(networks=[{"mode": "container"}]), MEANING, "/networks(0)/name",
     "a container network must have a name: there is no default"),
    (app(networks=[{"name": "n"}] * 2), MEANING, "/networks", "Duplicate networks are not allowed: 'n'"),
    (app(networks=TWO_NETWORKS, container=IMAGE | {"portMappings": []}), MEANING, "/networks",
     "may only have a single container network when using the Docker container engine"),
    (app(networks=BRIDGE, container={"docker": {"image": "x", "network": "BRIDGE"}}), MEANING,
     "/container/docker/network", "cannot be given together with 'networks'"),
    (app(ipAddress={"networkName": "n"}, ports=[0]), MEANING, "/ipAddress",
     "cannot be given together with ports: each instance has all of its own"),
    (app(ipAddress={"networkName": "n", "discovery": {"ports": [{"name": "x"}]}},
         container={"docker": {"image": "x", "portMappings": [{}]}}), MEANING, "/ipAddress/discovery/ports",
     "cannot be given together with port mappings"),
    (app(networks=BRIDGE, ipAddress={}), MEANING, "/ipAddress", "cannot be given together with 'networks'"),
    (app(networks=BRIDGE, portDefinitions=[{"port": 80}]), MEANING, "/portDefinitions",
     "must not be given without host networking; use 'container.portMappings'"),
    (container(portMappings=[{"containerPort": 80}]), MEANING, "/container/portMappings",
     "must not be given with host networking; use 'portDefinitions'"),
    (app(ports=[1, 2], portDefinitions=[{"port": 1}]), MEANING, "/ports",
     "'ports' and 'portDefinitions' say different things"),
    (app(ports=[80, 80]), MEANING, "/portDefinitions(1)/port", "ports must be unique: '80' is there already"),
    (app(portDefinitions=[{"name": "web"}, {"name": "web"}]), MEANING, "/portDefinitions(1)/name",
     "the names of ports must be unique: 'web' is there already"),
    (container(portMappings=[{"name": "web"}, {"name": "web"}]) | {"networks": BRIDGE}, MEANING,
     "/container/portMappings(1)/name", "the names of ports must be unique: 'web' is there already"),
    (container(portMappings=[{"hostPort": 0}]) | {"networks": TWO_NETWORKS}, MEANING, "/container/portMappings(0)",
     "networkNames must name one network when there is a hostPort and several container networks"),
    (container(portMappings=[{"networkNames": ["green"]}]) | {"networks": TWO_NETWORKS}, MEANING,
     "/container/portMappings(0)/networkNames(0)", "'green' is none of the networks: blue, red"),
    # ── constraints ──
    (app(constraints=[["hostname", "NEAR"]]), MEANING, "/constraints(0)",
     "operator must be one of UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER, IS, not 'NEAR'"),
    (app(constraints=[["", "UNIQUE"]]), MEANING, "/constraints(0)", "a constraint must name a field"),
    (app(constraints=[["hostname", "UNIQUE", "1"]]), MEANING, "/constraints(0)", "UNIQUE does not accept a value"),
    (app(constraints=[["rack", "GROUP_BY", "many"]]), MEANING, "/constraints(0)",
     "GROUP_BY takes an integer or nothing, not 'many'"),
    (app(constraints=[["rack", "MAX_PER"]]), MEANING, "/constraints(0)", "MAX_PER requires an integer value"),
    (app(constraints=[["rack", "LIKE"]]), MEANING, "/constraints(0)", "LIKE requires a regular expression"),
    (app(constraints=[["rack", "UNLIKE", "("]]), MEANING, "/constraints(0)",
     "'(' is not a valid regular expression: missing ), unterminated subpattern at position 0"),
    (app(constraints=[["rack", "IS", "[1-2]"]]), MEANING, "/constraints(0)",
     "IS takes a text of letters, digits and _/.- or a number; no ranges, no sets"),
    # ── checks ──
    (health(portIndex=1), MEANING, "/healthChecks(0)/portIndex",
     "must address one of the ports of the app; there are 1 (counted from 0)"),
    (health() | {"portDefinitions": []}, MEANING, "/healthChecks(0)/portIndex",
     "the app has no ports: name one by 'port'"),
    (health(protocol="COMMAND"), MEANING, "/healthChecks(0)/command", "must be given for the protocol COMMAND"),
    (health(command={"value": "true"}), MEANING, "/healthChecks(0)/command",
     "is for the protocol COMMAND, not for HTTP"),
    (health(ipProtocol="IPv6"), MEANING, "/healthChecks(0)/ipProtocol",
     "IPv6 works only with MESOS_ protocols and containers of type DOCKER"),
    (app(healthChecks=[{"protocol": "MESOS_TCP"}, {"protocol": "MESOS_HTTP"}]), MEANING, "/healthChecks",
     "at most one can be made by the agent (MESOS_HTTP, MESOS_HTTPS, MESOS_TCP)"),
    (app(check={"tcp": {}, "http": {}}), MEANING, "/check", "must be one of http, tcp, exec, not http and tcp"),
    (app(check={}), MEANING, "/check", "must be one of http, tcp, exec"),
    (app(check={"tcp": {}}, container=IMAGE), MEANING, "/check", "is not supported by the Docker container engine"),
    (app(check={"exec": {"command": {}}}), MEANING, "/check/exec/command", "must have one of shell, argv"),
    (app(readinessChecks=[{"portName": "default"}] * 2), MEANING, "/readinessChecks", "at most one is supported"),
    (app(readinessChecks=[{}]), MEANING, "/readinessChecks(0)/portName",
     "'http-api' is the name of no port: default"),
    (app(readinessChecks=[{"portName": "default", "timeoutSeconds": 30}]), MEANING,
     "/readinessChecks(0)/timeoutSeconds", "must be less than intervalSeconds, which is 30"),
    # ── strategies, roles ──
    (app(labels={"MARATHON_SINGLE_INSTANCE_APP": "true"}, instances=2), MEANING, "/instances",
     "must be 0 or 1: the label MARATHON_SINGLE_INSTANCE_APP is set"),
    (app(labels={"MARATHON_SINGLE_INSTANCE_APP": "true"}, upgradeStrategy={"maximumOverCapacity": 1}), MEANING,
     "/upgradeStrategy/maximumOverCapacity", "must be 0: the label MARATHON_SINGLE_INSTANCE_APP is set"),
    (app(unreachableStrategy={"inactiveAfterSeconds": 5, "expungeAfterSeconds": 1}), MEANING,
     "/unreachableStrategy/inactiveAfterSeconds", "must not be more than expungeAfterSeconds"),
    (app(role="team"), MEANING, "/role", "must be '*', not 'team'"),
    (app(id="/there/x", role="team"), MEANING, "/role", "must be '*' or 'there', not 'team'"),
    (app(id="/own/x", role="*"), MEANING, "/role", "must be 'own', not '*'"),
    (app(acceptedResourceRoles=[]), MEANING, "/acceptedResourceRoles", "must not be empty"),
    (app(acceptedResourceRoles=["*", "team"]), MEANING, "/acceptedResourceRoles",
     "may hold '*' and the role '*', not 'team'"),
    (app(env={"A=B": "x"}), MEANING, "/env/A=B", "the name of a variable cannot have '=' or NUL in it"),
    (app(env={"A": "x\0"}), MEANING, "/env/A", "must not have a NUL character"),
    (app(cmd="echo \0"), MEANING, "/cmd", "must not have a NUL character"),
    ({"id": "/a", "args": ["a", "\0"]}, MEANING, "/args(1)", "must not have a NUL character"),
    (app(env={"": "x"}), MEANING, "/env", "a variable must have a name"),
    (app(env={"A": {"secret": "s"}}), MEANING, "/env/A/secret", "'s' is not declared in 'secrets'"),
]  # fmt: skip

POD_CONTAINER = {"name": "c", "resources": {"cpus": 0.1, "mem": 32}}


def pod(**fields: Any) -> dict[str, Any]:
    """A good pod but for these fields."""
    return {"id": "/p", "containers": [POD_CONTAINER]} | fields


def with_container(**fields: Any) -> dict[str, Any]:
    return pod(containers=[POD_CONTAINER | fields])


PODS: list[tuple[Any, str, str, str]] = [
    ({"id": "/p"}, FORM, "/containers", "error.path.missing"),
    (pod(containers=[]), FORM, "/containers", "error.minLength"),
    (pod(containers=[{"name": "c"}]), FORM, "/containers(0)/resources", "error.path.missing"),
    (with_container(name="C"), FORM, "/containers(0)/name", "error.pattern"),
    (with_container(name="c" * 64), FORM, "/containers(0)/name", "error.maxLength"),
    (with_container(resources={"cpus": 0}), FORM, "/containers(0)/resources/cpus", "error.min"),
    (with_container(environment={"A B": "x"}), FORM, "/containers(0)/environment/A B", "error.pattern"),
    (with_container(image={"id": "x", "kind": "APPC"}), FORM, "/containers(0)/image/kind",
     "error.unknown.enum.literal"),
    (pod(scaling={"kind": "elastic"}), FORM, "/scaling/kind", "error.unknown.enum.literal"),
    (pod(scheduling={"upgrade": {"minimumHealthCapacity": 2}}), FORM,
     "/scheduling/upgrade/minimumHealthCapacity", "error.max"),
    (pod(id="/"), MEANING, "/id", "must have at least one segment: the root is a group"),
    (pod(id="/there/db"), MEANING, "/id", "/there/db cannot be both an app and a pod"),
    (pod(containers=[POD_CONTAINER] * 2), MEANING, "/containers(1)/name",
     "the names of containers must be unique: 'c' is there already"),
    (with_container(exec={"command": {"shell": "x", "argv": ["x"]}}), MEANING, "/containers(0)/exec/command",
     "must have one of shell, argv"),
    (with_container(exec={"command": {"shell": "x"}, "overrideEntrypoint": False}), MEANING,
     "/containers(0)/exec/overrideEntrypoint", "must not be false with a shell command"),
    (with_container(endpoints=[{"name": "web", "containerPort": 80}]), MEANING,
     "/containers(0)/endpoints(0)/containerPort", "is not allowed when using host-mode networking"),
    (with_container(endpoints=[{"name": "web"}]) | {"networks": [{"name": "n"}]}, MEANING,
     "/containers(0)/endpoints(0)/containerPort", "is required when using container-mode networking"),
    (with_container(endpoints=[{"name": "web"}, {"name": "web"}]), MEANING, "/containers(0)/endpoints(1)/name",
     "the names of endpoints must be unique in the pod: 'web'"),
    (with_container(endpoints=[{"name": "a", "hostPort": 80}, {"name": "b", "hostPort": 80}]), MEANING,
     "/containers(0)/endpoints(1)/hostPort", "must be unique in the pod: 80 is there already"),
    (with_container(endpoints=[{"name": "a", "protocol": ["tcp", "tcp"]}]), MEANING,
     "/containers(0)/endpoints(0)/protocol(1)", "protocols of an endpoint must be unique: 'tcp' is there already"),
    (with_container(healthCheck={"http": {"endpoint": "web"}}), MEANING,
     "/containers(0)/healthCheck/http/endpoint", "'web' is none of the container's endpoints"),
    (with_container(healthCheck={}), MEANING, "/containers(0)/healthCheck", "must be one of http, tcp, exec"),
    (with_container(healthCheck={"exec": {"command": {"shell": "x"}}, "timeoutSeconds": 60}), MEANING,
     "/containers(0)/healthCheck/timeoutSeconds", "must be less than intervalSeconds, which is 60"),
    (with_container(volumeMounts=[{"name": "v", "mountPath": "x"}]), MEANING,
     "/containers(0)/volumeMounts(0)/name", "'v' is none of the pod's volumes"),
    (with_container(resourceLimits={"mem": 16}), MEANING, "/containers(0)/resourceLimits/mem",
     'must be 32, which is asked for, or more; or "unlimited"'),
    (with_container(resourceLimits={"mem": 64}) | {"legacySharedCgroups": True}, MEANING,
     "/containers(0)/resourceLimits", "must not be given with legacySharedCgroups"),
    (pod(volumes=[{"name": "v"}]), MEANING, "/volumes(0)", "no container mounts 'v'"),
    (with_container(volumeMounts=[{"name": "v", "mountPath": "x"}])
     | {"volumes": [{"name": "v", "persistent": {"size": 1}}]}, MEANING,
     "/volumes(0)/persistent", "persistent volumes are not supported yet"),
    (pod(linuxInfo={"seccomp": {"unconfined": True}}), MEANING, "/linuxInfo/seccomp",
     "must be given for containers, not for the pod"),
    (pod(scheduling={"placement": {"constraints": [{"fieldName": "rack", "operator": "MAX_PER"}]}}), MEANING,
     "/scheduling/placement/constraints(0)", "MAX_PER requires an integer value"),
    (pod(scheduling={"placement": {"acceptedResourceRoles": ["team"]}}), MEANING,
     "/scheduling/placement/acceptedResourceRoles", "may hold '*' and the role '*', not 'team'"),
]  # fmt: skip


def _nested(depth: int) -> dict[str, Any]:
    return {"id": "x", "groups": [_nested(depth - 1)]} if depth else {"id": "x"}


GROUPS: list[tuple[Any, str, str, str]] = [
    ({"apps": {}}, FORM, "/apps", "error.expected.jsarray"),
    ({"groups": [{}]}, FORM, "/groups(0)/id", "error.path.missing"),
    ({"groups": [{"id": "g", "apps": [{"id": "a", "cpus": "1"}]}]}, FORM, "/groups(0)/apps(0)/cpus",
     "error.expected.jsnumber"),
    (_nested(52), FORM, "/groups(0)" * 51, "groups may be 50 deep, not more"),
    ({"scaleBy": -1}, FORM, "/scaleBy", "error.min"),
    ({"version": "yesterday"}, FORM, "/version", "error.pattern"),
    ({"scaleBy": 2, "id": "/there"}, MEANING, "/scaleBy", "must stand alone, not with id"),
    ({"version": "2026-01-01T00:00:00.000Z", "apps": []}, MEANING, "/version", "must stand alone, not with apps"),
    ({"groups": [{"id": "g", "apps": [{"id": "a"}]}]}, MEANING, "/groups(0)/apps(0)",
     "must have 'cmd' or 'args', or a 'container'"),
    ({"apps": [{"id": "x/y", "cmd": "sleep 1"}]}, MEANING, "/apps(0)/id",
     "/there/x/y does not lie directly in /there"),
    ({"apps": [{"id": "x", "cmd": "sleep 1"}] * 2}, MEANING, "/apps(1)/id", "/there/x is there twice"),
    ({"groups": [{"id": "x", "apps": []}] * 2}, MEANING, "/groups(1)/id", "/there/x is there twice"),
    ({"groups": [{"id": "/elsewhere"}]}, MEANING, "/groups(0)/id", "/elsewhere does not lie directly in /there"),
    ({"groups": [{"id": "sub", "enforceRole": True}]}, MEANING, "/groups(0)/enforceRole",
     "can be set for top-level groups only, not for /there/sub"),
    ({"enforceRole": True, "apps": []}, MEANING, "/enforceRole",
     "cannot change in a request that also changes services; do one after the other"),
    ({"apps": [{"id": "pod", "cmd": "sleep 1"}]}, MEANING, "/apps(0)/id", "/there/pod cannot be both an app and a pod"),
    ({"groups": [{"id": "db"}]}, MEANING, "/groups(0)/id", "/there/db cannot be both an app and a group"),
    ({"apps": [{"id": "x", "cmd": "sleep 1", "role": "team"}]}, MEANING, "/apps(0)/role",
     "must be '*' or 'there', not 'team'"),
    ({"dependencies": ["/there/db"]}, MEANING, "/", "cyclic dependencies: /there → /there/db → /there"),
]  # fmt: skip


@pytest.fixture(scope="module")
def root() -> Root:
    """An app /there/db, a pod /there/pod, and a group /own that enforces its role."""
    root = changes.create_app(Root(), {"id": "/there/db", "cmd": "sleep 1"}, EVERYTHING)
    root = changes.create_pod(root, pod(id="/there/pod"), EVERYTHING)
    return changes.create_group(root, "/own", {"enforceRole": True}, EVERYTHING)


def _named(cases: list[tuple[Any, str, str, str]]) -> list[Any]:
    return [pytest.param(*case, id=f"{at}{case[2]}") for at, case in enumerate(cases)]


def _refusal(change: Any, *args: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        change(*args)
    return caught.value


def _is_said(refused: Refused, kind: str, path: str, message: str) -> None:
    assert refused.status == 422
    assert refused.body["message"] == kind
    (detail,) = refused.body["details"]
    assert (detail["path"], detail["errors"][0]) == (path, message)


def test_there_are_enough_of_them() -> None:
    assert len(APPS) + len(PODS) + len(GROUPS) >= 60


@pytest.mark.parametrize(("body", "kind", "path", "message"), _named(APPS))
def test_wrong_app(root: Root, body: Any, kind: str, path: str, message: str) -> None:
    _is_said(_refusal(changes.create_app, root, body, EVERYTHING), kind, path, message)


@pytest.mark.parametrize(("body", "kind", "path", "message"), _named(PODS))
def test_wrong_pod(root: Root, body: Any, kind: str, path: str, message: str) -> None:
    _is_said(_refusal(changes.create_pod, root, body, EVERYTHING), kind, path, message)


@pytest.mark.parametrize(("body", "kind", "path", "message"), _named(GROUPS))
def test_wrong_group(root: Root, body: Any, kind: str, path: str, message: str) -> None:
    _is_said(_refusal(changes.put_group, root, "/there", body, EVERYTHING), kind, path, message)


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (app(gpus=1), "/gpus", "Feature gpu_resources is not enabled: add it to --enable_features"),
        (
            app(secrets={"s": {"source": "x"}}),
            "/secrets",
            "Feature secrets is not enabled: it is not supported yet",
        ),
        (
            with_container(resources={"gpus": 1}),
            "/containers(0)/resources/gpus",
            "Feature gpu_resources is not enabled: add it to --enable_features",
        ),
    ],
)
def test_what_needs_a_feature_says_which(body: Any, path: str, message: str) -> None:
    change = changes.create_pod if "containers" in body else changes.create_app
    _is_said(_refusal(change, Root(), body, Rules()), MEANING, path, message)


def test_all_problems_are_told_at_once() -> None:
    body = app(args=["x"], constraints=[["a", "NEAR"], ["b", "MAX_PER"]], role="team", dependencies=["/a"])
    refused = _refusal(changes.create_app, Root(), body, Rules())
    assert [one["path"] for one in refused.body["details"]] == [
        "/",
        "/constraints(0)",
        "/constraints(1)",
        "/role",
    ]
    assert refused.body["details"][0]["errors"][1] == "cyclic dependencies: /a → /a"


def test_codes_have_a_sentence_beside_them() -> None:
    refused = _refusal(changes.create_app, Root(), app(instances=-1), Rules())
    assert refused.body["details"] == [{"path": "/instances", "errors": ["error.min", "must be 0 or more"]}]


@pytest.mark.parametrize("path", ["/A_B", "/é x", "/a/-b", "/" + "x" * 255])
def test_ids_in_the_path_of_a_request_are_checked_like_those_in_bodies(path: str) -> None:
    for change in (changes.put_group, changes.create_group):
        refused = _refusal(change, Root(), path, {}, Rules())
        assert (refused.status, refused.body["details"][0]["path"]) == (422, "/id")


def test_an_id_must_leave_room_for_task_ids() -> None:
    assert changes.create_app(Root(), app(id="/" + "x" * 196), Rules()).apps
    long = _refusal(changes.create_app, Root(), app(id="/" + "x" * 200), Rules())
    _is_said(long, MEANING, "/id", "would make task ids of more than 255 characters: it must be 4 shorter")
    pod = with_container(name="c" * 63) | {"id": "/" + "x" * 196}
    assert _refusal(changes.create_pod, Root(), pod, Rules()).body["details"][0]["path"] == "/id"
