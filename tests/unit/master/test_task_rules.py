"""What a scheduler hears when a task breaks a rule: one case for each rule, through ACCEPT.

Whatever is wrong with it, nothing of the task reaches its agent, and nothing is held for it.
"""

import pytest

from koinon.master.core import events as m
from koinon.mesos import v1
from koinon.mesos.v1 import TaskState
from tests.unit.master.cluster import (
    Cluster,
    Reason,
    Source,
    executor_info,
    framework_info,
    launch,
    launch_group,
    register,
    resources,
    statuses,
    task_info,
)

Container = v1.ContainerInfo
DOCKER, MESOS = Container.Type.DOCKER, Container.Type.MESOS
Health, Check = v1.HealthCheck, v1.CheckInfo
Reservation = v1.Resource.ReservationInfo
STATIC, DYNAMIC = Reservation.Type.STATIC, Reservation.Type.DYNAMIC
DEFAULT = v1.ExecutorInfo.Type.DEFAULT
RW = v1.Volume.Mode.RW
SCALAR, RANGES, SET = v1.Value.Type.SCALAR, v1.Value.Type.RANGES, v1.Value.Type.SET
NEGATIVE = v1.DurationInfo(-1)
COMMAND = v1.CommandInfo(value="x")


@pytest.fixture
def offered(cluster: Cluster) -> Cluster:
    """A framework on stream-1 with an offer of a well-equipped agent."""
    cluster.subscribe(framework_info(capabilities="GPU_RESOURCES"))
    cluster.join(register(text="cpus:8;mem:8000;disk:8000;gpus:4;ports:[1-9];zones:{a,b}"))
    cluster.tick()
    return cluster


def is_refused(cluster: Cluster, effects: list[m.Effect], reason: Reason, part: str, count: int = 1) -> None:
    """Nothing but TASK_ERROR came of it, and no trace is left."""
    errors = statuses(effects)
    assert len(errors) == len(effects) == count
    for error in errors:
        assert (error.state, error.reason) == (TaskState.TASK_ERROR, reason)
        assert (error.source, error.uuid) == (Source.SOURCE_MASTER, None)
        assert part in error.message
    assert cluster.framework.tasks == {}
    assert cluster.agent.used == {}


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────
def limited(**limits: float) -> v1.TaskInfo:
    return task_info(limits={name: v1.Value.Scalar(value) for name, value in limits.items()})


def with_variable(**fields: object) -> v1.TaskInfo:
    environment = v1.Environment(variables=[v1.Environment.Variable(name="X", **fields)])
    return task_info(command=v1.CommandInfo(value="x", environment=environment))


def with_volume(**fields: object) -> v1.TaskInfo:
    volume = v1.Volume(container_path="p", mode=RW, **fields)
    return task_info(container=Container(type=MESOS, volumes=[volume]))


def with_health(kind: str | None, **fields: object) -> v1.TaskInfo:
    return task_info(health_check=Health(type=kind and Health.Type[kind], **fields))


def with_check(kind: str | None, **fields: object) -> v1.TaskInfo:
    return task_info(check=Check(type=kind and Check.Type[kind], **fields))


def with_executor(**fields: object) -> v1.TaskInfo:
    return task_info(executor=executor_info(**fields))


def docker(**fields: object) -> Container:
    return Container(type=DOCKER, docker=Container.DockerInfo(image="i", **fields))


SECRET = v1.Environment.Variable.Type.SECRET
NAMED = [v1.Parameter(key="name", value="x")]

