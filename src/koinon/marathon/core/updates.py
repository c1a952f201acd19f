"""Status updates: which task, what has changed, and the acknowledgement when that is durable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Acknowledge, Kill
from koinon.marathon.core.instances import health, kills, life, unreachable
from koinon.marathon.core.state import LOST, TERMINAL
from koinon.marathon.model import Instance, ids
from koinon.marathon.model.records import Condition, Task
from koinon.mesos import v1

_S = v1.TaskState

CONDITIONS: Mapping[v1.TaskState, Condition] = {
    _S.TASK_STAGING: "Staging",
    _S.TASK_STARTING: "Starting",
    _S.TASK_RUNNING: "Running",
    _S.TASK_KILLING: "Killing",
    _S.TASK_FINISHED: "Finished",
    _S.TASK_FAILED: "Failed",
    _S.TASK_KILLED: "Killed",
    _S.TASK_ERROR: "Error",
    _S.TASK_LOST: "Gone",  # only frameworks that are not partition aware hear it
    _S.TASK_DROPPED: "Dropped",
    _S.TASK_UNREACHABLE: "Unreachable",
    _S.TASK_GONE: "Gone",
    _S.TASK_GONE_BY_OPERATOR: "Gone",
    _S.TASK_UNKNOWN: "Unknown",
}

#: Ends of tasks that are not heard of elsewhere: our end of the connection says that the master has not got the launch,
#: or a new master, or one whom a new leader asked, that it knows of none.
_NOT_LAUNCHED = (v1.TaskStatus.Reason.REASON_INVALID_OFFERS, v1.TaskStatus.Reason.REASON_RECONCILIATION)


def hear(core: Core, status: v1.TaskStatus) -> None:
    """A task has another state, or it is told again."""
    instance = core.state.instances.get(core.state.tasks.get(status.task_id.value, ""))
    condition = CONDITIONS[status.state]
    if instance is None:
        _stranger(core, status, condition)
    else:
        task = next(one for one in instance.tasks if one.id == status.task_id.value)
        if task.condition not in TERMINAL:
            _change(core, instance, task, status, condition)
        elif condition not in TERMINAL and condition not in LOST:
            _kill_stranger(core, status)  # it was given up, and is back
    if status.uuid is not None:
        core.effects.append(Acknowledge(status))


def _stranger(core: Core, status: v1.TaskStatus, condition: Condition) -> None:
    """Nobody here knows the task: one that we have given up, or another's."""
    if condition not in TERMINAL:
        if condition not in LOST:
            _kill_stranger(core, status)
        return
    try:
        place = ids.parse_task(status.task_id.value)
    except ValueError:
        return
    core.publish(
        "unknown_instance_terminated_event",
        {"instanceId": place.instance, "runSpecId": place.run_spec, "condition": condition},
    )


def _kill_stranger(core: Core, status: v1.TaskStatus) -> None:
    core.effects.append(Kill(status.task_id.value, status.agent_id.value if status.agent_id else None))


def _change(core: Core, instance: Instance, task: Task, status: v1.TaskStatus, condition: Condition) -> None:
    is_new = status.state.value != task.mesos_state
    told = replace(
        task,
        condition=condition,
        mesos_state=status.state.value,
        # Who answers a question has a message of its own, which says nothing of the task.
        message=status.message if is_new or status.healthy not in (None, task.healthy) else task.message,
        ip_addresses=_addresses(status) or task.ip_addresses,
        started_at=core.stamp() if condition == "Running" and task.started_at is None else task.started_at,
        healthy=task.healthy if status.healthy is None else status.healthy,
        check=_check_result(status) or task.check,
    )
    if told == task:
        if condition in LOST:
            unreachable.lost(core, instance)
        return
    if is_new:
        _announce(core, instance, told)
    tasks = tuple(told if one is task else one for one in instance.tasks)
    launched = not (status.reason in _NOT_LAUNCHED and instance.condition == "Provisioned")
    life.change(core, instance, tasks, launched=launched)
    left = core.state.instances.get(instance.id)
    if left is not None and status.healthy is not None and condition == "Running":
        health.told_by_agent(core, left, told, status)
    if left is not None and status.state is _S.TASK_KILLING:
        kills.heard(core, left)


def _announce(core: Core, instance: Instance, task: Task) -> None:
    core.publish(
        "status_update_event",
        {
            "slaveId": instance.agent.agent_id if instance.agent else "",
            "taskId": task.id,
            "taskStatus": task.mesos_state,
            "message": task.message or "",
            "appId": instance.run_spec,
            "host": instance.agent.hostname if instance.agent else "",
            "ipAddresses": [
                {"ipAddress": one, "protocol": "IPv6" if ":" in one else "IPv4"} for one in task.ip_addresses
            ],
            "ports": list(task.host_ports),
            "version": instance.version,
        },
    )


def _addresses(status: v1.TaskStatus) -> tuple[str, ...]:
    if status.container_status is None:
        return ()
    return tuple(
        address.ip_address
        for network in status.container_status.network_infos
        for address in network.ip_addresses
        if address.ip_address is not None
    )


def _check_result(status: v1.TaskStatus) -> dict[str, Any] | None:
    """`checkResult` of the API; None if the update tells nothing of a check."""
    check = status.check_status
    if check is None:
        return None
    if check.http is not None and check.http.status_code is not None:
        return {"http": {"statusCode": check.http.status_code}}
    if check.tcp is not None and check.tcp.succeeded is not None:
        return {"tcp": {"succeeded": check.tcp.succeeded}}
    if check.command is not None and check.command.exit_code is not None:
        return {"command": {"exitCode": check.command.exit_code}}
    return None
