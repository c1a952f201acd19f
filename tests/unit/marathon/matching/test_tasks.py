"""Tasks of apps: environment, commands, containers, networks."""

from __future__ import annotations

from typing import Any

import pytest

from koinon.marathon.matching import Settings
from koinon.marathon.matching.containers import VolumeUnsupported
from koinon.marathon.matching.environment import SecretsUnsupported
from koinon.marathon.model.app import (
    Container,
    Docker,
    ExecutorResources,
    Fetch,
    IpcInfo,
    LinuxInfo,
    Network,
    Parameter,
    PersistentVolume,
    PortDefinition,
    PortMapping,
    ResourceLimits,
    Seccomp,
    SecretRef,
    Volume,
)
from koinon.mesos import v1

from .launches import VERSION, app, env, launch

BRIDGE = (Network("container/bridge"),)


# ── environment ───────────────────────────────────────────────────────────────────────────────────
def test_the_environment_of_a_task() -> None:
    task = launch(
        app(
            cpus=0.5,
            mem=64,
            env={"A": "b", "PORT": "own", "MARATHON_APP_ID": "mine"},
            labels={"a-b.c": "1", "k" * 493: "too long", "v": "x" * 512, "n": "\0"},
            port_definitions=(PortDefinition(10001, name="http"),),
        )
    )
    assert env(task) == {
        "MESOS_TASK_ID": "prod_web.instance-1b2c._app.1",
        "MARATHON_APP_ID": "mine",
        "MARATHON_APP_VERSION": VERSION,
        "MARATHON_APP_RESOURCE_CPUS": "0.5",
        "MARATHON_APP_RESOURCE_MEM": "64.0",
        "MARATHON_APP_RESOURCE_DISK": "0.0",
        "MARATHON_APP_RESOURCE_GPUS": "0",
        "MARATHON_APP_ENFORCE_GROUP_ROLE": "FALSE",
        "MARATHON_APP_LABELS": "A_B_C",
        "MARATHON_APP_LABEL_A_B_C": "1",
        "HOST": "host1",
        "PORT0": "31000",
        "PORT_10001": "31000",
        "PORT_HTTP": "31000",
        "PORT": "own",
        "PORTS": "31000",
        "A": "b",
    }


def test_no_ports_no_variables_of_ports() -> None:
    assert not [name for name in env(launch(app(port_definitions=()))) if name.startswith("PORT")]


def test_ports_of_mappings() -> None:
    container = Container(
        "MESOS", port_mappings=(PortMapping(80, 0, name="web"), PortMapping(0, 0), PortMapping(99))
    )
    task = launch(
        app(container=container, networks=(Network("container", "n"),), port_definitions=None),
        ports="31000-31001",
    )
    found = env(task)
    first, second = found["PORT0"], found["PORT1"]
    assert {first, second} == {"31000", "31001"}
    assert found["PORT_80"] == found["PORT_WEB"] == found["PORT"] == first
    assert found[f"PORT_{second}"] == second
    assert found["PORT2"] == found["PORT_99"] == "99"
    assert found["PORTS"] == f"{first},{second},99"


def test_the_prefix_is_that_of_ports_and_host_only() -> None:
    found = env(launch(app(port_definitions=(PortDefinition(),)), Settings(env_vars_prefix="X_")))
    assert found["X_HOST"] == "host1"
    assert found["X_PORT0"] == "31000"
    assert "MESOS_TASK_ID" in found
    assert "PORT0" not in found


def test_the_groups_role_is_told() -> None:
    assert env(launch(app(), enforce_role=True))["MARATHON_APP_ENFORCE_GROUP_ROLE"] == "TRUE"


