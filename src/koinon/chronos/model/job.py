"""The definition of a job, and what is remembered of its runs (reference: Chronos's REST API, the job object).

A job is *scheduled* (it has a `schedule`) or *dependent* (it has `parents`), never both. Its
name is its key. One record holds the definition and the bookkeeping, so that one write says that a run has been
counted and where the schedule stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from koinon.chronos.schedules import Cron, Repeating


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    pass


class KeyValue(_Part, frozen=True, omit_defaults=False):
    """An option, or a label."""

    key: str
    value: str


class EnvironmentVariable(_Part, frozen=True, omit_defaults=False):
    """Given to each task."""

    name: str
    value: str


class Fetch(_Part, frozen=True):
    """One thing that is there before the command runs."""

    uri: str
    executable: bool = False
    cache: bool = False
    extract: bool = True
    output_file: str | None = msgspec.field(default=None, name="output_file")


class ExternalVolume(_Part, frozen=True):
    """Attached by a provider."""

    name: str
    provider: str
    options: tuple[KeyValue, ...] = ()


class Volume(_Part, frozen=True):
    """With a path of the host or an external volume, or an empty one."""

    container_path: str
    host_path: str | None = None
    mode: Literal["RO", "RW"] = "RW"
    external: ExternalVolume | None = None


class PortMapping(_Part, frozen=True):
    """A port of a container network."""

    host_port: int
    container_port: int
    protocol: str | None = None


class NetworkInfo(_Part, frozen=True):
    """A container network to join."""

    name: str
    protocol: Literal["IPv4", "IPv6"] | None = None
    labels: tuple[KeyValue, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()


class Container(_Part, frozen=True):
    """Where the command runs, if not in a plain process."""

    image: str
    type: Literal["DOCKER", "MESOS"] = "DOCKER"
    network: Literal["BRIDGE", "HOST", "USER"] = "HOST"
    network_name: str | None = None  #: deprecated: of a single network
    network_infos: tuple[NetworkInfo, ...] = ()
    volumes: tuple[Volume, ...] = ()
    parameters: tuple[KeyValue, ...] = ()  #: for the Docker engine's command line
    force_pull_image: bool = False


class Constraint(_Part, frozen=True, array_like=True):
    """What an attribute of the agent must be like."""

    attribute: str
    operator: Literal["EQUALS", "LIKE", "UNLIKE"]
    value: str


Overlap = Literal["skip", "queue", "allow"]
MissedRuns = Literal["one", "all", "skip"]


class Successes(_Part, frozen=True, array_like=True):
    """What a parent has done, and the child has not used yet."""

    parent: str
    windows: tuple[int, ...]  #: in which it succeeded, in the order of the news; 0 = by hand


class Lapse(_Part, frozen=True, array_like=True):
    """Slots that one run made up for: those later than the one and not later than the other."""

    since_ms: int
    through_ms: int  #: what the clock showed then


class Job(_Part, frozen=True):
    """One job, complete."""

    name: str
    # ── what to run ──
    command: str = ""
    shell: bool = True
    arguments: tuple[str, ...] = ()
    executor: str = ""  #: the command of a custom executor
    executor_flags: str = ""
    task_info_data: str = ""
    run_as_user: str = "root"
    environment_variables: tuple[EnvironmentVariable, ...] = ()
    fetch: tuple[Fetch, ...] = ()  #: `uris` of the API, too
    container: Container | None = None
    cpus: float = 0.1
    mem: float = 128.0
    disk: float = 256.0
    gpus: int = 0
    constraints: tuple[Constraint, ...] = ()

    # ── when ──
    schedule: Repeating | Cron | None = None  #: with how far it has come; None of a dependent job
    parents: tuple[str, ...] = ()  #: each once
    successes: tuple[Successes, ...] = ()  #: of those parents that have some, sorted by parent
    helped_windows: tuple[
        int, ...
    ] = ()  #: for which it has run with a success by hand in place of the parent's own
    disabled: bool = False
    high_priority: bool = False
    overlap: Overlap = "skip"  #: what becomes of a run that finds another of its job running
    missed_runs: MissedRuns = (
        "one"  #: how many of those that came due while nothing could start are made up for
    )
    epsilon: str = "PT60S"  #: ISO 8601 duration: how late is not missed yet

    # ── how it ends ──
    retries: int = 2  #: attempts after the first that failed
    retry_delay_seconds: float | None = None  #: None = the flag's
    retry_backoff_factor: float = 1.0  #: of each delay to the one before
    max_retry_delay_seconds: float = 3600.0
    max_completion_time: float = 0.0  #: seconds; 0 = any
    lost_after_seconds: float | None = None  #: out of reach, a run counts as failed; None = it is waited for
    soft_error: bool = False  #: children run also when it has failed for good
    asynchronous: bool = msgspec.field(
        default=False, name="async"
    )  #: a call, not the task's end, completes a run
    data_processing_job_type: bool = False

    # ── who cares ──
    owner: str = ""  #: e-mail addresses, separated by commas
    owner_name: str = ""
    description: str = ""
    notify_on_success: bool = False

    # ── what has been ──
    success_count: int = 0
    error_count: int = 0  #: runs whose last attempt failed
    errors_since_last_success: int = 0
    last_success: float | None = None
    last_error: float | None = None
    created_ms: int = 0  #: since when there is a job of this name; never shown
    lapses: tuple[Lapse, ...] = ()  #: what matters if the clock is set back; never shown
    ahead: Repeating | Cron | None = (
        None  #: where `schedule` was before it was set back with the clock; never shown
    )
    latest_slot_ms: int = 0  #: the latest due time of a run that its schedule made due; never shown
    latest_due_ms: int = 0  #: of another run; never shown

    @property
    def created(self) -> float:
        """Since when there is a job of this name, in seconds since the epoch."""
        return self.created_ms / 1000

    @property
    def is_dependent(self) -> bool:
        """Whether parents start it."""
        return bool(self.parents)

    @property
    def unused(self) -> dict[str, tuple[int, ...]]:
        """The windows of `successes`, by parent."""
        return {one.parent: one.windows for one in self.successes}

    @property
    def is_scheduled(self) -> bool:
        """Whether time starts it."""
        return self.schedule is not None

    @property
    def concurrent(self) -> bool:
        """Whether several runs of it may go on at once."""
        return self.overlap == "allow"

    @property
    def owners(self) -> tuple[str, ...]:
        """The addresses."""
        return tuple(one for one in (part.strip() for part in self.owner.split(",")) if one)

    def retry_delay(self, attempt: int, flag_seconds: float) -> float:
        """Seconds between the failure of `attempt` and the next one; `flag_seconds` unless the job says."""
        first = flag_seconds if self.retry_delay_seconds is None else self.retry_delay_seconds
        # The power is bounded, as a job may be retried for weeks.
        return min(
            first * self.retry_backoff_factor ** min(attempt, 64), max(self.max_retry_delay_seconds, first)
        )


#: The fields that no definition sets by itself: they stay when a job is replaced.
BOOKKEEPING = frozenset(
    {
        "success_count",
        "error_count",
        "errors_since_last_success",
        "last_success",
        "last_error",
        "created_ms",
        "latest_slot_ms",
        "latest_due_ms",
    }
)


def successes_of(unused: Mapping[str, Iterable[int]]) -> tuple[Successes, ...]:
    """As a job keeps them."""
    windows = {parent: tuple(unused[parent]) for parent in sorted(unused)}
    return tuple(Successes(parent, found) for parent, found in windows.items() if found)
