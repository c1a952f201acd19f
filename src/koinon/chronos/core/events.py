"""What goes into Chronos's core and what comes out.

*Events* are facts or requests; *effects* are commands for the shell, to be carried out in order. `Store` is answered by
`Stored` with its ticket: what must not be seen before it is durable (a launch, an acknowledgement) leaves the core only
then. A request that must be refused raises `Refused`, before anything has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from koinon.chronos.model import Job, Run
from koinon.chronos.model.problems import Refused as Refused  # what a request that must not be is answered
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


class ChangeJobs(_Event, frozen=True):
    """These jobs are so from now on, and those are no more; computed from the jobs as they are now."""

    put: tuple[Job, ...] = ()
    deleted: tuple[str, ...] = ()


class RunNow(_Event, frozen=True):
    """Run the job, disabled or not. Refused: unknown."""

    job: str
    arguments: str = ""


class KillRuns(_Event, frozen=True):
    """Kill what runs of the job; what waits to run again, or was asked for by hand, does not run. Refused: unknown."""

    job: str


class DropWaiting(_Event, frozen=True):
    """Of all jobs: no retry, run by hand or queued slot that waits now is to run."""


class MarkSucceeded(_Event, frozen=True):
    """Count a success of the job and start its children, as if it had run. Refused: unknown."""

    job: str


class Complete(_Event, frozen=True):
    """The run of an asynchronous job is over, whatever becomes of its task. Refused: no such run."""

    task_id: str
    succeeded: bool


class Processed(_Event, frozen=True):
    """A run has processed more elements. Refused: no such run."""

    task_id: str
    elements: int


class Recorded(_Event, frozen=True):
    """The history has these runs, durably."""

    ids: Sequence[str]


class ClockTicked(_Event, frozen=True):
    """Time has passed: see `Chronos.next_wakeup`."""


Event: TypeAlias = (
    Loaded
    | Stored
    | Subscribed
    | Disconnected
    | Offered
    | Rescinded
    | Updated
    | ChangeJobs
    | RunNow
    | KillRuns
    | DropWaiting
    | MarkSucceeded
    | Complete
    | Processed
    | Recorded
    | ClockTicked
)


# ── effects ───────────────────────────────────────────────────────────────────────────────────────
class _Effect(Struct, frozen=True, gc=False):
    pass


class Store(_Effect, frozen=True):
    """Write these keys at once (None deletes), then answer `Stored(ticket)`. Tickets grow."""

    ticket: int
    changes: Sequence[tuple[str, bytes | None]]


class Notify(_Effect, frozen=True):
    """Somebody wants to know. It comes before the `Store` of what it tells of, so that it is not forgotten between."""

    kind: Literal["failed", "disabled", "deleted", "recovered", "succeeded"]
    job: Job  #: as it is after that
    at: float
    task_id: str = ""
    attempt: int = 0  #: how many attempts failed before
    message: str = ""
    exhausted: bool = False  #: disabled because no repetition is left


class Record(_Effect, frozen=True):
    """These runs have ended: the history is to have them; answered by `Recorded`. It may be said again."""

    runs: Sequence[Run]


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
    """Offers are wanted."""


class Suppress(_Effect, frozen=True):
    """None are wanted."""


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


class Resign(_Effect, frozen=True):
    """This process must end, with a status and a sentence for its log."""

    status: int
    reason: str


Effect: TypeAlias = (
    Store | Notify | Record | Accept | Decline | Revive | Suppress | Kill | Reconcile | Acknowledge | Resign
)
