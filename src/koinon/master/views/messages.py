"""Records as messages of the v1 operator API."""

from __future__ import annotations

import msgspec

from koinon.master.core import events
from koinon.master.core.state import Agent, Executor, Framework, Offer, Task
from koinon.mesos import v1
from koinon.mesos.v1.master import Event, Response
from koinon.mesos.v1.scheduler import OfferConstraints

AgentMessage = Response.GetAgents.Agent
FrameworkMessage = Response.GetFrameworks.Framework
ExecutorMessage = Response.GetExecutors.Executor


class _Shown(msgspec.Struct, gc=False):
    """Of a TaskInfo what a Task repeats; the rest, which is most of it, is skipped unread."""

    labels: v1.Labels | None = None
    discovery: v1.DiscoveryInfo | None = None
    container: v1.ContainerInfo | None = None
    health_check: v1.HealthCheck | None = None
    kill_policy: v1.KillPolicy | None = None
    limits: dict[str, v1.Value.Scalar] = {}


_read_shown = msgspec.json.Decoder(_Shown).decode


class ListedAgentInfo(v1.AgentInfo, kw_only=True):
    """In JSON lists of agents each says that it checkpoints; the message has no such field any more."""

    checkpoint: bool = msgspec.field(default_factory=lambda: True)


def task(found: Task) -> v1.Task:
    """The task with its statuses."""
    shown = _read_shown(found.info)
    return v1.Task(
        name=found.name,
        task_id=v1.TaskID(found.task_id),
        framework_id=v1.FrameworkID(found.framework_id),
        executor_id=v1.ExecutorID(found.executor_id) if found.executor_id else None,
        agent_id=v1.AgentID(found.agent_id),
        state=found.state,
        resources=found.resources.to_v1(),
        statuses=found.statuses,
        status_update_state=found.update_state,
        status_update_uuid=found.update_uuid,
        labels=shown.labels,
        discovery=shown.discovery,
        container=shown.container,
        health_check=shown.health_check,
        kill_policy=shown.kill_policy,
        user=found.user or None,
        limits=shown.limits,
    )


def agent(found: Agent) -> AgentMessage:
    """The agent with what it has, gave away and offers."""
    return AgentMessage(
        agent_info=found.info,
        active=found.active,
        deactivated=False,
        version=found.version,
        pid=found.pid,
        registered_time=_time(found.registered_s),
        reregistered_time=_time(found.reregistered_s) if found.reregistered_s else None,
        total_resources=found.total.to_v1("endpoint"),
        allocated_resources=found.used_sum().to_v1("endpoint"),
        offered_resources=found.offered_sum().to_v1("endpoint"),
        capabilities=[
            v1.AgentInfo.Capability(type=v1.AgentInfo.Capability.Type[name])
            for name in sorted(found.capabilities)
            if name in v1.AgentInfo.Capability.Type.__members__
        ],
    )


def listed(info: v1.AgentInfo) -> ListedAgentInfo:
    """The info as it stands in JSON lists."""
    return ListedAgentInfo(
        hostname=info.hostname,
        port=info.port,
        resources=info.resources,
        attributes=info.attributes,
        id=info.id,
        domain=info.domain,
    )


def listed_agent(found: Agent) -> AgentMessage:
    """As `agent`, for a JSON list."""
    message = agent(found)
    message.agent_info = listed(found.info)
    return message


def framework(found: Framework) -> FrameworkMessage:
    """The framework, without its offers."""
    return FrameworkMessage(
        framework_info=found.info,
        active=found.active,
        connected=found.connected,
        recovered=found.recovered,
        registered_time=_time(found.registered_s),
        reregistered_time=_time(found.reregistered_s or found.registered_s),
        unregistered_time=_time(found.unregistered_s),
        allocated_resources=found.used_sum().to_v1("endpoint"),
        offered_resources=found.offered_sum().to_v1("endpoint"),
        offer_constraints=found.offer_constraints or OfferConstraints(),
    )


def offer(found: Offer, at: Agent) -> v1.Offer:
    """The offer, which is of the agent `at`."""
    return v1.Offer(
        id=v1.OfferID(found.id),
        framework_id=v1.FrameworkID(found.framework_id),
        agent_id=v1.AgentID(found.agent_id),
        hostname=at.hostname,
        url=at.url,
        domain=at.info.domain,
        resources=found.resources.to_v1(),
        attributes=at.attributes,
        executor_ids=[v1.ExecutorID(id_) for id_ in at.executors.get(found.framework_id, ())],
        allocation_info=v1.Resource.AllocationInfo(role=found.role),
    )


def executor(found: Executor) -> ExecutorMessage:
    """The executor and where it runs."""
    info = found.info
    if info.framework_id is None:
        info = msgspec.structs.replace(info, framework_id=v1.FrameworkID(found.framework_id))
    return ExecutorMessage(executor_info=info, agent_id=v1.AgentID(found.agent_id))


def event(fact: events.Fact) -> Event:
    """A fact as the operators' event stream tells it."""
    match fact:
        case events.TaskAdded(added):
            return Event(type=Event.Type.TASK_ADDED, task_added=Event.TaskAdded(task(added)))
        case events.TaskUpdated(updated, status, state):
            return Event(
                type=Event.Type.TASK_UPDATED,
                task_updated=Event.TaskUpdated(
                    framework_id=v1.FrameworkID(updated.framework_id), status=status, state=state
                ),
            )
        case events.AgentAdded(admitted):
            return Event(type=Event.Type.AGENT_ADDED, agent_added=Event.AgentAdded(agent(admitted)))
        case events.AgentRemoved(agent_id):
            return Event(
                type=Event.Type.AGENT_REMOVED, agent_removed=Event.AgentRemoved(v1.AgentID(agent_id))
            )
        case events.FrameworkAdded(subscribed):
            return Event(
                type=Event.Type.FRAMEWORK_ADDED, framework_added=Event.FrameworkAdded(framework(subscribed))
            )
        case events.FrameworkUpdated(changed):
            return Event(
                type=Event.Type.FRAMEWORK_UPDATED,
                framework_updated=Event.FrameworkUpdated(framework(changed)),
            )
        case events.FrameworkRemoved(removed):
            return Event(
                type=Event.Type.FRAMEWORK_REMOVED, framework_removed=Event.FrameworkRemoved(removed.info)
            )


def _time(at_s: float) -> v1.TimeInfo:
    return v1.TimeInfo(round(at_s * 1e9))
