"""Agents: who may be admitted."""

from __future__ import annotations

from koinon.master.core import registry
from koinon.master.core.config import Config
from koinon.master.core.state import Standing
from koinon.master.core.tables import TASK_MOVES, may_move
from koinon.master.core.validation.frameworks import framework_problem
from koinon.mesos import internal, v1
from koinon.mesos.names import id_problem
from koinon.mesos.resources import ResourceError, Resources
from koinon.mesos.states import TERMINAL


def agent_problem(message: internal.Register, master_info: v1.MasterInfo, config: Config) -> str | None:
    """Why the agent cannot be admitted."""
    info = message.agent_info
    if not 1 <= message.protocol <= internal.PROTOCOL:
        return (
            f"The agent speaks version {message.protocol} of the protocol, this master understands versions 1 to "
            f"{internal.PROTOCOL}: upgrade all masters before the agents."
        )
    if (problem := _version_problem(message.version)) is not None:
        return problem
    if not info.hostname:
        return "The agent has no hostname."
    if info.id is not None and info.id.value != "" and (problem := id_problem(info.id.value)) is not None:
        return f"The agent's id is not valid: {problem}."
    if not registry.fits((registry.agent_change("", info, Standing.ADMITTED, 0.0),)):
        return (
            "The agent says too much of itself: its resources, attributes and the like must take less than"
            f" {registry.CHANGE_BYTES_MAX // 1024} KiB as JSON."
        )
    try:
        Resources.from_v1(info.resources)
    except ResourceError as error:
        return f"The agent's resources are not valid: {error}."
    if info.domain is not None and master_info.domain is None:
        return "The agent has a domain, but this master has none."
    if info.domain is None and config.require_agent_domain:
        return "The agent has no domain, but this master requires one."
    return _report_problem(message)


def _version_problem(version: str) -> str | None:
    major = version.partition(".")[0]
    if not major.isdecimal():
        return f"The agent's version must be like 1.11.0, not '{version}'."
    if int(major) < 1:
        return f"The agent's version is {version}; none before 1.0.0 is admitted."
    return None


def _report_problem(message: internal.Register) -> str | None:
    """Why what the agent says it has cannot be: it would contradict what we promise to everybody else."""
    for framework in message.frameworks:
        if framework.id is None or framework.id.value == "":
            return f"The agent reports framework '{framework.name}' without its id."
        problem = framework_problem(framework, [], None, root_submissions=True)
        if problem is not None:
            return f"The agent reports framework {framework.id.value}, which is not valid. {problem}"
    seen = set()
    for task in message.tasks:
        key = (task.framework_id, task.info.task_id.value)
        problem = id_problem(key[1]) or _resources_problem(task.info.resources)
        if problem is None and not may_move(TASK_MOVES, None, task.state):
            problem = f"no task is {task.state.name} on an agent"
        if problem is None and key in seen:
            problem = "it is reported twice"
        if problem is not None:
            return f"The agent reports task '{key[1]}', which is not valid: {problem}."
        seen.add(key)
    for executor in message.executors:
        executor_id = executor.info.executor_id.value
        problem = id_problem(executor_id) or _resources_problem(executor.info.resources)
        if problem is not None:
            return f"The agent reports executor '{executor_id}', which is not valid: {problem}."
    for refusal in message.refusals:
        if (state := refusal.status.state) not in TERMINAL:
            task_id = refusal.status.task_id.value
            return f"The agent did not take task '{task_id}', and {state.name} is no end of a task."
    return None


def _resources_problem(messages: list[v1.Resource]) -> str | None:
    try:
        roles = Resources.from_v1(messages).allocation_roles
    except ResourceError as error:
        return str(error)
    return "its resources are of several roles" if len(roles) > 1 else None
