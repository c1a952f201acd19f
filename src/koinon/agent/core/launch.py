"""From the description of a task or executor to the program that runs: arguments, environment, sandbox, limits.

What this agent cannot do yet is refused here with a sentence, never ignored.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

from koinon.agent.core import gpus, volumes
from koinon.agent.core.disk import limit_bytes
from koinon.agent.core.events import LaunchContainer
from koinon.agent.core.state import Config, Executor, Framework, Kind, Task
from koinon.agent.core.uris import Fetch, Unfetchable, fetches
from koinon.mesos import v1
from koinon.mesos.v1 import CommandInfo, ContainerInfo, Environment, ExecutorInfo, Secret, TaskInfo

#: What programs are looked up in; nothing of the agent's own environment is passed on.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: It says what is so anyway: that a container shares the limits of what it is in.
_NO_LINUX_INFO = v1.LinuxInfo()

#: Rows and columns of a terminal when nobody says.
WINDOW = (24, 80)

#: Grace period of a kill when neither the kill nor the task says.
KILL_GRACE_S = 3.0
#: What the executor of a command is given beyond the grace period of its task, to notice its end and report it.
_KILL_SLACK_S = 2.0


# ── what cannot be done ───────────────────────────────────────────────────────────────────────────
def refusal(
    command: CommandInfo | None, container: ContainerInfo | None, frameworks_home: str | None
) -> str | None:
    """Why a program described so cannot be launched here; None if it can."""
    return next(_obstacles(command, container, frameworks_home), None)


def _obstacles(
    command: CommandInfo | None, container: ContainerInfo | None, frameworks_home: str | None
) -> Iterator[str]:
    yield from container_obstacles(container)
    if command is None or (not command.value and not (command.arguments and not command.shell)):
        yield "There is no command to run: set 'command.value'"
        return
    try:
        fetches(command.uris, frameworks_home)
    except Unfetchable as error:
        yield str(error)
    yield from command_obstacles(command)


def container_obstacles(container: ContainerInfo | None) -> Iterator[str]:
    """What a container cannot be here: sentences. Volumes are looked at elsewhere."""
    if container is not None:
        if container.type is ContainerInfo.Type.DOCKER:
            yield (
                "This agent runs no Docker containers yet: leave out 'container' or give it the type MESOS without an image"
            )
        if container.mesos is not None and container.mesos.image is not None:
            yield "This agent cannot run images yet: leave out 'container.mesos.image'"
        if any(network.name for network in container.network_infos):
            yield "This agent knows no networks but the host's: leave out the name in 'container.network_infos'"
        for field, harmless in (("hostname", None), ("linux_info", _NO_LINUX_INFO)):
            if getattr(container, field) not in (None, harmless):
                yield f"This agent's containers are plain processes: leave out 'container.{field}'"
        if container.rlimit_info is not None:
            yield from _limit_obstacles(container.rlimit_info)


def _limit_obstacles(info: v1.RLimitInfo) -> Iterator[str]:
    for limit in info.rlimits:
        if limit.type in (None, v1.RLimitInfo.RLimit.Type.UNKNOWN):
            yield "A resource limit in 'container.rlimit_info' has no type, or one that is not known"
        elif (limit.soft is None) != (limit.hard is None):
            yield f"The resource limit {limit.type.value} needs both, soft and hard, or neither for unlimited"
        elif limit.soft is not None and limit.hard is not None and limit.soft > limit.hard:
            yield f"The soft limit of {limit.type.value} is above its hard limit"


def command_obstacles(command: CommandInfo) -> Iterator[str]:
    """What keeps a command from being run, wherever it is from: sentences."""
    for variable in command.environment.variables if command.environment is not None else ():
        if variable.type is Environment.Variable.Type.SECRET and _secret_text(variable) is None:
            yield f"The variable {variable.name} names a secret, which this agent cannot look up: give its value"
        if "\0" in f"{variable.name}{variable.value}" or "=" in variable.name:
            yield f"The variable {variable.name!r} cannot be passed to a program"


def _secret_text(variable: Environment.Variable) -> str | None:
    secret = variable.secret
    if secret is None or secret.type is not Secret.Type.VALUE or secret.value is None:
        return None
    return secret.value.data.decode(errors="surrogateescape")


# ── what is run ───────────────────────────────────────────────────────────────────────────────────
def argv(command: CommandInfo) -> tuple[str, ...]:
    """The arguments, the first being what the program is to take for its own name."""
    if command.shell:
        return ("/bin/sh", "-c", command.value or "")
    return tuple(command.arguments) or (command.value or "",)


def program(command: CommandInfo) -> str:
    """The path or name of the program."""
    return "/bin/sh" if command.shell else command.value or command.arguments[0]


def user(config: Config, framework: Framework, command: CommandInfo | None) -> str | None:
    """Whom to run as; None is the agent's own user."""
    wanted = (command.user if command is not None else None) or framework.info.user
    return wanted if config.switch_user and wanted and wanted != config.user else None