def test_a_secret_is_refused() -> None:
    with pytest.raises(SecretsUnsupported, match="'PASSWORD' refers to the secret 'db'"):
        launch(app(env={"PASSWORD": SecretRef("db")}))


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("fields", "shell", "value", "arguments"),
    [
        ({}, True, "run", []),
        ({"cmd": None, "args": ("ls", "-l")}, False, "ls", ["ls", "-l"]),
        ({"cmd": None, "container": Container("DOCKER", Docker("x"))}, False, None, []),
        ({"cmd": None, "args": ("-l",), "container": Container("MESOS", Docker("x"))}, False, None, ["-l"]),
        ({"cmd": None, "args": ("ls",), "container": Container("MESOS")}, False, "ls", ["ls"]),
    ],
)
def test_commands(fields: dict[str, Any], shell: bool, value: str | None, arguments: list[str]) -> None:
    command = launch(app(**fields)).command
    assert command is not None
    assert (command.shell, command.value, command.arguments) == (shell, value, arguments)


def test_who_runs_it() -> None:
    for given, of_flag, expected in [(None, None, None), (None, "nobody", "nobody"), ("me", "nobody", "me")]:
        command = launch(app(user=given), Settings(mesos_user=of_flag)).command
        assert command is not None
        assert command.user == expected


def test_what_is_fetched() -> None:
    command = launch(app(fetch=(Fetch("http://a/b.tgz", cache=True, dest_path="c"),))).command
    assert command is not None
    (uri,) = command.uris
    assert uri == v1.CommandInfo.URI(
        value="http://a/b.tgz", executable=False, extract=True, cache=True, output_file="c"
    )


def test_a_custom_executor_gets_the_command() -> None:
    task = launch(
        app(
            executor="/opt/my run",
            executor_resources=ExecutorResources(),
            container=Container("MESOS"),
            env={"A": "b"},
        )
    )
    assert task.command is None
    assert task.container is None
    executor = task.executor
    assert executor is not None
    assert executor.type is v1.ExecutorInfo.Type.CUSTOM
    assert executor.executor_id.value == "marathon-prod_web.instance-1b2c._app.1"
    assert executor.command is not None
    assert executor.command.value == "chmod ug+rx '/opt/my run' && exec '/opt/my run' run"
    assert executor.container is not None
    assert {one.name: one.scalar.value for one in executor.resources if one.scalar} == {
        "cpus": 0.1,
        "mem": 32,
        "disk": 10,
    }
    assert env(task)["A"] == "b"


def test_names_labels_grace_and_limits() -> None:
    task = launch(
        app(
            labels={"a": "b"},
            task_kill_grace_period_seconds=7,
            resource_limits=ResourceLimits("unlimited", 256),
        )
    )
    assert task.name == "web.prod"
    assert task.agent_id.value == "S1"
    assert task.labels == v1.Labels(labels=[v1.Label(key="a", value="b")])
    assert task.kill_policy == v1.KillPolicy(grace_period=v1.DurationInfo(7_000_000_000))
    assert task.limits["cpus"].value == float("inf")
    assert task.limits["mem"].value == 256


# ── containers ────────────────────────────────────────────────────────────────────────────────────
def test_a_plain_command_has_no_container() -> None:
    assert launch(app()).container is None


def test_a_terminal_needs_one() -> None:
    container = launch(app(tty=True)).container
    assert container is not None
    assert container.tty_info is not None


def test_docker_with_a_bridge() -> None:
    docker = Docker("nginx", force_pull_image=True, privileged=True, parameters=(Parameter("hostname", "x"),))
    mappings = (PortMapping(80, 0, protocol="udp,tcp"),)
    volumes = (Volume("/data", "RO", host_path="/srv"),)
    task = launch(
        app(
            container=Container("DOCKER", docker, volumes, mappings),
            networks=BRIDGE,
            port_definitions=None,
        )
    )
    assert task.container == v1.ContainerInfo(
        type=v1.ContainerInfo.Type.DOCKER,
        volumes=[v1.Volume(mode=v1.Volume.Mode.RO, container_path="/data", host_path="/srv")],
        docker=v1.ContainerInfo.DockerInfo(
            image="nginx",
            network=v1.ContainerInfo.DockerInfo.Network.BRIDGE,
            port_mappings=[
                v1.ContainerInfo.DockerInfo.PortMapping(host_port=31000, container_port=80, protocol=protocol)
                for protocol in ("udp", "tcp")
            ],
            privileged=True,
            parameters=[
                v1.Parameter(key="hostname", value="x"),
                v1.Parameter(key="label", value="MESOS_TASK_ID=prod_web.instance-1b2c._app.1"),
            ],
            force_pull_image=True,
        ),
    )
    assert env(task)["MARATHON_APP_DOCKER_IMAGE"] == "nginx"


