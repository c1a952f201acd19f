"""What is launched: environment, containers, networks, checks; of apps and of pods."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from koinon.marathon.matching import Settings, launch_operation
from koinon.marathon.matching.containers import VolumeUnsupported
from koinon.marathon.matching.environment import SecretsUnsupported
from koinon.marathon.model import App, Instance, Pod, ids
from koinon.marathon.model.app import (
    Check,
    Command,
    Container,
    Docker,
    ExecCheck,
    ExecCommand,
    ExecutorResources,
    Fetch,
    HealthCheck,
    HttpCheck,
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
    TcpCheck,
    Volume,
)
from koinon.marathon.model.pod import (
    Endpoint,
    Exec,
    HttpEndpoint,
    Image,
    Lifecycle,
    PodCheck,
    PodContainer,
    PodHealthCheck,
    PodVolume,
    Resources,
    TcpEndpoint,
    VolumeMount,
)
from koinon.marathon.model.records import Task
from koinon.marathon.model.root import RunSpec
from koinon.mesos import v1

from .offers import matched, offer

VERSION = "2026-01-01T00:00:00.000Z"
UUID = "1b2c"
BRIDGE = (Network("container/bridge"),)


def operation(
    spec: RunSpec, settings: Settings | None = None, *, ports: str = "31000-31000", enforce_role: bool = False
) -> v1.Offer.Operation:
    settings = settings or Settings()
    free = offer(f"cpus:8;mem:8000;disk:9000;gpus:2;ports:[{ports}]", agent="S1", host="host1")
    labels = {"GPU_SCHEDULING_BEHAVIOR": "unrestricted"} | spec.labels
    found = matched(free, msgspec.structs.replace(spec, labels=labels), settings=settings)
    instance_id = ids.instance_id(spec.id, UUID)
    names = [one.name for one in spec.containers] if isinstance(spec, Pod) else [None]
    tasks = tuple(Task(ids.task_id(instance_id, 1, name)) for name in names)
    instance = Instance(instance_id, spec.id, spec.version, tasks=tasks)
    return launch_operation(found, spec, instance, settings, enforce_role=enforce_role)


def launch(app: App, settings: Settings | None = None, **more: Any) -> v1.TaskInfo:
    made = operation(app, settings, **more)
    assert made.type is v1.Offer.Operation.Type.LAUNCH
    assert made.launch is not None
    (task,) = made.launch.task_infos
    return task


def group(
    pod: Pod, settings: Settings | None = None, **more: Any
) -> tuple[v1.ExecutorInfo, list[v1.TaskInfo]]:
    made = operation(pod, settings, **more)
    assert made.type is v1.Offer.Operation.Type.LAUNCH_GROUP
    assert made.launch_group is not None
    return made.launch_group.executor, made.launch_group.task_group.tasks


def env(task: v1.TaskInfo) -> dict[str, str | None]:
    command = task.command or (task.executor.command if task.executor is not None else None)
    assert command is not None
    assert command.environment is not None
    return {one.name: one.value for one in command.environment.variables}


def app(**fields: Any) -> App:
    return App(**({"id": "/prod/web", "cmd": "run", "version": VERSION} | fields))


# ── environment ───────────────────────────────────────────────────────────────────────────────────
def test_the_environment_of_a_task() -> None:
    task = launch(
        app(
            cpus=0.5,
            mem=64,
            env={"A": "b", "PORT": "own", "MARATHON_APP_ID": "mine"},
            labels={"a-b.c": "1", "k" * 493: "too long", "v": "x" * 512},
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


# ── checks ────────────────────────────────────────────────────────────────────────────────────────
def health(check: HealthCheck, **fields: Any) -> v1.HealthCheck | None:
    return launch(app(health_checks=(check,), port_definitions=(PortDefinition(),), **fields)).health_check


def test_checks_that_marathon_makes_are_not_the_agents() -> None:
    assert health(HealthCheck("HTTP")) is None


def test_an_agents_health_check_by_http() -> None:
    found = health(HealthCheck("MESOS_HTTPS", 1, 2, 3, 4, 5, path="/up", ip_protocol="IPv6"))
    assert found == v1.HealthCheck(
        grace_period_seconds=1.0,
        interval_seconds=2.0,
        timeout_seconds=3.0,
        delay_seconds=4.0,
        consecutive_failures=5,
        type=v1.HealthCheck.Type.HTTP,
        http=v1.HealthCheck.HTTPCheckInfo(
            protocol=v1.NetworkInfo.Protocol.IPv6, scheme="https", port=31000, path="/up"
        ),
    )


def test_an_agents_health_check_by_tcp_and_by_command() -> None:
    found = health(HealthCheck("MESOS_TCP", port=9))
    assert found is not None
    assert found.tcp is not None
    assert found.tcp.port == 9
    found = health(HealthCheck("COMMAND", command=Command("true")))
    assert found is not None
    assert found.type is v1.HealthCheck.Type.COMMAND
    assert found.command == v1.CommandInfo(value="true")


def test_agents_look_inside_the_container() -> None:
    task = launch(
        app(
            health_checks=(HealthCheck("MESOS_HTTP", port_index=1),),
            container=Container("MESOS", port_mappings=(PortMapping(80, 0), PortMapping(81, 0))),
            networks=BRIDGE,
            port_definitions=None,
        ),
        ports="31000-31001",
    )
    assert task.health_check is not None
    assert task.health_check.http is not None
    assert task.health_check.http.port == 81


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            Check(http=HttpCheck("/x")),
            v1.CheckInfo(type=v1.CheckInfo.Type.HTTP, http=v1.CheckInfo.Http(port=31000, path="/x")),
        ),
        (Check(tcp=TcpCheck(7)), v1.CheckInfo(type=v1.CheckInfo.Type.TCP, tcp=v1.CheckInfo.Tcp(7))),
        (
            Check(exec=ExecCheck(ExecCommand(argv=("a", "b")))),
            v1.CheckInfo(
                type=v1.CheckInfo.Type.COMMAND,
                command=v1.CheckInfo.Command(v1.CommandInfo(shell=False, value="a", arguments=["a", "b"])),
            ),
        ),
    ],
)
def test_checks(given: Check, expected: v1.CheckInfo) -> None:
    expected.delay_seconds, expected.interval_seconds, expected.timeout_seconds = 15.0, 60.0, 20.0
    assert launch(app(check=given, port_definitions=(PortDefinition(),))).check == expected


# ── pods ──────────────────────────────────────────────────────────────────────────────────────────
def pod(*containers: PodContainer, **fields: Any) -> Pod:
    return Pod(**({"id": "/prod/pod", "containers": containers, "version": VERSION} | fields))


def test_a_pods_executor_holds_what_is_shared() -> None:
    executor, tasks = group(
        pod(
            PodContainer("web", Resources(0.5, 64), endpoints=(Endpoint("http", 80, 0, ("udp", "tcp")),)),
            networks=BRIDGE,
            labels={"a": "b"},
        )
    )
    assert executor.type is v1.ExecutorInfo.Type.DEFAULT
    assert executor.executor_id.value == "instance-prod_pod.1b2c"
    assert [one.name for one in executor.resources] == ["cpus", "mem", "disk", "ports"]
    assert executor.labels == v1.Labels(labels=[v1.Label(key="a", value="b")])
    assert executor.container is not None
    (network,) = executor.container.network_infos
    assert [(one.host_port, one.container_port, one.protocol) for one in network.port_mappings] == [
        (31000, 80, "udp"),
        (31000, 80, "tcp"),
    ]
    (task,) = tasks
    assert task.name == "web"
    assert task.task_id.value == "prod_pod.instance-1b2c.web.1"
    assert {one.name: one.scalar.value for one in task.resources if one.scalar} == {"cpus": 0.5, "mem": 64}
    assert task.discovery is not None
    assert task.discovery.name == "pod.prod"


def test_the_environment_of_containers() -> None:
    _, (web, log) = group(
        pod(
            PodContainer(
                "web", endpoints=(Endpoint("ht-tp", 80, 0),), environment={"A": "own", "HOST": "mine"}
            ),
            PodContainer("log", Resources(0.1, 32), endpoints=(Endpoint("x", 90),), labels={"b": "2"}),
            networks=(Network("container", "n"),),
            environment={"A": "pod", "B": "pod"},
            labels={"a": "1"},
        ),
        Settings(env_vars_prefix="p_"),
    )
    shared = {
        "P_ENDPOINT_HT_TP": "80",
        "P_EP_HOST_HT_TP": "31000",
        "P_EP_CONTAINER_HT_TP": "80",
        "P_ENDPOINT_X": "90",
        "P_EP_CONTAINER_X": "90",
        "HOST": "host1",
        "MESOS_EXECUTOR_ID": "instance-prod_pod.1b2c",
        "MARATHON_APP_ID": "/prod/pod",
        "MARATHON_APP_VERSION": VERSION,
        "MARATHON_APP_ENFORCE_GROUP_ROLE": "FALSE",
        "MARATHON_CONTAINER_RESOURCE_DISK": "0.0",
        "MARATHON_CONTAINER_RESOURCE_GPUS": "0",
        "MARATHON_APP_LABEL_A": "1",
        "B": "pod",
    }
    assert env(web) == shared | {
        "A": "own",
        "MESOS_TASK_ID": "prod_pod.instance-1b2c.web.1",
        "MARATHON_CONTAINER_ID": "web",
        "MARATHON_CONTAINER_RESOURCE_CPUS": "1.0",
        "MARATHON_CONTAINER_RESOURCE_MEM": "128.0",
        "MARATHON_APP_LABELS": "A",
    }
    assert env(log) == shared | {
        "A": "pod",
        "MESOS_TASK_ID": "prod_pod.instance-1b2c.log.1",
        "MARATHON_CONTAINER_ID": "log",
        "MARATHON_CONTAINER_RESOURCE_CPUS": "0.1",
        "MARATHON_CONTAINER_RESOURCE_MEM": "32.0",
        "MARATHON_APP_LABELS": "A B",
        "MARATHON_APP_LABEL_B": "2",
    }


def test_endpoints_on_the_host() -> None:
    _, (task,) = group(pod(PodContainer("web", endpoints=(Endpoint("http", host_port=0),))))
    found = env(task)
    assert found["ENDPOINT_HTTP"] == found["EP_HOST_HTTP"] == "31000"
    assert "EP_CONTAINER_HTTP" not in found


def test_containers_of_pods() -> None:
    _, (task,) = group(
        pod(
            PodContainer(
                "web",
                exec=Exec(ExecCommand(argv=("run", "it")), override_entrypoint=True),
                image=Image("nginx", force_pull=True),
                user="me",
                volume_mounts=(VolumeMount("tmp", "/tmp", True), VolumeMount("srv", "data")),
                artifacts=(Fetch("http://a/b"),),
                lifecycle=Lifecycle(1.5),
                health_check=PodHealthCheck(tcp=TcpEndpoint("http")),
                check=PodCheck(http=HttpEndpoint("http", "/x")),
                endpoints=(Endpoint("http", 80),),
                tty=True,
            ),
            networks=(Network("container", "n"),),
            volumes=(PodVolume("tmp"), PodVolume("srv", "/srv")),
            user="other",
        )
    )
    assert task.command is not None
    assert (task.command.shell, task.command.value, task.command.arguments) == (False, "run", ["run", "it"])
    assert task.command.user == "me"
    assert [one.value for one in task.command.uris] == ["http://a/b"]
    container = task.container
    assert container is not None
    assert container.mesos is not None
    assert container.mesos.image is not None
    assert container.mesos.image.cached is False
    assert container.tty_info is not None
    tmp, srv = container.volumes
    assert tmp.mode is v1.Volume.Mode.RO
    assert tmp.source is not None
    assert tmp.source.sandbox_path is not None
    assert tmp.source.sandbox_path.path == "volumes/tmp"
    assert srv.host_path == "/srv"
    assert task.kill_policy == v1.KillPolicy(grace_period=v1.DurationInfo(1_500_000_000))
    assert task.health_check is not None
    assert task.health_check.tcp == v1.HealthCheck.TCPCheckInfo(port=80)
    assert task.check is not None
    assert task.check.http == v1.CheckInfo.Http(port=80, path="/x")


@pytest.mark.parametrize(
    ("given", "image", "shell", "value", "arguments"),
    [
        (None, Image("x"), False, None, []),
        (Exec(ExecCommand(shell="run it")), None, True, "run it", []),
        (Exec(ExecCommand(argv=("-x",))), Image("x"), False, None, ["-x"]),
        (Exec(ExecCommand(argv=("ls", "-x"))), None, False, "ls", ["ls", "-x"]),
    ],
)
def test_commands_of_pods(
    given: Exec | None, image: Image | None, shell: bool, value: str | None, arguments: list[str]
) -> None:
    _, (task,) = group(pod(PodContainer("c", exec=given, image=image)))
    assert task.command is not None
    assert (task.command.shell, task.command.value, task.command.arguments) == (shell, value, arguments)


@pytest.mark.parametrize(
    ("said", "limits", "expected"),
    [
        (None, None, None),
        (None, ResourceLimits(mem=256), False),
        (False, None, False),
        (True, None, True),
    ],
)
def test_containers_have_cgroups_of_their_own_where_it_matters(
    said: bool | None, limits: ResourceLimits | None, expected: bool | None
) -> None:
    executor, (task,) = group(pod(PodContainer("c", resource_limits=limits), legacy_shared_cgroups=said))
    for container in (executor.container, task.container):
        assert container is not None
        linux = container.linux_info
        assert (None if linux is None else linux.share_cgroups) is expected