def rlimits(container: ContainerInfo | None) -> tuple[tuple[str, int | None, int | None], ...]:
    """Limits asked for, as LaunchContainer wants them."""
    if container is None or container.rlimit_info is None:
        return ()
    return tuple(
        (limit.type.value, limit.soft, limit.hard)
        for limit in container.rlimit_info.rlimits
        if limit.type is not None
    )


def window(container: ContainerInfo | None) -> tuple[int, int] | None:
    """Rows and columns of the terminal asked for, if one is."""
    if container is None or container.tty_info is None:
        return None
    size = container.tty_info.window_size
    return (size.rows, size.columns) if size is not None else WINDOW


def directory(config: Config, agent_id: str, framework_id: str, executor_id: str, container_id: str) -> str:
    """Sandbox of an executor."""
    executor = f"{config.work_dir}/slaves/{agent_id}/frameworks/{framework_id}/executors/{executor_id}"
    return f"{executor}/runs/{container_id}"


def command_executor(framework_id: str, task: TaskInfo) -> ExecutorInfo:
    """The executor that a command task is said to have."""
    task_id, policy = task.task_id.value, task.kill_policy
    shutdown = policy.grace_period if policy is not None else None
    if shutdown is not None:
        shutdown = v1.DurationInfo(shutdown.nanoseconds + round(_KILL_SLACK_S * 1e9))
    return ExecutorInfo(
        executor_id=v1.ExecutorID(task_id),
        framework_id=v1.FrameworkID(framework_id),
        name=f"Command Executor (Task: {task_id}) (Command: {_shown(task.command)})",
        source=task_id,
        command=task.command,
        container=task.container,
        shutdown_grace_period=shutdown,
        labels=task.labels,
        discovery=task.discovery,
    )


def _shown(command: CommandInfo | None) -> str:
    """The beginning of a command, in the form that tools know from such names."""
    if command is None or not command.value:
        return "NO COMMAND" if command is None or command.shell else "NO EXECUTABLE"
    begin, end = ("sh -c '", "'") if command.shell else ("[", "]")
    text = command.value if command.shell else ", ".join((command.value, *command.arguments))
    return f"{begin}{text if len(text) <= 15 else text[:12] + '...'}{end}"


def container_of(config: Config, executor: Executor, task: Task | None = None) -> ContainerInfo | None:
    """What is said of the container of a task in a group, a command task or a custom executor; or, of the last two, is not."""
    if task is not None and executor.kind is Kind.DEFAULT:
        return task.info.container
    return executor.info.container or config.default_container


def task_container(
    config: Config, agent_id: str, framework: Framework, executor: Executor, task: Task
) -> LaunchContainer:
    """How the container of a command task or of a task in a group is launched."""
    command = task.info.command
    assert command is not None
    sandbox, link = executor.directory, f"{executor.directory.rpartition('/')[0]}/latest"
    container = container_of(config, executor, task)
    if executor.kind is Kind.DEFAULT:
        sandbox = f"{executor.directory}/containers/{task.container_id}"
        link = f"{executor.directory}/tasks/{task.task_id}"
        environment = _with_command({}, command, sandbox)
        environment.update(MESOS_SANDBOX=sandbox, MESOS_CONTAINER_IP=config.ip)
    else:
        environment = _executor_environment(config, agent_id, framework, executor)
        _with_command(environment, command, sandbox)
    if (role := _role(task.info)) is not None:
        environment["MESOS_ALLOCATION_ROLE"] = role
    environment.update(gpus.environment(config, task.gpus))
    return LaunchContainer(
        task.container_id,
        program(command),
        argv(command),
        environment,
        sandbox,
        link,
        task.user,
        rlimits(container),
        tied=not framework.info.checkpoint,
        patience_s=config.recovery_timeout_s,
        shared=volumes.shared(container, sandbox, executor.directory),
        window=window(container),
        fetches=fetching(config, command),
        fetch_bytes=fetch_bytes(config, executor),
    )


def executor_container(
    config: Config, agent_id: str, framework: Framework, executor: Executor
) -> LaunchContainer:
    """How a custom executor is launched."""
    command, sandbox = executor.info.command, executor.directory
    container = container_of(config, executor)
    assert command is not None
    environment = _executor_environment(config, agent_id, framework, executor)
    _with_command(environment, command, sandbox)
    environment.update(gpus.environment(config, executor.known_gpus))
    return LaunchContainer(
        executor.container_id,
        program(command),
        argv(command),
        environment,
        sandbox,
        f"{sandbox.rpartition('/')[0]}/latest",
        executor.user,
        rlimits(container),
        tied=not framework.info.checkpoint,
        shared=volumes.shared(container, sandbox, sandbox),
        window=window(container),
        fetches=fetching(config, command),
        fetch_bytes=fetch_bytes(config, executor),
    )


