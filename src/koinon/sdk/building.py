"""Shorter ways to write messages that every framework needs."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from typing import Any

from koinon.mesos.v1 import CommandInfo, Environment, FrameworkInfo, TaskState

#: States after which a task does nothing any more and holds no resources.
TERMINAL_STATES = frozenset(
    (
        TaskState.TASK_FINISHED,
        TaskState.TASK_FAILED,
        TaskState.TASK_KILLED,
        TaskState.TASK_ERROR,
        TaskState.TASK_LOST,
        TaskState.TASK_DROPPED,
        TaskState.TASK_GONE,
        TaskState.TASK_GONE_BY_OPERATOR,
    )
)


def framework_info(
    name: str,
    *,
    roles: Iterable[str] = ("*",),
    user: str | None = None,
    failover_timeout_s: float = 0.0,
    capabilities: Iterable[str] = ("PARTITION_AWARE",),
    **fields: Any,
) -> FrameworkInfo:
    """Describes a framework. MULTI_ROLE is always among its capabilities; `fields` are further ones of the message.

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


def command(text: str, environment: Mapping[str, str] | None = None) -> CommandInfo:
    """A command for the shell, with additions to its environment."""
    variables = [Environment.Variable(name=name, value=value) for name, value in (environment or {}).items()]
    return CommandInfo(value=text, environment=Environment(variables=variables) if variables else None)
