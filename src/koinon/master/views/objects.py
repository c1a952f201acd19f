"""Records as the classic endpoints show them: one JSON object each, in bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from koinon.master.core.state import Agent, AgentEntry, Executor, Framework, Offer, Task
from koinon.mesos import v1
from koinon.mesos.resources import Resources

encode = msgspec.json.Encoder().encode

Object = dict[str, Any]


class _Shown(msgspec.Struct, gc=False):
    """Of a TaskInfo what a task is shown with; the rest is skipped unread."""

    labels: v1.Labels | None = None
    discovery: msgspec.Raw = msgspec.Raw()
    container: msgspec.Raw = msgspec.Raw()
    health_check: msgspec.Raw = msgspec.Raw()
    limits: dict[str, v1.Value.Scalar] | None = None


_read_shown = msgspec.json.Decoder(_Shown).decode


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────
def task_bytes(task: Task) -> bytes:
    """The task, made when it has changed since it was shown last."""
    if (rendered := task.rendered) is None:
        rendered = task.rendered = encode(_task(task))
    return rendered


def _task(task: Task) -> Object:
    shown = _read_shown(task.info)
    result: Object = {
        "id": task.task_id,
        "name": task.name,
        "framework_id": task.framework_id,
        "executor_id": task.executor_id,
        "slave_id": task.agent_id,
        "state": task.state.value,
        "resources": task.resources.to_object(),
        "role": task.role,
        "statuses": [_status(status) for status in task.statuses],
    }
    if task.user:
        result["user"] = task.user
    if shown.limits:
        result["limits"] = {name: _limit(limit.value) for name, limit in shown.limits.items()}
    if shown.labels is not None:
        result["labels"] = shown.labels.labels
    if shown.discovery:
        result["discovery"] = shown.discovery
    if shown.container:
        result["container"] = shown.container
    if shown.health_check:
        result["health_check"] = shown.health_check
    return result


def _status(status: v1.TaskStatus) -> Object:
    result: Object = {"state": status.state.value, "timestamp": status.timestamp or 0.0}
    if status.labels is not None:
        result["labels"] = status.labels.labels
    if status.container_status is not None:
        result["container_status"] = status.container_status
    if status.healthy is not None:
        result["healthy"] = status.healthy
    return result


def _limit(value: float) -> float | str:
    return "Infinity" if math.isinf(value) else value  # JSON has no such number


# ── frameworks ────────────────────────────────────────────────────────────────────────────────────
def framework_summary(framework: Framework) -> Object:
    """What `/state-summary` shows of a framework besides its counts."""
    info = framework.info
    return {
        "id": framework.id,
        "name": info.name,
        "used_resources": framework.used_sum().to_object(),
        "offered_resources": framework.offered_sum().to_object(),
        "capabilities": _capabilities(info.capabilities),
        "hostname": info.hostname or "",
        "webui_url": info.webui_url or "",
        "active": framework.active,
        "connected": framework.connected,
        "recovered": framework.recovered,
    }


def framework_object(framework: Framework) -> Object:
    """A framework without its tasks."""
    info = framework.info
    used, offered = framework.used_sum(), framework.offered_sum()
    result = framework_summary(framework)
    result |= {
        "user": info.user,
        "failover_timeout": info.failover_timeout,
        "checkpoint": info.checkpoint,
        "registered_time": framework.registered_s,
        "unregistered_time": framework.unregistered_s,
        "resources": (used.unallocated() + offered.unallocated()).to_object(),
        "offers": [_offer(offer) for offer in framework.offers.values()],
        "executors": [
            _executor(executor)
            for executors in framework.executors.values()
            for executor in executors.values()
        ],
        "offer_constraints": framework.offer_constraints or {},
    }
    if info.principal is not None:
        result["principal"] = info.principal
    if framework.reregistered_s and framework.reregistered_s != framework.registered_s:
        result["reregistered_time"] = framework.reregistered_s
    if framework.has("MULTI_ROLE"):
        result["roles"] = framework.roles
    else:
        result["role"] = framework.roles[0] if framework.roles else "*"
    if info.labels is not None:
        result["labels"] = info.labels.labels
    return result


def _offer(offer: Offer) -> Object:
    return {
        "id": offer.id,
        "framework_id": offer.framework_id,
        "allocation_info": {"role": offer.role},
        "slave_id": offer.agent_id,
        "resources": offer.resources.to_object(),
    }


def _executor(executor: Executor) -> Object:
    info = executor.info
    result: Object = {
        "executor_id": executor.executor_id,
        "name": info.name or "",
        "framework_id": executor.framework_id,
        "command": _command(info.command),
        "resources": executor.resources.to_object(),
        "role": executor.role,
        "slave_id": executor.agent_id,
    }
    if info.labels is not None:
        result["labels"] = info.labels.labels
    if info.type is not None:
        result["type"] = info.type.value
    return result


def _command(command: v1.CommandInfo | None) -> Object:
    if command is None:
        return {"argv": [], "uris": []}
    result: Object = {
        "shell": command.shell,
        "argv": command.arguments,
        "uris": [{"value": uri.value, "executable": bool(uri.executable)} for uri in command.uris],
    }
    if command.value is not None:
        result["value"] = command.value
    if command.environment is not None:
        result["environment"] = command.environment
    return result


# ── agents ────────────────────────────────────────────────────────────────────────────────────────
class AgentBytes:
    """Agents as bytes, each made anew only when something in it has changed."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[tuple[object, ...], bytes]] = {}

    def __call__(self, agent: Agent) -> bytes:
        """The agent as `/state` shows it."""
        # Records of resources never change, and comparing tuples begins with identity: this is cheap.
        shown = (
            agent.info,
            agent.total,
            agent.active,
            agent.version,
            agent.pid,
            agent.reregistered_s,
            tuple(agent.used.values()),
            tuple(agent.offers),
        )
        made = self._made.get(agent.id)
        if made is None or made[0] != shown:
            made = self._made[agent.id] = shown, encode(agent_object(agent))
        return made[1]

    def forget(self, agents: Mapping[str, Agent]) -> None:
        """Drop all that are none of `agents`."""
        if len(self._made) > len(agents):
            self._made = {id_: made for id_, made in self._made.items() if id_ in agents}