TASKS = {
    "task_id": (task_info("a/b"), "slash"),
    "task_id too long": (task_info("x" * 256), "255 bytes"),
    "agent_id": (task_info(agent_id="M-S9"), "names agent M-S9"),
    "command nor executor": (task_info(command=None), "either a command or an executor"),
    "command and executor": (
        task_info(command=COMMAND, executor=executor_info()),
        "either a command or an executor",
    ),
    "resources empty": (task_info(text=""), "no resources"),
    "resources of nothing": (task_info(text="gpus:0"), "no resources"),
    "resources of another role": (
        v1.TaskInfo(
            name="t",
            task_id=v1.TaskID("t"),
            agent_id=v1.AgentID("M-S0"),
            resources=resources("cpus:1", role="other"),
            command=COMMAND,
        ),
        "allocated to role 'other'",
    ),
    "more than offered": (task_info(text="cpus:8.001;mem:1"), "only cpus:8"),
    "ports not offered": (task_info(text="cpus:1;mem:1;ports:[9-10]"), "ports"),
    "ports of task and executor": (
        task_info(text="cpus:1;mem:1;ports:[1-2]", executor=executor_info(text="cpus:1;ports:[2-3]")),
        "executor 'e' asks for",
    ),
    "set of task and executor": (
        task_info(text="cpus:1;mem:1;zones:{a}", executor=executor_info(text="cpus:1;zones:{a}")),
        "executor 'e' asks for",
    ),
    "gpus": (task_info(text="cpus:1;mem:1;gpus:0.5"), "gpus must be a whole number"),
    "gpus of the executor": (with_executor(text="cpus:1;gpus:0.5"), "gpus must be a whole number"),
    "kill_policy": (task_info(kill_policy=v1.KillPolicy(grace_period=NEGATIVE)), "kill policy is negative"),
    "max_completion_time": (task_info(max_completion_time=NEGATIVE), "max_completion_time is negative"),
    "limit of disk": (limited(disk=1.0), "a limit on 'disk'"),
    "limit without request": (
        task_info(text="cpus:1", limits={"mem": v1.Value.Scalar(1.0)}),
        "without asking for any",
    ),
    "limit below request": (limited(cpus=0.999), "less than what it asks for"),
    "health_check type": (with_health(None), "no known type"),
    "health_check command": (with_health("COMMAND"), "lacks 'command'"),
    "health_check command value": (with_health("COMMAND", command=v1.CommandInfo()), "lacks 'value'"),
    "health_check http": (with_health("HTTP"), "lacks 'http'"),
    "health_check scheme": (
        with_health("HTTP", http=Health.HTTPCheckInfo(port=1, scheme="ftp")),
        "neither http nor https",
    ),
    "health_check path": (with_health("HTTP", http=Health.HTTPCheckInfo(port=1, path="x")), "leading '/'"),
    "health_check tcp": (with_health("TCP"), "lacks 'tcp'"),
    **{
        f"health_check {field}": (
            with_health("TCP", tcp=Health.TCPCheckInfo(port=1), **{field: -1.0}),
            "a time of its health check is negative",
        )
        for field in ("delay_seconds", "interval_seconds", "timeout_seconds", "grace_period_seconds")
    },
    "check type": (with_check(None), "no known type"),
    "check command": (with_check("COMMAND"), "lacks 'command'"),
    "check command value": (
        with_check("COMMAND", command=Check.Command(v1.CommandInfo())),
        "lacks 'value'",
    ),
    "check http": (with_check("HTTP"), "lacks 'http'"),
    "check path": (with_check("HTTP", http=Check.Http(port=1, path="x")), "leading '/'"),
    "check tcp": (with_check("TCP"), "lacks 'tcp'"),
    **{
        f"check {field}": (
            with_check("TCP", tcp=Check.Tcp(port=1), **{field: -1.0}),
            "a time of its check is negative",
        )
        for field in ("delay_seconds", "interval_seconds", "timeout_seconds")
    },
    "VALUE without value": (with_variable(), "a value and no secret"),
    "VALUE with secret": (with_variable(value="v", secret=v1.Secret()), "a value and no secret"),
    "SECRET without secret": (with_variable(type=SECRET), "a secret and no value"),
    "SECRET with value": (with_variable(type=SECRET, value="v", secret=v1.Secret()), "a secret and no value"),
    "SECRET with NUL": (
        with_variable(type=SECRET, secret=v1.Secret(value=v1.Secret.Value(data=b"\0"))),
        "NUL",
    ),
    "variable UNKNOWN": (
        with_variable(type=v1.Environment.Variable.Type.UNKNOWN, value="v"),
        "no known type",
    ),
    "variable of a health check": (
        with_health("COMMAND", command=with_variable().command),
        "a value and no secret",
    ),
    "variable of an executor": (with_executor(command=with_variable().command), "a value and no secret"),
    "DOCKER without docker": (task_info(container=Container(type=DOCKER)), "lacks 'docker'"),
    "docker parameter name": (task_info(container=docker(parameters=NAMED)), "parameter 'name'"),
    "volume of nothing": (with_volume(), "exactly one of host_path, image and source"),
    "volume of two": (
        with_volume(host_path="/x", image=v1.Image(type=v1.Image.Type.DOCKER)),
        "exactly one of host_path, image and source",
    ),
    **{
        f"volume source {kind.name}": (
            with_volume(source=v1.Volume.Source(type=kind)),
            f"lacks '{kind.name.lower()}'",
        )
        for kind in v1.Volume.Source.Type
        if kind.name != "UNKNOWN"
    },
    "volume source without type": (with_volume(source=v1.Volume.Source()), "source without a known type"),
    "executor type": (with_executor(type=DEFAULT), "must be of type CUSTOM"),
    "executor without command": (with_executor(command=None), "no command"),
    "executor_id": (with_executor(executor_id=".."), "id of its executor"),
    "executor of another framework": (
        with_executor(framework_id=v1.FrameworkID("G")),
        "belongs to framework G",
    ),
    "executor's grace period": (with_executor(shutdown_grace_period=NEGATIVE), "is negative"),
    "executor's container": (with_executor(container=Container(type=DOCKER)), "lacks 'docker'"),
}


