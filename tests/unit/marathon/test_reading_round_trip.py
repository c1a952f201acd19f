"""What is shown can be sent again: it reads to the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.marathon import reading
from koinon.marathon.core.changes.edit import carry_over
from koinon.marathon.model import App, Pod
from koinon.marathon.model.settings import Rules
from koinon.marathon.rendering import render_app, render_pod

RULES = Rules(features=frozenset({"secrets", "gpu_resources"}))

names = st.from_regex(r"[a-z]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
words = texts.filter(lambda text: "\0" not in text)  #: what can be handed to a program
labels = st.dictionaries(texts, texts, max_size=2)
ports = st.integers(0, 65535)
counts = st.integers(0, 1000)
resources = st.floats(0.001, 1000, allow_nan=False) | st.integers(1, 1000)


def object_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Each field may be missing."""
    return st.fixed_dictionaries({}, optional=fields)


commands = st.one_of(
    st.fixed_dictionaries({"cmd": words.filter(len)}),
    st.fixed_dictionaries({"args": st.lists(words, min_size=1, max_size=2)}),
)
constraints = st.one_of(
    st.tuples(names, st.sampled_from(["UNIQUE", "cluster", "GROUP_BY"])),
    st.tuples(names, st.just("MAX_PER"), st.integers(1, 9).map(str)),
    st.tuples(names, st.sampled_from(["LIKE", "UNLIKE"]), names),
).map(list)
mapping = object_of(
    containerPort=ports,
    hostPort=ports,
    servicePort=ports,
    labels=labels,
    protocol=st.sampled_from(["tcp", "udp,tcp"]),
)
images = object_of(forcePullImage=st.booleans(), privileged=st.booleans()).map(
    lambda more: {"image": "nginx"} | more
)
volumes = st.lists(st.just({"containerPath": "/data", "hostPath": "/srv", "mode": "RO"}), max_size=1)
containers = st.one_of(
    st.fixed_dictionaries({"docker": images}, optional={"volumes": volumes}),
    st.fixed_dictionaries({"type": st.just("MESOS")}, optional={"volumes": volumes}),
)
health_checks = object_of(
    protocol=st.sampled_from(["HTTP", "HTTPS", "TCP"]),
    path=texts,
    port=ports,
    gracePeriodSeconds=counts,
    ignoreHttp1xx=st.booleans(),
)
common = object_of(
    instances=counts,
    cpus=resources,
    mem=resources,
    disk=resources,
    env=st.dictionaries(names, words, max_size=2),
    labels=labels,
    constraints=st.lists(constraints, max_size=3),
    fetch=st.lists(st.fixed_dictionaries({"uri": names}, optional={"extract": st.booleans()}), max_size=2),
    upgradeStrategy=object_of(minimumHealthCapacity=st.floats(0, 1), maximumOverCapacity=st.floats(0, 1)),
    backoffSeconds=counts,
    backoffFactor=st.floats(1, 10),
    taskKillGracePeriodSeconds=counts,
    killSelection=st.sampled_from(["YOUNGEST_FIRST", "OLDEST_FIRST"]),
    unreachableStrategy=st.just("disabled") | st.just({"expungeAfterSeconds": 3}),
    dependencies=st.lists(names.map(lambda name: f"/other/{name}"), max_size=2),
    acceptedResourceRoles=st.just(["*"]),
    user=texts,
    executorResources=object_of(cpus=st.floats(0.1, 4)),
    resourceLimits=st.just({"mem": "unlimited"}),
    tty=st.booleans(),
)
with_host_ports = st.one_of(
    object_of(
        portDefinitions=st.lists(
            object_of(labels=labels, protocol=st.sampled_from(["tcp", "udp"])), min_size=1, max_size=3
        ),
        requirePorts=st.booleans(),
        container=containers,
        healthChecks=st.lists(health_checks, max_size=2),
    ),
    st.fixed_dictionaries({"ports": st.lists(ports, unique=True, max_size=3)}),
)
with_mappings = st.builds(
    lambda container, mappings, networks: {
        "container": container | ({"portMappings": mappings} if mappings is not None else {}),
        "networks": networks,
    },
    containers,
    st.none() | st.lists(mapping, max_size=3),
    st.sampled_from([[{"mode": "container/bridge"}], [{"name": "overlay", "labels": {"a": "b"}}]]),
)
apps = st.builds(
    lambda *parts: {"id": "/team/x"} | parts[0] | parts[1] | parts[2],
    commands,
    common,
    with_host_ports | with_mappings,
)

endpoints = st.fixed_dictionaries({"name": names}, optional={"hostPort": st.just(0), "labels": labels})
pods = st.builds(
    lambda pod, container: {"id": "/p", "containers": [{"name": "c", "resources": {}} | container]} | pod,
    object_of(
        labels=labels,
        environment=st.dictionaries(st.just("A"), words),
        scaling=object_of(instances=counts),
        scheduling=object_of(
            backoff=object_of(backoff=st.floats(0, 10)),
            killSelection=st.just("OLDEST_FIRST"),
            placement=st.just({"constraints": [{"fieldName": "rack", "operator": "unique"}]}),
        ),
        user=texts.filter(len),
    ),
    object_of(
        exec=st.sampled_from([{"command": {"shell": "sleep 1"}}, {"command": {"argv": ["a"]}}]),
        image=st.just({"kind": "DOCKER", "id": "nginx"}),
        endpoints=st.lists(endpoints, max_size=2, unique_by=lambda one: one["name"]),
        environment=st.dictionaries(st.just("B"), words),
        lifecycle=object_of(killGracePeriodSeconds=st.floats(0, 9)),
        tty=st.booleans(),
    ),
)


def read(body: dict[str, Any]) -> App:
    return reading.app(body, rules=RULES)


def read_pod(body: dict[str, Any]) -> Pod:
    return reading.pod(body, rules=RULES)


@settings(max_examples=60)
@given(apps)
def test_an_app_that_is_shown_reads_to_itself(body: dict[str, Any]) -> None:
    app = read(body)
    assert read(render_app(app)) == app


@settings(max_examples=60)
@given(apps)
def test_what_is_shown_is_shown_again(body: dict[str, Any]) -> None:
    shown = render_app(read(body))
    assert render_app(read(shown)) == shown


@settings(max_examples=60)
@given(apps)
def test_an_update_that_says_nothing_new_changes_nothing(body: dict[str, Any]) -> None:
    app = read(body)
    assert carry_over(app, reading.updated(app, {}, rules=RULES)) is app
    assert carry_over(app, reading.updated(app, render_app(app), rules=RULES)) is app
    assert carry_over(app, reading.updated(app, body, rules=RULES)) is app


@settings(max_examples=60)
@given(pods)
def test_a_pod_that_is_shown_reads_to_itself(body: dict[str, Any]) -> None:
    pod = read_pod(body)
    assert read_pod(render_pod(pod)) == pod
