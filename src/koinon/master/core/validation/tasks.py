"""Tasks and executors: what the rules of the API demand of their descriptions.

What depends on the moment (is the id free, does it fit into the offer, is it the same executor as the one that
runs) is checked at the launch; here is what can be told from the description alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

from koinon.mesos import v1
from koinon.mesos.names import id_problem
from koinon.mesos.resources import Resources

_Check = v1.CheckInfo.Type
_Health = v1.HealthCheck.Type
_Variable = v1.Environment.Variable.Type
_Container = v1.ContainerInfo.Type
_Executor = v1.ExecutorInfo.Type

#: The least that an executor in a group must have, in thousandths.
EXECUTOR_MIN = {"cpus": 10, "mem": 32000}


# ── resources ─────────────────────────────────────────────────────────────────────────────────────
@lru_cache(4096)
def resources_problem(resources: Resources, role: str) -> str | None:
    """What is wrong with the resources of a task or executor in an offer to `role`, not yet allocated."""
    foreign = resources.allocation_roles - {role}
    if foreign:
        return f"its resources are allocated to role '{min(foreign)}', but the offer is for role '{role}'"
    if resources.scalars.get("gpus", 0) % 1000:
        return f"gpus must be a whole number, not {resources.gpus:g}"
    both = set(resources.revocable().scalars) & set(resources.nonrevocable().scalars)
    if both:
        return f"'{min(both)}' is asked for both revocable and not revocable"
    return None


def _persistence_problem(messages: list[v1.Resource]) -> str | None:
    ids = [
        (_reserved_for(resource), resource.disk.persistence.id)
        for resource in messages
        if resource.disk is not None and resource.disk.persistence is not None and resource.shared is None
    ]
    return "a persistent volume is named twice" if len(set(ids)) < len(ids) else None


def _reserved_for(resource: v1.Resource) -> str | None:
    return resource.reservations[-1].role if resource.reservations else resource.role


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────
def task_problem(task: v1.TaskInfo, *, in_group: bool = False) -> str | None:
    """What is wrong with the description of a task."""
    if (problem := id_problem(task.task_id.value)) is not None:
        return f"its id is not valid: {problem}"
    if not in_group and (task.executor is None) == (task.command is None):
        return "it must have either a command or an executor"
    if not task.resources:
        return "it asks for no resources"
    for problem in _task_problems(task, in_group):
        if problem is not None:
            return problem
    return None


def _task_problems(task: v1.TaskInfo, in_group: bool) -> Iterator[str | None]:
    # Most tasks have none of these, so what is absent is not looked into.
    if any(resource.disk is not None for resource in task.resources):
        yield _persistence_problem(task.resources)
    if task.kill_policy is not None:
        yield _duration_problem("the grace period of its kill policy", task.kill_policy.grace_period)
    if task.max_completion_time is not None:
        yield _duration_problem("its max_completion_time", task.max_completion_time)
    if task.limits:
        yield _limits_problem(task, in_group)
    if task.command is not None and task.command.environment is not None:
        yield _environment_problem(task.command.environment)
    if task.health_check is not None:
        yield _health_check_problem(task.health_check)
    if task.check is not None:
        yield _check_problem(task.check)
    if task.container is not None:
        yield _container_problem(task.container)
        if in_group:
            yield _container_in_group_problem(task.container, task.health_check)


def _duration_problem(what: str, duration: v1.DurationInfo | None) -> str | None:
    return f"{what} is negative" if duration is not None and duration.nanoseconds < 0 else None


def _limits_problem(task: v1.TaskInfo, in_group: bool) -> str | None:
    requests: dict[str, float] = {}  # of one name there may be several, reserved and not
    for resource in task.resources:
        if resource.scalar is not None:
            requests[resource.name] = requests.get(resource.name, 0.0) + resource.scalar.value
    for name, limit in task.limits.items():
        if name not in ("cpus", "mem"):
            return f"a limit on '{name}' is not possible, only on cpus and mem"
        if name not in requests:
            return f"it limits '{name}' without asking for any"
        if math.isnan(limit.value) or round(limit.value, 3) < round(requests[name], 3):
            return f"its limit on '{name}' is less than what it asks for"
    if in_group and shares_cgroups(task.container):
        return "limits of a task in a group need share_cgroups=false"
    return None


def shares_cgroups(container: v1.ContainerInfo | None) -> bool:
    """Is a nested container in the cgroups of its executor? Unless it says otherwise, it is."""
    if container is None or container.linux_info is None:
        return True
    return container.linux_info.share_cgroups is not False


def _environment_problem(environment: v1.Environment) -> str | None:
    for variable in environment.variables:
        match variable.type:
            case _Variable.VALUE if variable.value is None or variable.secret is not None:
                return f"environment variable '{variable.name}' must have a value and no secret"
            case _Variable.SECRET if variable.secret is None or variable.value is not None:
                return f"environment variable '{variable.name}' must have a secret and no value"
            case _Variable.SECRET if (
                variable.secret is not None
                and variable.secret.value is not None
                and b"\0" in variable.secret.value.data
            ):
                return f"the secret of environment variable '{variable.name}' holds a NUL byte"
            case _Variable.UNKNOWN:
                return f"environment variable '{variable.name}' has no known type"
    return None


# ── checks ────────────────────────────────────────────────────────────────────────────────────────
def _health_check_problem(check: v1.HealthCheck) -> str | None:
    times = (
        check.delay_seconds,
        check.interval_seconds,
        check.timeout_seconds,
        check.grace_period_seconds,
    )
    if not all(time_s >= 0 for time_s in times):
        return "a time of its health check is negative"
    match check.type:
        case _Health.COMMAND:
            return _check_command_problem("health check", check.command)
        case _Health.HTTP:
            if check.http is None:
                return "its health check of type HTTP lacks 'http'"
            if check.http.scheme not in (None, "http", "https"):
                return f"its health check has scheme '{check.http.scheme}', neither http nor https"
            return _path_problem("health check", check.http.path)
        case _Health.TCP:
            return "its health check of type TCP lacks 'tcp'" if check.tcp is None else None
    return "its health check has no known type"


def _check_problem(check: v1.CheckInfo) -> str | None:
    if not all(
        time_s >= 0 for time_s in (check.delay_seconds, check.interval_seconds, check.timeout_seconds)
    ):
        return "a time of its check is negative"
    match check.type:
        case _Check.COMMAND:
            return _check_command_problem("check", None if check.command is None else check.command.command)
        case _Check.HTTP:
            if check.http is None:
                return "its check of type HTTP lacks 'http'"
            return _path_problem("check", check.http.path)
        case _Check.TCP:
            return "its check of type TCP lacks 'tcp'" if check.tcp is None else None
    return "its check has no known type"


def _check_command_problem(what: str, command: v1.CommandInfo | None) -> str | None:
    if command is None:
        return f"its {what} of type COMMAND lacks 'command'"
    if command.value is None:
        return f"the command of its {what} lacks 'value'"
    return None if command.environment is None else _environment_problem(command.environment)


def _path_problem(what: str, path: str | None) -> str | None:
    return (
        None
        if path is None or path.startswith("/")
        else f"the path '{path}' of its {what} lacks the leading '/'"
    )


# ── containers ────────────────────────────────────────────────────────────────────────────────────
def _container_problem(container: v1.ContainerInfo) -> str | None:
    if container.type is _Container.DOCKER:
        if container.docker is None:
            return "its container of type DOCKER lacks 'docker'"
        if any(parameter.key == "name" for parameter in container.docker.parameters):
            return "the docker parameter 'name' is ours to set"
    for volume in container.volumes:
        if (problem := _volume_problem(volume)) is not None:
            return f"the volume at '{volume.container_path}' {problem}"
    return None


def _volume_problem(volume: v1.Volume) -> str | None:
    given = [name for name in ("host_path", "image", "source") if getattr(volume, name) is not None]
    if len(given) != 1:
        return "must have exactly one of host_path, image and source"
    if volume.source is not None:
        if volume.source.type is None or volume.source.type.name == "UNKNOWN":
            return "has a source without a known type"
        field = volume.source.type.name.lower()
        if getattr(volume.source, field, None) is None:
            return f"has a source of type {volume.source.type.name} that lacks '{field}'"
    return None


def _container_in_group_problem(
    container: v1.ContainerInfo, health_check: v1.HealthCheck | None
) -> str | None:
    if container.type is _Container.DOCKER:
        return "a container of type DOCKER cannot be in a group"
    if container.network_infos and health_check is not None and health_check.type is not _Health.COMMAND:
        return "a task of a group with a network of its own cannot have a health check over HTTP or TCP"
    return None


# ── executors ─────────────────────────────────────────────────────────────────────────────────────
def executor_problem(executor: v1.ExecutorInfo, framework_id: str, *, in_group: bool) -> str | None:
    """What is wrong with the description of an executor."""
    if (problem := id_problem(executor.executor_id.value)) is not None:
        return f"the id of its executor is not valid: {problem}"
    if executor.framework_id is not None and executor.framework_id.value != framework_id:
        return f"its executor belongs to framework {executor.framework_id.value}"
    if problem := _duration_problem(
        "the shutdown grace period of its executor", executor.shutdown_grace_period
    ):
        return problem
    if executor.command is not None and executor.command.environment is not None:
        problem = _environment_problem(executor.command.environment)
        if problem is not None:
            return f"of its executor, {problem}"
    if executor.container is not None and (problem := _container_problem(executor.container)) is not None:
        return f"of its executor, {problem}"
    if in_group:
        return _group_executor_problem(executor)
    if executor.type not in (None, _Executor.UNKNOWN, _Executor.CUSTOM):
        return "its executor must be of type CUSTOM"
    if executor.command is None:
        return "its executor has no command"
    if any(resource.shared is not None for resource in executor.resources):
        return "its executor must not use shared resources"
    return None


def _group_executor_problem(executor: v1.ExecutorInfo) -> str | None:
    match executor.type:
        case None | _Executor.UNKNOWN:
            return "the type of the executor must be DEFAULT or CUSTOM"
        case _Executor.CUSTOM if executor.command is None:
            return "an executor of type CUSTOM must have a command"
        case _Executor.DEFAULT if executor.command is not None:
            return "an executor of type DEFAULT must not have a command"
    container = executor.container
    if container is not None:
        if container.type is _Container.DOCKER:
            return "the container of a group's executor cannot be of type DOCKER"
        if (
            executor.type is _Executor.DEFAULT
            and container.mesos is not None
            and container.mesos.image is not None
        ):
            return "the container of an executor of type DEFAULT must have no image"
    return None


def group_executor_resources_problem(resources: Resources) -> str | None:
    """What is wrong with the resources of a group's executor."""
    for name, least in EXECUTOR_MIN.items():
        if resources.scalars.get(name, 0) < least:
            return f"the executor needs at least {least / 1000:g} {name}"
    return None if resources.scalars.get("disk", 0) else "the executor needs some disk"