@pytest.mark.parametrize(("task", "part"), TASKS.values(), ids=TASKS)
def test_a_task_that_breaks_a_rule_is_an_error(offered, task, part):
    is_refused(offered, offered.accept("stream-1", launch(task)), Reason.REASON_TASK_INVALID, part)


@pytest.mark.parametrize(
    "task",
    [
        limited(cpus=float("inf"), mem=100.0),
        task_info(text="cpus:1;mem:1;gpus:2;ports:[1-2];zones:{a}"),
        with_executor(text="cpus:0.001;mem:1"),  # little for an executor, but not forbidden
        with_executor(text="cpus:1", type=None, command=COMMAND),
        task_info(max_completion_time=v1.DurationInfo(0)),
        with_check("HTTP", http=Check.Http(port=1)),
    ],
)
def test_what_is_unusual_but_allowed_is_launched(offered, task):
    offered.accept("stream-1", launch(task))
    assert offered.framework.tasks["t"].state is TaskState.TASK_STAGING


def test_a_limit_is_compared_with_all_that_is_asked_for_of_the_name(cluster):
    cluster.subscribe(framework_info(role="ads"))
    cluster.join(register(text="cpus:1;cpus(ads):2;mem:100"))
    cluster.tick()

    def ask(limit: float) -> list[m.Effect]:
        task = task_info(text="cpus(ads):2;cpus:1;mem:1", limits={"cpus": v1.Value.Scalar(limit)})
        return cluster.launch("stream-1", task, refuse_s=0.0)

    (error,) = statuses(ask(2.9))
    assert "less than what it asks for" in error.message
    cluster.tick(2)
    assert statuses(ask(3.0)) == []


# ── resources ─────────────────────────────────────────────────────────────────────────────────────
def scalar(value: float = 1.0, name: str = "cpus", **fields: object) -> v1.Resource:
    return v1.Resource(name=name, type=SCALAR, scalar=v1.Value.Scalar(value), **fields)


def ranges(*pairs: tuple[int, int]) -> v1.Resource:
    told = v1.Value.Ranges(range=[v1.Value.Range(begin=begin, end=end) for begin, end in pairs])
    return v1.Resource(name="ports", type=RANGES, ranges=told)


def reserved(*stack: tuple[Reservation.Type | None, str | None]) -> v1.Resource:
    return scalar(reservations=[Reservation(type=kind, role=role) for kind, role in stack])


