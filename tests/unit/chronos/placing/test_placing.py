"""Runs and offers: what fits where, and what is launched."""

from typing import Any

import pytest

from koinon.chronos.model import Job, Run
from koinon.chronos.model import job as model
from koinon.chronos.placing import AgentRoom
from koinon.mesos import v1
from koinon.mesos.resources import Resources

RUN = Run("report", 1_800_000_000_000, 2, arguments="")


def offer(resources: str = "cpus:4;mem:1024;disk:1024", *, role: str = "*", **attributes: Any) -> v1.Offer:
    kinds = v1.Value.Type
    made = []
    for name, value in attributes.items():
        match value:
            case str():
                made.append(v1.Attribute(name=name, type=kinds.TEXT, text=v1.Value.Text(value=value)))
            case float():
                made.append(v1.Attribute(name=name, type=kinds.SCALAR, scalar=v1.Value.Scalar(value)))
            case set():
                made.append(v1.Attribute(name=name, type=kinds.SET, set=v1.Value.Set(item=sorted(value))))
            case (begin, end):
                span = v1.Value.Ranges(range=[v1.Value.Range(begin=begin, end=end)])
                made.append(v1.Attribute(name=name, type=kinds.RANGES, ranges=span))
    return v1.Offer(
        id=v1.OfferID("O"),
        framework_id=v1.FrameworkID("F"),
        agent_id=v1.AgentID("S0"),
        hostname="host-1",
        resources=Resources.parse(resources).to_v1(),
        attributes=made,
        allocation_info=v1.Resource.AllocationInfo(role=role),
    )


def job(**more: Any) -> Job:
    return Job("report", **{"command": "make report", "cpus": 1.0, "mem": 32.0, "disk": 0.0, **more})


def placed(one: Job, run: Run = RUN, at: v1.Offer | None = None) -> v1.TaskInfo:
    found = AgentRoom(at or offer()).place(one, run)
    assert isinstance(found, v1.TaskInfo), found
    return found


def variables(command: v1.CommandInfo | None) -> dict[str, str | None]:
    assert command is not None
    assert command.environment is not None
    return {one.name: one.value for one in command.environment.variables}


# ── room ──────────────────────────────────────────────────────────────────────────────────────────
def test_runs_share_an_agent_until_it_is_full() -> None:
    room = AgentRoom(offer("cpus:2;mem:1024"))
    assert not isinstance(room.place(job(), RUN), str)
    assert not isinstance(room.place(job(), RUN), str)
    assert room.place(job(), RUN) == "1 cpus needed, 0 offered"
    room.add(offer("cpus:1"))
    assert not isinstance(room.place(job(), RUN), str)


def test_all_that_is_missing_is_told() -> None:
    said = AgentRoom(offer("cpus:0.5;mem:16")).place(job(disk=10.0), RUN)
    assert (
        said
        == "1 cpus needed, 0.5 offered; 32 MB of memory needed, 16 offered; 10 MB of disk needed, 0 offered"
    )


def test_what_is_reserved_for_us_goes_first_and_both_are_used() -> None:
    task = placed(job(cpus=1.5), at=offer("cpus:2;cpus(batch):1;mem(batch):64", role="batch"))
    taken = [
        (one.name, bool(one.reservations), one.scalar.value)
        for one in task.resources
        if one.scalar is not None
    ]
    assert taken == [("cpus", True, 1.0), ("cpus", False, 0.5), ("mem", True, 32.0)]


def test_agents_with_gpus_are_left_to_those_who_want_some() -> None:
    at = offer("cpus:4;mem:1024;gpus:2")
    assert "GPUs" in str(AgentRoom(at).place(job(), RUN))
    task = placed(job(gpus=1), at=at)
    assert ("gpus", 1.0) in [(one.name, one.scalar and one.scalar.value) for one in task.resources]


# ── constraints ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("attribute", "operator", "value", "fits"),
    [
        ("rack", "EQUALS", "a1", True),
        ("rack", "EQUALS", "a", False),
        ("rack", "LIKE", "a", False),  # as a whole
        ("rack", "LIKE", "a[0-9]", True),
        ("rack", "UNLIKE", "a[0-9]", False),
        ("rack", "UNLIKE", "b.*", True),
        ("level", "EQUALS", "3", False),  # no text
        ("level", "LIKE", "3", True),
        ("level", "LIKE", r"3\.0", True),
        ("level", "UNLIKE", "4", True),
        ("os", "LIKE", "debian", True),
        ("os", "UNLIKE", "debian", False),
        ("os", "LIKE", "bsd", False),
        ("span", "LIKE", ".*", False),
        ("span", "UNLIKE", ".*", False),
        ("none", "EQUALS", "x", False),
        ("none", "LIKE", ".*", False),
        ("none", "UNLIKE", ".*", False),
        ("hostname", "EQUALS", "host-1", True),
        ("hostname", "LIKE", "host-[0-9]", True),
        ("hostname", "UNLIKE", "host-1", False),
    ],
)
def test_constraints(attribute: str, operator: Any, value: str, fits: bool) -> None:
    at = offer(rack="a1", level=3.0, os={"debian", "linux"}, span=(1, 9))
    found = AgentRoom(at).place(job(constraints=(model.Constraint(attribute, operator, value),)), RUN)
    assert isinstance(found, v1.TaskInfo) == fits
    if isinstance(found, str):
        assert found.startswith(f"constraint '{attribute} {operator} {value}': ")


