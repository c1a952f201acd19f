"""Rules for the descriptions of tasks and executors, each with its sentence."""

import math

import pytest

from koinon.master.core.validation.tasks import executor_problem, resources_problem, task_problem
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from tests.unit.master.cluster import executor_info, resources, task_info

Health, Check = v1.HealthCheck.Type, v1.CheckInfo.Type
Variable = v1.Environment.Variable
Container = v1.ContainerInfo


def limited(name: str, value: float) -> v1.TaskInfo:
    return task_info(limits={name: v1.Value.Scalar(value)})


def with_variable(**fields: object) -> v1.TaskInfo:
    environment = v1.Environment(variables=[Variable(name="X", **fields)])
    return task_info(command=v1.CommandInfo(value="x", environment=environment))


def healthy(**fields: object) -> v1.TaskInfo:
    return task_info(health_check=v1.HealthCheck(**fields))


def checked(**fields: object) -> v1.TaskInfo:
    return task_info(check=v1.CheckInfo(**fields))


def contained(**fields: object) -> v1.TaskInfo:
    return task_info(container=Container(**fields))


def volume(**fields: object) -> list[v1.Volume]:
    return [v1.Volume(container_path="p", mode=v1.Volume.Mode.RW, **fields)]


DOCKER, MESOS = Container.Type.DOCKER, Container.Type.MESOS


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (task_info(".."), "its id is not valid: '..' is not allowed as an id"),
        (task_info("a/b"), "its id is not valid: 'a/b' must not contain a slash or a backslash"),
        (task_info(command=None), "it must have either a command or an executor"),
        (
            task_info(command=v1.CommandInfo(value="x"), executor=executor_info()),
            "it must have either a command or an executor",
        ),
        (task_info(text=""), "it asks for no resources"),
        (
            task_info(kill_policy=v1.KillPolicy(grace_period=v1.DurationInfo(-1))),
            "the grace period of its kill policy is negative",
        ),
        (task_info(max_completion_time=v1.DurationInfo(-1)), "its max_completion_time is negative"),
        (limited("disk", 1.0), "a limit on 'disk' is not possible, only on cpus and mem"),
        (limited("cpus", 0.5), "its limit on 'cpus' is less than what it asks for"),
        (
            task_info(text="cpus:1", limits={"mem": v1.Value.Scalar(1.0)}),
            "it limits 'mem' without asking for any",
        ),
        (with_variable(), "environment variable 'X' must have a value and no secret"),
        (
            with_variable(type=Variable.Type.SECRET, value="v"),
            "environment variable 'X' must have a secret and no value",
        ),
        (
            with_variable(type=Variable.Type.SECRET, secret=v1.Secret(value=v1.Secret.Value(data=b"a\0"))),
            "the secret of environment variable 'X' holds a NUL byte",
        ),
        (
            with_variable(type=Variable.Type.UNKNOWN, value="v"),
            "environment variable 'X' has no known type",
        ),
        (healthy(), "its health check has no known type"),
        (healthy(type=Health.COMMAND), "its health check of type COMMAND lacks 'command'"),
        (
            healthy(type=Health.COMMAND, command=v1.CommandInfo()),
            "the command of its health check lacks 'value'",
        ),
        (healthy(type=Health.HTTP), "its health check of type HTTP lacks 'http'"),
        (
            healthy(type=Health.HTTP, http=v1.HealthCheck.HTTPCheckInfo(port=1, scheme="ftp")),
            "its health check has scheme 'ftp', neither http nor https",
        ),
        (
            healthy(type=Health.HTTP, http=v1.HealthCheck.HTTPCheckInfo(port=1, path="x")),
            "the path 'x' of its health check lacks the leading '/'",
        ),
        (healthy(type=Health.TCP), "its health check of type TCP lacks 'tcp'"),
        (healthy(type=Health.TCP, delay_seconds=-1.0), "a time of its health check is negative"),
        (checked(), "its check has no known type"),
        (checked(type=Check.COMMAND), "its check of type COMMAND lacks 'command'"),
        (checked(type=Check.TCP), "its check of type TCP lacks 'tcp'"),
        (
            checked(type=Check.HTTP, http=v1.CheckInfo.Http(port=1, path="x")),
            "the path 'x' of its check lacks the leading '/'",
        ),
        (checked(type=Check.TCP, timeout_seconds=-1.0), "a time of its check is negative"),
        (contained(type=DOCKER), "its container of type DOCKER lacks 'docker'"),
        (
            contained(
                type=DOCKER,
                docker=Container.DockerInfo(image="i", parameters=[v1.Parameter(key="name", value="x")]),
            ),
            "the docker parameter 'name' is ours to set",
        ),
        (
            contained(type=MESOS, volumes=volume()),
            "the volume at 'p' must have exactly one of host_path, image and source",
        ),
        (
            contained(
                type=MESOS,
                volumes=volume(source=v1.Volume.Source(type=v1.Volume.Source.Type.SANDBOX_PATH)),
            ),
            "the volume at 'p' has a source of type SANDBOX_PATH that lacks 'sandbox_path'",
        ),
    ],
)
def test_what_is_wrong_with_a_task(task, problem):
    assert task_problem(task) == problem


