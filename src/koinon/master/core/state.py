"""What the master knows: flat records, and the tables that hold them.

Only the core writes these; views and metrics read them. Ids are plain strings, times are seconds since
the epoch, 0.0 means "never". Records name each other by id, so they form no cycles.

*Known* agents are `agents` (admitted, connected or not), `recovered_agents` (in the registry, not heard of
since this master leads), `unreachable_agents` and `gone_agents`. A framework's task is in exactly one of its
`tasks` (alive, or ended and not yet acknowledged), `unreachable_tasks` and `completed_tasks`.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum

from msgspec import Struct, field

from koinon.master.core.tables import AgentState, FrameworkState
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import scheduler


class Task(Struct, gc=False, kw_only=True):
    """A task as the master has it. `info` is the launched TaskInfo, as JSON."""

    framework_id: str
    task_id: str
    agent_id: str
    executor_id: str  #: "" for a command task
    name: str
    role: str
    state: v1.TaskState
    resources: Resources  #: of the task alone, allocated to `role`
    info: bytes
    user: str
    statuses: list[v1.TaskStatus] = []  #: one per state, oldest first; without `data`
    #: The last update that asked for an acknowledgement, and whether it has come.
    update_state: v1.TaskState | None = None
    update_uuid: bytes | None = None
    acknowledged: bool = True
    unreachable_s: float = 0.0  #: since when its agent is unreachable
    rendered: bytes | None = None  #: cache slot of the views; the core empties it on every change


class Executor(Struct, gc=False, kw_only=True):
    """A custom or default executor that runs, or is being started, on an agent."""

    framework_id: str
    executor_id: str
    agent_id: str
    role: str
    info: v1.ExecutorInfo
    resources: Resources  #: of the executor alone, allocated to `role`


class Offer(Struct, gc=False, kw_only=True):
    """What a framework may use of one agent, for one role, until it answers."""

    id: str
    framework_id: str
    agent_id: str
    role: str
    resources: Resources  #: allocated to `role`
    made_s: float


class Decision(Struct, gc=False):
    """Something the master decided, and why; kept for the person who asks."""

    at_s: float
    code: str  #: snake_case, stable
    sentence: str


class Framework(Struct, kw_only=True):
    """A framework, live or completed."""

    id: str
    info: v1.FrameworkInfo  #: `id` is set
    roles: tuple[str, ...]
    suppressed: set[str]  #: roles that want no offers for now
    capabilities: frozenset[str]  #: names, such as PARTITION_AWARE
    offer_constraints: scheduler.OfferConstraints | None = None
    state: FrameworkState
    stream_id: str | None = None  #: of the open subscription
    registered_s: float = 0.0
    reregistered_s: float = 0.0
    unregistered_s: float = 0.0
    disconnected_s: float = 0.0  #: since when; 0.0 while connected
    tasks: dict[str, Task] = {}
    unreachable_tasks: dict[str, Task] = {}
    completed_tasks: deque[Task] = field(default_factory=deque)  #: bounded
    executors: dict[str, dict[str, Executor]] = {}  #: by agent, by executor
    offers: dict[str, Offer] = {}
    used: dict[str, Resources] = {}  #: by tasks and executors, per agent; no empty entries
    counters: Counter[str] = field(default_factory=Counter)  #: by metric name below `frameworks/<name>/<id>/`
    decisions: deque[Decision] = field(default_factory=lambda: deque(maxlen=32))
    #: What it asked for by RECONCILE on this subscription and is still to hear of, oldest first: tasks that were known
    #: then, and others.
    questions: deque[Task | scheduler.Call.Reconcile.Task] = field(default_factory=deque)
    #: What was said of tasks that were never launched; they are in no table.
    not_launched: deque[v1.TaskStatus] = field(default_factory=lambda: deque(maxlen=100))

    @property
    def connected(self) -> bool:
        """Has it an open subscription?"""
        return self.state is FrameworkState.SUBSCRIBED

    @property
    def active(self) -> bool:
        """Does it get offers? Over HTTP whoever is connected does."""
        return self.state is FrameworkState.SUBSCRIBED

    @property
    def recovered(self) -> bool:
        """Is it known from agents only, because it has not subscribed to this master yet?"""
        return self.state is FrameworkState.RECOVERED

    def has(self, capability: str) -> bool:
        """Does the framework have this capability?"""
        return capability in self.capabilities

    def used_sum(self) -> Resources:
        """All that its tasks and executors use."""
        return Resources.sum(self.used.values())

    def offered_sum(self) -> Resources:
        """All that is on offer to it."""
        return Resources.sum(offer.resources for offer in self.offers.values())


class Agent(Struct, kw_only=True):
    """An admitted agent."""

    id: str
    info: v1.AgentInfo  #: `id` is set
    hostname: str
    port: int
    pid: str  #: slave(1)@ip:port
    version: str
    capabilities: frozenset[str]
    attributes: list[v1.Attribute]
    total: Resources
    url: v1.URL  #: as it stands in offers
    state: AgentState
    channel_id: str | None = None  #: None while disconnected
    in_allocator: bool = False  #: what frameworks give back goes to the allocator
    registered_s: float = 0.0
    reregistered_s: float = 0.0
    disconnected_s: float = 0.0  #: since when; 0.0 while connected
    tasks: dict[str, dict[str, Task]] = {}  #: by framework, by task; no empty inner tables
    executors: dict[str, dict[str, Executor]] = {}  #: likewise
    offers: dict[str, Offer] = {}
    used: dict[str, Resources] = {}  #: by tasks and executors, per framework; no empty entries
    #: Kills asked for while it was disconnected: (framework, task) → kill policy.
    kills: dict[tuple[str, str], v1.KillPolicy | None] = {}
    pinged: bool = False  #: a ping is out and not answered
    pings_missed: int = 0

    @property
    def connected(self) -> bool:
        """Has it a channel to us?"""
        return self.state is AgentState.CONNECTED

    @property
    def active(self) -> bool:
        """Are its resources offered?"""
        return self.state is AgentState.CONNECTED

    def used_sum(self) -> Resources:
        """All that tasks and executors use of it."""
        return Resources.sum(self.used.values())

    def offered_sum(self) -> Resources:
        """All of it that is on offer."""
        return Resources.sum(offer.resources for offer in self.offers.values())


class Standing(Enum):
    """How an agent stands in the registry."""

    ADMITTED = "admitted"
    UNREACHABLE = "unreachable"
    GONE = "gone"


class AgentEntry(Struct, kw_only=True):
    """An agent in the registry, key `agents/<id>`, as JSON."""

    info: v1.AgentInfo
    standing: Standing
    since_s: float  #: when it came to stand so


class Joining(Struct):
    """A registration that waits for the registry."""

    channel_id: str
    message: internal.Register
    ticket: int
    new: bool  #: the id is of our making, and nobody has heard it yet
    exits: list[internal.ExecutorExited] = []  #: of executors that the message has, said since


class Leaving(Struct):
    """A departure that waits for the registry."""

    ticket: int
    gone: bool  #: for good: a registration in the meantime is refused


class State(Struct, kw_only=True):
    """All of the master's state."""

    recovered: bool = False  #: the registry has been read; before that every call is refused
    elected_s: float = 0.0
    epoch: int = 0  #: of our election; 0 where there is none
    cluster: str = ""  #: what the registry is called: epochs of one cluster can be compared
    frameworks: dict[str, Framework] = {}  #: subscribed at least once, or recovered
    completed_frameworks: dict[str, Framework] = {}  #: bounded, oldest first
    agents: dict[str, Agent] = {}
    recovered_agents: dict[str, AgentEntry] = {}
    unreachable_agents: dict[str, AgentEntry] = {}
    gone_agents: dict[str, AgentEntry] = {}
    joining: dict[str, Joining] = {}  #: by agent
    leaving: dict[str, Leaving] = {}  #: by agent
    awaited: int = 0  #: how many agents were recovered when this master began to lead
    doomed: dict[
        str, float
    ] = {}  #: agents that are to be given up when their turn comes, since when; oldest first
    next_removal_s: float = 0.0  #: no turn comes before
    offers: dict[str, Offer] = {}
    weights: dict[str, float] = {}  #: by role; 1.0 when absent
    #: Tasks of `unreachable_tasks` by agent, by (framework, task).
    lost_tasks: dict[str, dict[tuple[str, str], Task]] = {}
    #: By metric name below `master/`; counters only, gauges are computed by who asks.
    counters: Counter[str] = field(default_factory=Counter)