def fetching(config: Config, command: CommandInfo) -> tuple[Fetch, ...]:
    """What is fetched before a command is run that was not refused."""
    try:
        return fetches(command.uris, config.frameworks_home)
    except Unfetchable:  # it runs already, since the agent was configured otherwise
        return ()


def fetch_bytes(config: Config, executor: Executor) -> int | None:
    """How much may be fetched into a sandbox of an executor; None for any amount."""
    return (limit_bytes(executor) or None) if config.enforce_disk_quota else None


def _executor_environment(
    config: Config, agent_id: str, framework: Framework, executor: Executor
) -> dict[str, str]:
    checkpoint = framework.info.checkpoint
    environment = {
        "PATH": PATH,
        "MESOS_FRAMEWORK_ID": executor.framework_id,
        "MESOS_EXECUTOR_ID": executor.executor_id,
        "MESOS_SLAVE_ID": agent_id,
        "MESOS_SLAVE_PID": config.pid,
        "MESOS_AGENT_ENDPOINT": config.endpoint,
        "MESOS_DIRECTORY": executor.directory,
        "MESOS_SANDBOX": executor.directory,
        "MESOS_CHECKPOINT": "1" if checkpoint else "0",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": duration_text(shutdown_grace_s(config, executor)),
        "MESOS_HTTP_COMMAND_EXECUTOR": "0",
        "LIBPROCESS_PORT": "0",
        "LIBPROCESS_IP": config.ip,
    }
    if checkpoint:
        environment["MESOS_RECOVERY_TIMEOUT"] = duration_text(config.recovery_timeout_s)
        backoff_s = config.executor_reregistration_timeout_s  # who tries less often would come too late
        environment["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = duration_text(backoff_s)
    environment.update(config.executor_environment)
    return environment


def _with_command(environment: dict[str, str], command: CommandInfo, sandbox: str) -> dict[str, str]:
    """Adds what every program gets, and what its description says; returns `environment`."""
    environment.setdefault("PATH", PATH)
    environment["PWD"] = sandbox
    environment.update(variables(command))
    return environment


def variables(command: CommandInfo) -> dict[str, str]:
    """The environment that a command brings."""
    given = command.environment.variables if command.environment is not None else []
    texts = ((one.name, one.value if one.secret is None else _secret_text(one)) for one in given)
    return {name: text or "" for name, text in texts}


def _role(task: TaskInfo) -> str | None:
    for resource in task.resources:
        if resource.allocation_info is not None:
            return resource.allocation_info.role
    return None


#: Units that a duration is written in, from the largest; lengths in nanoseconds.
_UNITS = (("weeks", 604_800), ("days", 86_400), ("hrs", 3_600), ("mins", 60), ("secs", 1), ("ms", 1e-3))


def duration_text(duration_s: float) -> str:
    """A duration as programs of the field write it: `5secs`, `15mins`, `1500ms`."""
    for unit, length_s in _UNITS:
        count = duration_s / length_s
        if count >= 1 and abs(count - round(count)) < 1e-9:
            return f"{round(count)}{unit}"
    return f"{round(duration_s * 1e9)}ns"


def kill_grace_s(task: TaskInfo, policy: v1.KillPolicy | None) -> float:
    """How long a task may take to end after SIGTERM."""
    for one in (policy, task.kill_policy):
        if one is not None and one.grace_period is not None:
            return one.grace_period.nanoseconds / 1e9
    return KILL_GRACE_S


def shutdown_grace_s(config: Config, executor: Executor) -> float:
    """How long an executor may take to shut down."""
    if executor.info.shutdown_grace_period is not None:
        return executor.info.shutdown_grace_period.nanoseconds / 1e9
    return config.executor_shutdown_grace_period_s


def shutdown_kill_s(config: Config, executor: Executor, task: TaskInfo) -> float:
    """How long a task of a built-in executor may take to end after SIGTERM when the executor shuts down."""
    whole_s = shutdown_grace_s(config, executor)
    if executor.kind is Kind.COMMAND:
        return max(whole_s - _KILL_SLACK_S, 0.0)
    return min(kill_grace_s(task, None), whole_s)


def outcome(who: str, wait_status: int) -> str:
    """How a program ended, as people and tools read it."""
    if number := wait_status & 0x7F:
        dumped = " (core dumped)" if wait_status & 0x80 else ""
        return f"{who} terminated with signal {signal.strsignal(number) or number}{dumped}"
    return f"{who} exited with status {wait_status >> 8}"
