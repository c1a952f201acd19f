"""What goes into the master's core and what comes out.

*Events* are facts, in the past tense; *effects* are commands for the shell, to be carried out in order.
`Store` is answered by `RegistryStored` with its ticket: what must not be seen before it is durable leaves
the core only then. A call that must be refused raises `Refused`, before anything has changed.
*Facts* are what an `Announce` tells the operators' event streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from koinon.master.core.state import Agent, Framework, Task
from koinon.mesos import internal, v1
from koinon.mesos.v1 import scheduler


class Refused(Exception):
    """The call is answered with an HTTP status and one line of text; nothing has changed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


# ── events ────────────────────────────────────────────────────────────────────────────────────────
class _Event(Struct, frozen=True, gc=False):
    pass


class RegistryLoaded(_Event, frozen=True):
    """This master leads, in `epoch` of its election; `entries` is all the registry holds. Before it every call is
    refused (503).
    """

    entries: Mapping[str, bytes]
    epoch: int = 0  #: where there is no election


class RegistryStored(_Event, frozen=True):
    """The changes of `Store(ticket, …)` are durable."""

    ticket: int


class SchedulerSubscribed(_Event, frozen=True):
    """A SUBSCRIBE call came in; `stream_id` is new and names its answer. `principal`: who authenticated."""

    stream_id: str
    call: scheduler.Call
    principal: str | None = None


class SchedulerCalled(_Event, frozen=True):
    """Any other scheduler call, with the `Mesos-Stream-Id` it carried."""

    stream_id: str | None
    call: scheduler.Call
    principal: str | None = None


class SchedulerStreamClosed(_Event, frozen=True):
    """The connection of a subscription ended: by the client, or cut off by us for `reason`."""

    stream_id: str
    reason: str = ""


class SchedulerHasRoom(_Event, frozen=True):
    """Answers `AwaitRoom`: the subscription has read most of what it was sent."""

    stream_id: str


class AgentSaid(_Event, frozen=True):
    """A message on an agent's channel; the first on a channel is Register. Channel ids are never reused."""

    channel_id: str
    message: internal.AgentMessage


class AgentChannelClosed(_Event, frozen=True):
    """The connection of an agent ended."""

    channel_id: str


class ClockTicked(_Event, frozen=True):
    """Time to look what is due: at `next_wakeup`, and once a loop turn while `allocation_wanted`."""


class TeardownRequested(_Event, frozen=True):
    """An operator ends a framework. Refused with 400 when it is unknown."""

    framework_id: str


class WeightsUpdated(_Event, frozen=True):
    """An operator sets weights of roles; in force once stored. Refused with 400 when one is invalid."""

    weights: Sequence[v1.WeightInfo]


class WhitelistChanged(_Event, frozen=True):
    """Only agents on these hosts get offers; None means all."""

    hostnames: frozenset[str] | None


class AgentGoneRequested(_Event, frozen=True):
    """An operator declares an agent gone for good. Refused with 404 when it is unknown, 503 while leaving."""

    agent_id: str


Event: TypeAlias = (
    RegistryLoaded
    | RegistryStored
    | SchedulerSubscribed
    | SchedulerCalled
    | SchedulerStreamClosed
    | SchedulerHasRoom
    | AgentSaid
    | AgentChannelClosed
    | ClockTicked
    | TeardownRequested
    | WeightsUpdated
    | WhitelistChanged
    | AgentGoneRequested
)


# ── effects ───────────────────────────────────────────────────────────────────────────────────────
class _Effect(Struct, frozen=True, gc=False):
    pass


class SendEvent(_Effect, frozen=True):
    """Put the event on the scheduler's stream."""

    stream_id: str
    event: scheduler.Event


class AwaitRoom(_Effect, frozen=True):
    """There is more to send than fits: say `SchedulerHasRoom`, in another turn, when little is unread on the stream."""

    stream_id: str


class CloseStream(_Effect, frozen=True):
    """End the scheduler's stream after what was sent. No SchedulerStreamClosed is expected, one does no harm."""

    stream_id: str


class SendToAgent(_Effect, frozen=True):
    """Send the message on the agent's channel."""

    channel_id: str
    message: internal.MasterMessage


class CloseChannel(_Effect, frozen=True):
    """Close the agent's channel after what was sent. An AgentChannelClosed is not expected."""

    channel_id: str


class Store(_Effect, frozen=True):
    """Make the changes durable, all or none; None deletes. Answered by `RegistryStored(ticket)`, in order."""

    ticket: int
    changes: Sequence[tuple[str, bytes | None]]


class Resign(_Effect, frozen=True):
    """This master must not go on: end the process with a failure, at once, and log the reason."""

    reason: str


class TaskAdded(_Effect, frozen=True):
    """Fact: the master accepted a task, or learned of it from its agent."""

    task: Task


class TaskUpdated(_Effect, frozen=True):
    """Fact: a status of a task, and its newest state."""

    task: Task
    status: v1.TaskStatus
    state: v1.TaskState


class AgentAdded(_Effect, frozen=True):
    """Fact: an agent was admitted, or came back."""

    agent: Agent


class AgentRemoved(_Effect, frozen=True):
    """Fact: an agent left, is unreachable, or gone."""

    agent_id: str


class FrameworkAdded(_Effect, frozen=True):
    """Fact: first subscription, or known from an agent's report."""

    framework: Framework


class FrameworkUpdated(_Effect, frozen=True):
    """Fact: resubscribed, disconnected, or its info changed."""

    framework: Framework


class FrameworkRemoved(_Effect, frozen=True):
    """Fact: the framework is completed."""

    framework: Framework


Fact: TypeAlias = (
    TaskAdded | TaskUpdated | AgentAdded | AgentRemoved | FrameworkAdded | FrameworkUpdated | FrameworkRemoved
)


class Announce(_Effect, frozen=True):
    """Tell the operators' event streams; the records in the fact are live, so render at once."""

    fact: Fact


Effect: TypeAlias = (
    SendEvent | AwaitRoom | CloseStream | SendToAgent | CloseChannel | Store | Resign | Announce
)
