"""Task groups of pods: executors, environment, containers, checks."""

from __future__ import annotations

from typing import Any

import pytest

from koinon.marathon.matching import Settings
from koinon.marathon.model import Pod
from koinon.marathon.model.app import (
    ExecCommand,
    Fetch,
    Network,
    ResourceLimits,
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
from koinon.mesos import v1

from .launches import VERSION, env, group

BRIDGE = (Network("container/bridge"),)


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