@pytest.mark.parametrize(
    "task",
    [
        task_info(),
        task_info(command=None, executor=executor_info()),
        limited("cpus", 1.0),
        limited("mem", math.inf),
        with_variable(value="v"),
        healthy(type=Health.COMMAND, command=v1.CommandInfo(value="x")),
        healthy(type=Health.HTTP, http=v1.HealthCheck.HTTPCheckInfo(port=1, scheme="https", path="/x")),
        checked(type=Check.TCP, tcp=v1.CheckInfo.Tcp(port=1)),
        contained(type=DOCKER, docker=Container.DockerInfo(image="i")),
        contained(type=MESOS, volumes=volume(host_path="/x")),
    ],
)
def test_good_tasks(task):
    assert task_problem(task) is None


def test_docker_containers_cannot_be_in_groups():
    task = contained(type=DOCKER, docker=Container.DockerInfo(image="i"))
    assert task_problem(task, in_group=True) == "a container of type DOCKER cannot be in a group"


def test_limits_in_groups_need_cgroups_of_their_own():
    own = Container(type=MESOS, linux_info=v1.LinuxInfo(share_cgroups=False))
    limits = {"cpus": v1.Value.Scalar(2.0)}
    assert task_problem(task_info(limits=limits), in_group=True) is not None
    assert task_problem(task_info(limits=limits, container=own), in_group=True) is None


@pytest.mark.parametrize(
    ("text", "role", "problem"),
    [
        ("gpus:1.5", "*", "gpus must be a whole number, not 1.5"),
        ("gpus:2", "*", None),
    ],
)
def test_what_is_wrong_with_resources(text, role, problem):
    assert resources_problem(Resources.parse(text), role) == problem


def test_resources_of_another_role_do_not_fit():
    assert resources_problem(Resources.parse("cpus:1").allocated("b"), "a") == (
        "its resources are allocated to role 'b', but the offer is for role 'a'"
    )


def test_one_name_is_not_both_revocable_and_not():
    plain, revocable = resources("cpus:1"), resources("cpus:1")
    revocable[0].revocable = v1.Resource.RevocableInfo()
    mixed = Resources.from_v1([*plain, *revocable])
    assert resources_problem(mixed, "*") == "'cpus' is asked for both revocable and not revocable"


@pytest.mark.parametrize(
    ("executor", "problem"),
    [
        (executor_info(), None),
        (executor_info(type=None, command=v1.CommandInfo(value="x")), None),
        (executor_info(command=None), "its executor has no command"),
        (executor_info(type=v1.ExecutorInfo.Type.DEFAULT), "its executor must be of type CUSTOM"),
        (
            executor_info("a/b"),
            "the id of its executor is not valid: 'a/b' must not contain a slash or a backslash",
        ),
        (executor_info(framework_id=v1.FrameworkID("G")), "its executor belongs to framework G"),
        (
            executor_info(shutdown_grace_period=v1.DurationInfo(-1)),
            "the shutdown grace period of its executor is negative",
        ),
    ],
)
def test_executors(executor, problem):
    assert executor_problem(executor, "F", in_group=False) == problem