def volume(persistence_id: str = "v", *, free: bool = False, **fields: object) -> v1.Resource:
    told: dict[str, object] = {"container_path": "p", "mode": RW} | fields
    disk = v1.Resource.DiskInfo(
        persistence=v1.Resource.DiskInfo.Persistence(id=persistence_id), volume=v1.Volume(**told)
    )
    return scalar(name="disk", disk=disk, role=None if free else "r")


def revocable_volume() -> v1.Resource:
    resource = volume()
    resource.revocable = v1.Resource.RevocableInfo()
    return resource


RESOURCES = {
    "name": (scalar(name=""), "name must not be empty"),
    "TEXT": (v1.Resource(name="cpus", type=v1.Value.Type.TEXT), "not TEXT"),
    "value of another type": (v1.Resource(name="cpus", type=SCALAR, set=v1.Value.Set(item=[])), "SCALAR"),
    "negative": (scalar(-1.0), "negative"),
    "infinite": (scalar(float("inf")), "finite"),
    "range backwards": (ranges((2, 1)), "begins after its end"),
    "ranges overlap": (ranges((1, 3), (3, 4)), "overlaps"),
    "set twice": (v1.Resource(name="zones", type=SET, set=v1.Value.Set(item=["a", "a"])), "twice"),
    "DiskInfo of cpus": (scalar(disk=v1.Resource.DiskInfo()), "only a scalar resource 'disk'"),
    "shared cpus": (scalar(shared=v1.Resource.SharedInfo()), "shared"),
    "reservation without type": (reserved((None, "r")), "STATIC or DYNAMIC"),
    "reservation without role": (reserved((DYNAMIC, None)), "must name its role"),
    "reserved for *": (reserved((DYNAMIC, "*")), "nothing can be reserved for '*'"),
    "refinement STATIC": (reserved((STATIC, "r"), (STATIC, "r/s")), "must be DYNAMIC"),
    "refinement not below": (reserved((STATIC, "r"), (DYNAMIC, "q")), "below it only"),
    "forms contradict": (scalar(role="q", reservations=[Reservation(type=STATIC, role="r")]), "'q'"),
    "volume not reserved": (volume(free=True), "must be reserved"),
    "volume revocable": (revocable_volume(), "cannot be revocable"),
    "volume with host_path": (volume(host_path="/x"), "host_path"),
    "volume read only": (volume(mode=v1.Volume.Mode.RO), "mode RW"),
    "volume id": (volume("a/b"), "slash"),
}


@pytest.mark.parametrize(("resource", "part"), RESOURCES.values(), ids=RESOURCES)
@pytest.mark.parametrize("of", ["task", "executor"])
def test_a_resource_that_breaks_a_rule_is_an_error(offered, resource, part, of):
    if of == "task":
        task = task_info()
        task.resources.append(resource)
    else:
        task = with_executor()
        task.executor.resources.append(resource)
    is_refused(offered, offered.accept("stream-1", launch(task)), Reason.REASON_TASK_INVALID, part)


def test_a_persistent_volume_cannot_be_named_twice(offered):
    task = task_info()
    task.resources += [volume(), volume()]
    part = "a persistent volume is named twice"
    is_refused(offered, offered.accept("stream-1", launch(task)), Reason.REASON_TASK_INVALID, part)


def test_revocable_and_not_of_one_name_do_not_mix(offered):
    task = task_info()
    task.resources.append(scalar(revocable=v1.Resource.RevocableInfo()))
    part = "both revocable and not"
    is_refused(offered, offered.accept("stream-1", launch(task)), Reason.REASON_TASK_INVALID, part)


# ── groups ────────────────────────────────────────────────────────────────────────────────────────
def default_executor(text: str = "cpus:0.1;mem:32;disk:10", **fields: object) -> v1.ExecutorInfo:
    return executor_info("x", text, **({"type": DEFAULT} | fields))


def networked(health: str) -> v1.TaskInfo:
    task = with_health(
        health, http=Health.HTTPCheckInfo(port=1), tcp=Health.TCPCheckInfo(port=1), command=COMMAND
    )
    task.container = Container(type=MESOS, network_infos=[v1.NetworkInfo()])
    return task


