"""Shorter ways to write messages that every framework needs."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from koinon.mesos.v1 import (
    CommandInfo,
    ExecutorInfo,
    FrameworkInfo,
    Offer,
    TaskID,
    TaskInfo,
)

if TYPE_CHECKING:
    from koinon.mesos.resources import Resources


def framework_info(
    name: str,
    *,
    roles: Iterable[str] = ("*",),
    user: str | None = None,
    failover_timeout_s: float = 0.0,
    capabilities: Iterable[str] = ("PARTITION_AWARE",),
    **fields: Any,
) -> FrameworkInfo:
    """Describes a framework; `fields` are further ones of the message. It always has the capability MULTI_ROLE.

    Tasks run as `user`, by default as the user of this process. The master removes the framework and kills its
    tasks when it stays away for longer than `failover_timeout_s`.
    """
    kind = FrameworkInfo.Capability.Type
    names = dict.fromkeys(("MULTI_ROLE", *capabilities))
    return FrameworkInfo(
        name=name,
        user=user if user is not None else getpass.getuser(),
        roles=list(roles),
        failover_timeout=failover_timeout_s,
        capabilities=[FrameworkInfo.Capability(type=kind[capability]) for capability in names],
        **fields,
    )


def task_info(
    task_id: str,
    offer: Offer,
    resources: Resources,
    *,
    command: str | CommandInfo | None = None,
    executor: ExecutorInfo | None = None,
    **fields: Any,
) -> TaskInfo:
    """Describes a task for the agent of `offer`: a command, or work for an executor; `fields` are further ones."""
    return TaskInfo(
        task_id=TaskID(task_id),
        name=fields.pop("name", task_id),
        agent_id=offer.agent_id,
        resources=resources.to_v1(),
        command=CommandInfo(value=command) if isinstance(command, str) else command,
        executor=executor,
        **fields,
    )
