"""What goes into Marathon's core and what comes out.

*Events* are facts or requests; *effects* are commands for the shell, to be carried out in order. `Store` is answered by
`Stored` with its ticket: what must not be seen before it is durable (a launch, an acknowledgement) leaves the core only
then. A request that must be refused raises `Refused`, before anything has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from koinon.marathon.model import Root
from koinon.marathon.model.problems import Refused as Refused  # what a request that must not be is answered
from koinon.mesos import v1


# ── events ────────────────────────────────────────────────────────────────────────────────────────
class _Event(Struct, frozen=True, gc=False):
    pass


class Loaded(_Event, frozen=True):
    """This process leads; `entries` is all the store holds. Before it every request is refused (503)."""

    entries: Mapping[str, bytes]


class Stored(_Event, frozen=True):
    """The changes of `Store(ticket, …)`, and of all before, are durable."""

    ticket: int


class Subscribed(_Event, frozen=True):
    """A master has taken us in; offers of before are void."""

    framework_id: str
    master: str  #: `host:port`
    region: str | None = None  #: that it is in, if it says so


class Disconnected(_Event, frozen=True):
    """No master hears us."""


class Offered(_Event, frozen=True):
    """Resources may be used."""

    offers: Sequence[v1.Offer]


class Rescinded(_Event, frozen=True):
    """They may not any more."""

    offer_id: str


class Updated(_Event, frozen=True):
    """A task has another state, or it is told again (or asked for)."""

    status: v1.TaskStatus


class Deploy(_Event, frozen=True):
    """Make `target` of the root that it was computed from. Refused: 409 locked (`deployments`), 403 too many.

    `deployment_id` is new. `origin` is (client address, path) for the event `api_post_event`.
    """

    target: Root
    deployment_id: str
    force: bool = False
    restart: frozenset[str] = (
        frozenset()
    )  #: apps and pods to be replaced although nothing in them has changed
    origin: tuple[str, str] = ("", "")
    #: Instances that are to go first where an app or pod gets fewer (`scale=true` of the calls that kill).
    kill: frozenset[str] = frozenset()
    group: str = ""  #: for the event `group_change_success`; else the group that holds all that changed


class CancelDeployment(_Event, frozen=True):
    """Go back (as a new deployment, `deployment_id`), or with `force` just stop. Refused: 404."""

    cancelled: str
    deployment_id: str
    force: bool = False


class ContinueDeployment(_Event, frozen=True):
    """Its upgrades that wait with their first new instances go on. Refused: 404; 409 when none waits."""

    deployment_id: str


class KillInstances(_Event, frozen=True):
    """Kill these; they are started again unless a deployment says otherwise. `wipe`: by new instances."""

    instances: frozenset[str]
    wipe: bool = False


class ResetDelay(_Event, frozen=True):
    """Launch it at once. Refused: 404 when nothing of it waits."""

    run_spec: str


class Probed(_Event, frozen=True):
    """A probe of ours was answered, or not: `status` 0 and `cause`."""

    key: str
    passed: bool
    status: int = 0
    content_type: str = ""
    body: str = ""
    cause: str = ""


class ClockTicked(_Event, frozen=True):
    """Time has passed: see `Marathon.next_wakeup`."""


Event: TypeAlias = (
    Loaded
    | Stored
    | Subscribed
    | Disconnected
    | Offered
    | Rescinded
    | Updated
    | Deploy
    | CancelDeployment
    | ContinueDeployment
    | KillInstances
    | ResetDelay
    | Probed
    | ClockTicked
)


# ── effects ───────────────────────────────────────────────────────────────────────────────────────
class _Effect(Struct, frozen=True, gc=False):
    pass


class Store(_Effect, frozen=True):
    """Write these keys at once (None deletes), then answer `Stored(ticket)`. Tickets grow."""

    ticket: int
    changes: Sequence[tuple[str, bytes | None]]


class Accept(_Effect, frozen=True):
    """Use offers of one agent; what is left is declined for `refuse_s`."""

    offer_ids: Sequence[v1.OfferID]
    operations: Sequence[v1.Offer.Operation]
    refuse_s: float


class Decline(_Effect, frozen=True):
    """Give offers back."""

    offer_ids: Sequence[v1.OfferID]
    refuse_s: float


class Revive(_Effect, frozen=True):
    """Offers are wanted for these roles."""

    roles: frozenset[str]


class Suppress(_Effect, frozen=True):
    """None are wanted for these roles."""

    roles: frozenset[str]


class UseRoles(_Effect, frozen=True):
    """These are the framework's roles from now on; those of `suppressed` want nothing."""

    roles: frozenset[str]
    suppressed: frozenset[str]


class Kill(_Effect, frozen=True):
    """Kill a task."""

    task_id: str
    agent_id: str | None = None


class Reconcile(_Effect, frozen=True):
    """Ask for the state of tasks (task id → agent id); of all, if empty."""

    tasks: Mapping[str, str | None]


class Acknowledge(_Effect, frozen=True):
    """The update need not be sent again."""

    status: v1.TaskStatus


class Publish(_Effect, frozen=True):
    """For the event stream; `eventType` and `timestamp` are added outside of `fields`."""

    event_type: str
    fields: Mapping[str, Any]


class Probe(_Effect, frozen=True):
    """Ask again and again, until `StopProbe`, and answer each time with `Probed(key, …)`.

    `protocol`: HTTP, HTTPS or TCP. Statuses in `passing` pass; None: 200–399.
    """

    key: str
    protocol: str
    host: str
    port: int
    path: str
    delay_s: float  #: before the first one
    interval_s: float
    timeout_s: float
    passing: Sequence[int] | None = None
    keep_body: bool = False


class StopProbe(_Effect, frozen=True):
    """No more."""

    key: str


class Resign(_Effect, frozen=True):
    """This process must end, with a status of the reference's list and a sentence for its log."""

    status: int
    reason: str


Effect: TypeAlias = (
    Store
    | Accept
    | Decline
    | Revive
    | Suppress
    | UseRoles
    | Kill
    | Reconcile
    | Acknowledge
    | Publish
    | Probe
    | StopProbe
    | Resign
)