def test_docker_on_a_network() -> None:
    container = launch(
        app(
            container=Container("DOCKER", Docker("x"), port_mappings=()),
            networks=(Network("container", "net"),),
            port_definitions=None,
        )
    ).container
    assert container is not None
    assert container.docker is not None
    assert container.docker.network is v1.ContainerInfo.DockerInfo.Network.USER
    assert [one.name for one in container.network_infos] == ["net"]


def test_a_mesos_container_with_an_image_on_a_bridge() -> None:
    linux = LinuxInfo(Seccomp("default"), IpcInfo("PRIVATE", 64))
    container = launch(
        app(
            container=Container(
                "MESOS",
                Docker("x", force_pull_image=True),
                port_mappings=(PortMapping(0, 0),),
                linux_info=linux,
            ),
            networks=BRIDGE,
            port_definitions=None,
        ),
        Settings(mesos_bridge_name="br"),
    ).container
    assert container is not None
    assert container.mesos is not None
    assert container.mesos.image == v1.Image(
        type=v1.Image.Type.DOCKER, docker=v1.Image.Docker(name="x"), cached=False
    )
    (network,) = container.network_infos
    assert network.name == "br"
    assert network.port_mappings == [
        v1.NetworkInfo.PortMapping(host_port=31000, container_port=31000, protocol="tcp")
    ]
    assert container.linux_info is not None
    assert container.linux_info.seccomp == v1.SeccompInfo(profile_name="default", unconfined=False)
    assert container.linux_info.shm_size == 64


def test_a_mapping_belongs_to_the_networks_that_it_names() -> None:
    container = launch(
        app(
            container=Container("MESOS", port_mappings=(PortMapping(80, 0, network_names=("b",)),)),
            networks=(Network("container", "a"), Network("container", "b", {"k": "v"})),
            port_definitions=None,
        )
    ).container
    assert container is not None
    assert [(one.name, len(one.port_mappings)) for one in container.network_infos] == [("a", 0), ("b", 1)]
    assert container.network_infos[1].labels == v1.Labels(labels=[v1.Label(key="k", value="v")])


def test_other_volumes_are_refused() -> None:
    with pytest.raises(VolumeUnsupported, match="the volume at data is none of the host's"):
        launch(app(container=Container("MESOS", volumes=(Volume("data", persistent=PersistentVolume(1)),))))


# ── discovery ─────────────────────────────────────────────────────────────────────────────────────
def discovered(task: v1.TaskInfo) -> list[tuple[int, str | None, str | None, dict[str, str | None]]]:
    assert task.discovery is not None
    assert task.discovery.name == "web.prod"
    assert task.discovery.visibility is v1.DiscoveryInfo.Visibility.FRAMEWORK
    assert task.discovery.ports is not None
    return [
        (
            one.number,
            one.name,
            one.protocol,
            {label.key: label.value for label in one.labels.labels} if one.labels else {},
        )
        for one in task.discovery.ports.ports
    ]


def test_ports_of_the_host_are_discovered() -> None:
    definition = PortDefinition(0, protocol="udp,tcp", name="dns", labels={"VIP_0": "x"})
    assert discovered(launch(app(port_definitions=(definition,)))) == [
        (31000, "dns", "udp", {"VIP_0": "x"}),
        (31000, "dns", "tcp", {"VIP_0": "x"}),
    ]


def test_ports_of_containers_are_discovered() -> None:
    mappings = (PortMapping(80, 0, name="a", network_names=("n",)), PortMapping(81, name="b"))
    found = discovered(
        launch(
            app(
                container=Container("MESOS", port_mappings=mappings),
                networks=(Network("container", "n"), Network("container", "m")),
                port_definitions=None,
            )
        )
    )
    assert found == [
        (31000, "a", "tcp", {"network-scope": "host"}),
        (81, "b", "tcp", {"network-scope": "container", "network-name": "n"}),
        (81, "b", "tcp", {"network-scope": "container", "network-name": "m"}),
    ]
