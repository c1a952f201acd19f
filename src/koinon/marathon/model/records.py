"""What is stored about what runs and what goes on."""

from __future__ import annotations

from typing import Literal

import msgspec


class _Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    pass


#: From launch to end; the names of the API's `condition`.
Condition = Literal[
    "Scheduled",
    "Provisioned",
    "Staging",
    "Starting",
    "Running",
    "Finished",
    "Failed",
    "Killed",
    "Error",
    "Gone",
    "Dropped",
    "Unknown",
    "Killing",
    "Unreachable",
    "UnreachableInactive",
]
#: What an instance is meant to become.
Goal = Literal["Running", "Stopped", "Decommissioned"]


class AgentInfo(_Record, frozen=True):
    """Where an instance is. Attributes are as text, as constraints compare them."""

    agent_id: str
    hostname: str
    attributes: dict[str, str] = {}
    region: str | None = None
    zone: str | None = None


class Task(_Record, frozen=True):
    """One task of an instance: the only one of an app, one for each container of a pod."""

    id: str
    condition: Condition = "Provisioned"
    host_ports: tuple[int, ...] = ()  #: as declared; of a pod those of the container
    ip_addresses: tuple[str, ...] = ()
    staged_at: str | None = None
    started_at: str | None = None
    mesos_state: str | None = None  #: the last one heard, `TASK_RUNNING`
    healthy: bool | None = None  #: as the agent's checks say
    check: dict[str, object] | None = None  #: `checkResult` of the API
    message: str | None = None


class Instance(_Record, frozen=True):
    """One instance of an app or pod."""

    id: str
    run_spec: str  #: id of the app or pod
    version: str  #: of the definition it was made from
    config: str = ""  #: `last_config_change_at` of that: the same as its app's now ⇔ it is up to date
    role: str = "*"
    condition: Condition = "Scheduled"
    goal: Goal = "Running"
    incarnation: int = 0  #: of the tasks; 0 before the first launch
    agent: AgentInfo | None = None
    tasks: tuple[Task, ...] = ()
    since: str = ""  #: of the condition
    active_since: str | None = None
    unreachable_since: str | None = None
    kill_asked_at: str | None = None


class Action(_Record, frozen=True, omit_defaults=False):
    """What a step does to one app or pod."""

    action: Literal[
        "StartApplication",
        "StopApplication",
        "ScaleApplication",
        "RestartApplication",
        "StartPod",
        "StopPod",
        "ScalePod",
        "RestartPod",
    ]
    run_spec: str


class Step(_Record, frozen=True, omit_defaults=False):
    """Actions side by side."""

    actions: tuple[Action, ...]


class Deployment(_Record, frozen=True):
    """A change under way: from the definitions `before` to those of `version`."""

    id: str
    version: str
    steps: tuple[Step, ...]
    current_step: int = 0  #: counts from 0; the API shows one more
    #: What it changed, by id: the version of app or pod before (None: there was none), to go back.
    before: dict[str, str | None] = {}
    #: And after (None: there is none any more).
    after: dict[str, str | None] = {}
    groups_added: tuple[str, ...] = ()
    started_at: str = ""
    #: Upgrades that stand still after their first new instances (label `koinon.canary`): id → since when.
    canaries_since: dict[str, str] = {}
    canaries_passed: tuple[str, ...] = ()  #: those that were told to go on, or waited long enough

    @property
    def affected(self) -> frozenset[str]:
        """Ids of all apps and pods in its steps: they are locked."""
        return frozenset(action.run_spec for step in self.steps for action in step.actions)


class TaskFailure(_Record, frozen=True):
    """`lastTaskFailure` of the API."""

    app_id: str
    task_id: str
    state: str
    message: str
    host: str
    version: str
    timestamp: str
    slave_id: str | None = None


class Change(_Record, frozen=True):
    """What one accepted change did, by ids: versions (of groups: the whole) before and after; None = not there."""

    version: str
    run_specs: dict[str, tuple[str | None, str | None]] = {}
    groups: dict[str, tuple[dict[str, object] | None, dict[str, object] | None]] = {}
