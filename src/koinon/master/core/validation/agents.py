"""Agents: who may be admitted."""

from __future__ import annotations

from koinon.master.core.config import Config
from koinon.mesos import internal, v1
from koinon.mesos.names import id_problem
from koinon.mesos.resources import ResourceError, Resources


def agent_problem(message: internal.Register, master_info: v1.MasterInfo, config: Config) -> str | None:
    """Why the agent cannot be admitted."""
    info = message.agent_info
    if message.protocol != internal.PROTOCOL:
        return (
            f"The agent speaks version {message.protocol} of the protocol, this master version "
            f"{internal.PROTOCOL}: run the same release of both."
        )
    if not info.hostname:
        return "The agent has no hostname."
    if info.id is not None and info.id.value != "" and (problem := id_problem(info.id.value)) is not None:
        return f"The agent's id is not valid: {problem}."
    try:
        Resources.from_v1(info.resources)
    except ResourceError as error:
        return f"The agent's resources are not valid: {error}."
    if info.domain is not None and master_info.domain is None:
        return "The agent has a domain, but this master has none."
    if info.domain is None and config.require_agent_domain:
        return "The agent has no domain, but this master requires one."
    return None