def agent_object(agent: Agent) -> Object:
    """An agent, its resources in the compact form."""
    result: Object = {
        "id": agent.id,
        "hostname": agent.hostname,
        "port": agent.port,
        "attributes": attributes_object(agent.attributes),
        "pid": agent.pid,
        "registered_time": agent.registered_s,
        "resources": agent.total.to_object(),
        "used_resources": agent.used_sum().to_object(),
        "offered_resources": agent.offered_sum().to_object(),
        "reserved_resources": {role: part.to_object() for role, part in agent.total.reservations().items()},
        "unreserved_resources": agent.total.unreserved().to_object(),
        "active": agent.active,
        "deactivated": False,
        "version": agent.version,
        "capabilities": sorted(agent.capabilities),
    }
    if agent.info.domain is not None:
        result["domain"] = agent.info.domain
    if agent.reregistered_s:
        result["reregistered_time"] = agent.reregistered_s
    return result


def agent_in_full(agent: Agent) -> Object:
    """An agent as `/slaves` shows it: with whole Resource messages, too."""
    total = agent.total
    return agent_object(agent) | {
        "reserved_resources_full": {
            role: part.to_v1("endpoint") for role, part in total.reservations().items()
        },
        "unreserved_resources_full": total.unreserved().to_v1("endpoint"),
        "used_resources_full": agent.used_sum().to_v1("endpoint"),
        "offered_resources_full": agent.offered_sum().to_v1("endpoint"),
    }


def recovered_agent(entry: AgentEntry) -> Object:
    """An agent of which only the registry knows as yet."""
    info = entry.info
    assert info.id is not None, "an agent in the registry has an id"
    result: Object = {
        "id": info.id.value,
        "hostname": info.hostname,
        "port": info.port,
        "attributes": attributes_object(info.attributes),
    }
    if info.domain is not None:
        result["domain"] = info.domain
    return result


def attributes_object(attributes: Iterable[v1.Attribute]) -> Object:
    """Attributes by name; scalars as numbers, all else as text."""
    return {attribute.name: _attribute(attribute) for attribute in attributes}


def _attribute(attribute: v1.Attribute) -> float | str:
    if attribute.scalar is not None:
        return attribute.scalar.value
    if attribute.ranges is not None:
        return f"[{', '.join(f'{one.begin}-{one.end}' for one in attribute.ranges.range)}]"
    if attribute.set is not None:
        return "{" + ", ".join(attribute.set.item) + "}"
    return attribute.text.value if attribute.text is not None else ""


class Quantities:
    """How much there is of each resource in all that was added; ports count one each."""

    __slots__ = ("_thousandths",)

    def __init__(self) -> None:
        self._thousandths: dict[str, int] = {}

    def add(self, part: Resources) -> None:
        """Count this, too."""
        totals = self._thousandths
        for name, amount in part.scalars.items():
            totals[name] = totals.get(name, 0) + amount
        if ports := part.ports:
            count = sum(end - begin + 1 for begin, end in ports)
            totals["ports"] = totals.get("ports", 0) + count * 1000

    def __add__(self, other: Quantities) -> Quantities:
        total = Quantities()
        total._thousandths = {
            name: self._thousandths.get(name, 0) + other._thousandths.get(name, 0)
            for name in {**self._thousandths, **other._thousandths}
        }
        return total

    def object(self) -> dict[str, float]:
        """Amounts by name."""
        return {name: amount / 1000 for name, amount in self._thousandths.items()}


def _capabilities(capabilities: Iterable[v1.FrameworkInfo.Capability]) -> list[str]:
    return [capability.type.value for capability in capabilities if capability.type is not None]