def test_an_attribute_called_hostname_goes_before_the_agents() -> None:
    rule = model.Constraint("hostname", "EQUALS", "other")
    placed(job(constraints=(rule,)), at=offer(hostname="other"))


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_task_tells_who_and_where_it_is() -> None:
    own = (
        model.EnvironmentVariable("COLOUR", "blue"),
        model.EnvironmentVariable("CHRONOS_JOB_NAME", "mine"),
    )
    task = placed(job(owner="a@b.c", environment_variables=own, run_as_user="ann"))
    assert task.name == "ChronosTask:report"
    assert task.task_id.value == "ct:1800000000000:2:report:"
    assert task.agent_id.value == "S0"
    assert task.command is not None
    assert (task.command.value, task.command.shell, task.command.user) == ("make report", True, "ann")
    assert variables(task.command) == {
        "COLOUR": "blue",
        "CHRONOS_JOB_NAME": "report",
        "CHRONOS_JOB_OWNER": "a@b.c",
        "CHRONOS_JOB_RUN_ATTEMPT": "2",
        "CHRONOS_JOB_RUN_TIME": "1800000000000",
        "CHRONOS_RESOURCE_CPU": "1.0",
        "CHRONOS_RESOURCE_DISK": "0.0",
        "CHRONOS_RESOURCE_MEM": "32.0",
        "HOST": "host-1",
        "MESOS_TASK_ID": "ct:1800000000000:2:report:",
        "mesos_task_id": "ct:1800000000000:2:report:",
    }
    assert (task.container, task.max_completion_time) == (None, None)


def test_a_task_is_told_its_window() -> None:
    command = placed(job(), Run("report", 7, window_ms=5)).command
    assert command is not None
    assert variables(command)["CHRONOS_JOB_RUN_WINDOW"] == "5"


@pytest.mark.parametrize(
    ("fields", "by_hand", "value", "argv"),
    [
        ({"command": "run"}, "", "run", []),
        ({"command": "run", "arguments": ("-a", "b")}, "", "run -a b", []),
        ({"command": "run", "arguments": ("-a", "b")}, "-c", "run -c", []),
        ({"command": "/bin/echo", "shell": False, "arguments": ("x",)}, "", "/bin/echo", ["/bin/echo", "x"]),
        (
            {"command": "/bin/echo", "shell": False, "arguments": ("echo", "x")},
            "",
            "/bin/echo",
            ["echo", "x"],
        ),
        ({"command": "/bin/echo", "shell": False}, "'a b' c", "/bin/echo", ["/bin/echo", "a b", "c"]),
        ({"command": "/bin/echo", "shell": False}, "it's", "/bin/echo", ["/bin/echo", "it's"]),
        (
            {"command": "", "shell": False, "arguments": ("x",), "container": model.Container("i")},
            "",
            None,
            ["x"],
        ),
    ],
)
def test_commands_and_arguments(
    fields: dict[str, Any], by_hand: str, value: str | None, argv: list[str]
) -> None:
    command = placed(job(**fields), Run("report", 1, arguments=by_hand)).command
    assert command is not None
    assert (command.value, command.arguments, command.shell) == (value, argv, fields.get("shell", True))


def test_a_command_at_a_url_has_its_words_behind_it() -> None:
    command = placed(job(command="https://h/run.sh -v day")).command
    assert command is not None
    assert (command.value, [one.value for one in command.uris]) == ("./run.sh -v day", ["https://h/run.sh"])


def test_a_command_at_a_url_is_fetched() -> None:
    command = placed(job(command="http://h/a/run.sh?x=1", fetch=(model.Fetch("ftp://h/data"),))).command
    assert command is not None
    assert command.value == "./run.sh"
    assert [(one.value, one.executable) for one in command.uris] == [
        ("ftp://h/data", False),
        ("http://h/a/run.sh?x=1", True),
    ]


def test_a_time_limit_is_passed_on() -> None:
    task = placed(job(max_completion_time=90.5))
    assert task.max_completion_time == v1.DurationInfo(90_500_000_000)


def test_an_executor_of_the_jobs_own_has_its_data() -> None:
    one = job(executor="./executor", executor_flags="-v")
    task, next_task = placed(one), placed(one, Run("report", 7))
    assert task.command is None
    assert task.executor is not None
    assert (task.executor.executor_id.value, task.data) == ("report", b"-v|make report")
    assert task.executor == next_task.executor  # which finds it running
    assert placed(job(executor="./executor", task_info_data="own")).data == b"own"


def test_containers_are_passed_on() -> None:
    docker = model.Container(
        "debian",
        network="USER",
        network_name="net",
        volumes=(
            model.Volume("/in", "/data", "RO"),
            model.Volume(
                "/ext", external=model.ExternalVolume("vol", "rexray", (model.KeyValue("size", "5"),))
            ),
        ),
        parameters=(model.KeyValue("privileged", "true"),),
        force_pull_image=True,
    )
    found = placed(job(container=docker)).container
    assert found is not None
    assert found.docker is not None
    assert found.docker.force_pull_image
    assert found.docker.network is v1.ContainerInfo.DockerInfo.Network.USER
    assert [(one.key, one.value) for one in found.docker.parameters] == [("privileged", "true")]
    assert [one.name for one in found.network_infos] == ["net"]
    assert [(one.container_path, one.host_path) for one in found.volumes] == [
        ("/in", "/data"),
        ("/ext", None),
    ]
    source = found.volumes[1].source
    assert source is not None
    assert source.docker_volume is not None
    assert (source.docker_volume.driver, source.docker_volume.name) == ("rexray", "vol")
    mesos = placed(job(container=model.Container("debian", "MESOS", force_pull_image=True))).container
    assert mesos is not None
    assert mesos.mesos is not None
    assert mesos.mesos.image is not None
    assert not mesos.mesos.image.cached