def own_cgroups(task_id: str = "t", *, own: bool = True) -> v1.TaskInfo:
    linux = v1.LinuxInfo(share_cgroups=not own)
    return task_info(task_id, container=Container(type=MESOS, linux_info=linux))


IMAGE = Container(type=MESOS, mesos=Container.MesosInfo(image=v1.Image(type=v1.Image.Type.DOCKER)))

GROUPS = {
    "no DOCKER": (default_executor(), task_info(container=docker()), "type DOCKER"),
    "no HTTP health check with a network": (default_executor(), networked("HTTP"), "network of its own"),
    "no TCP health check with a network": (default_executor(), networked("TCP"), "network of its own"),
    "share_cgroups": (default_executor(), own_cgroups(), "share_cgroups must be the same"),
    "limits in shared cgroups": (default_executor(), limited(cpus=2.0), "share_cgroups=false"),
    "another executor": (default_executor(), task_info(executor=executor_info()), "another executor"),
    "executor's type": (default_executor(type=None), task_info(), "DEFAULT or CUSTOM"),
    "DEFAULT with command": (default_executor(command=COMMAND), task_info(), "must not have a command"),
    "DEFAULT with image": (default_executor(container=IMAGE), task_info(), "must have no image"),
    "executor in DOCKER": (default_executor(container=docker()), task_info(), "cannot be of type DOCKER"),
    "CUSTOM without command": (
        executor_info("x", "cpus:1;mem:32;disk:1", command=None),
        task_info(),
        "must have a command",
    ),
    "executor's cpus": (default_executor("cpus:0.009;mem:32;disk:1"), task_info(), "at least 0.01 cpus"),
    "executor's mem": (default_executor("cpus:0.01;mem:31.9;disk:1"), task_info(), "at least 32 mem"),
    "executor's disk": (default_executor("cpus:0.01;mem:32"), task_info(), "some disk"),
    "task_id": (default_executor(), task_info("a/b"), "slash"),
    "agent_id": (default_executor(), task_info(agent_id="M-S9"), "names agent M-S9"),
    "resources": (default_executor(), task_info(text="cpus:9"), "asks for"),
}


@pytest.mark.parametrize(("executor", "task", "part"), GROUPS.values(), ids=GROUPS)
def test_one_task_or_executor_that_breaks_a_rule_fails_the_group(offered, executor, task, part):
    effects = offered.accept("stream-1", launch_group(executor, task_info("other"), task))
    is_refused(offered, effects, Reason.REASON_TASK_GROUP_INVALID, part, count=2)


def test_a_health_check_by_command_may_have_a_network_of_its_own(offered):
    offered.accept("stream-1", launch_group(default_executor(), networked("COMMAND")))
    assert offered.framework.tasks["t"].state is TaskState.TASK_STAGING


def test_tasks_of_one_executor_share_its_cgroups_or_none_does(offered):
    offered.accept("stream-1", launch_group(default_executor(), own_cgroups("t1")), refuse_s=0.0)
    offered.tick()
    sharing = launch_group(default_executor(), own_cgroups("t2", own=False))
    (error,) = statuses(offered.accept("stream-1", sharing, refuse_s=0.0))
    assert error.reason is Reason.REASON_TASK_GROUP_INVALID
    assert "share_cgroups must be the same" in error.message
    offered.tick(2)
    assert statuses(offered.accept("stream-1", launch_group(default_executor(), own_cgroups("t3")))) == []
    assert list(offered.framework.tasks) == ["t1", "t3"]


# ── operations ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (launch(task_info()), Reason.REASON_TASK_INVALID),
        (launch_group(default_executor(), task_info()), Reason.REASON_TASK_GROUP_INVALID),
    ],
)
def test_a_launch_must_not_have_an_id(offered, operation, reason):
    operation.id = v1.OperationID("op")
    task_error, operation_error = offered.accept("stream-1", operation)
    is_refused(offered, [task_error], reason, "must not have an id")
    told = operation_error.event.update_operation_status.status
    assert (told.operation_id, told.state) == (operation.id, v1.OperationState.OPERATION_ERROR)
