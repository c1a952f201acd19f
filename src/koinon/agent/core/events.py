"""What goes into the agent's core and what comes out.

*Events* are facts; *effects* are commands for the shell, carried out in order. The order carries the promise
*durable before visible*: `Checkpoint` is a gate. What comes after it, in the same list or in a later one, waits until
its changes are on disk. So an update is on disk before the master or the executor hears of it, and a task before its
container starts. `Forget` is no gate: its changes join the next commit, and nothing is wrong if a crash loses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from koinon.agent.core.state import NestedKind
from koinon.agent.core.uris import Fetch
from koinon.mesos import internal, v1
from koinon.mesos.v1 import executor

#: Changes of the checkpoint by key; None deletes.
Changes: TypeAlias = Mapping[str, bytes | None]


class Refused(Exception):
    """The call is answered with an HTTP status and one line of text; nothing has changed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Incompatible(Exception):
    """What is checkpointed does not fit how the agent is configured now; the text says what to do."""


# ── events ────────────────────────────────────────────────────────────────────────────────────────
class Event(Struct, frozen=True, gc=False):
    """A fact."""


class FoundContainer(Struct, frozen=True, gc=False):
    """A container that the launcher knows of: running, or ended with a wait status, which may be unknown."""

    pid: int
    started_s: float = 0.0
    running: bool = True
    status: int | None = None
    message: str = ""


class StateLoaded(Event, frozen=True):
    """The checkpoint has been read and the launcher asked. First event of all; raises Incompatible."""

    entries: Mapping[str, bytes]
    containers: Mapping[str, FoundContainer]
    boot_id: str


class MasterConnected(Event, frozen=True):
    """A connection to the leading master stands; `session` numbers it."""

    session: int


class MasterLost(Event, frozen=True):
    """The connection ended."""

    session: int


class MasterSaid(Event, frozen=True):
    """A message of the master."""

    message: internal.MasterMessage


class ContainerStarted(Event, frozen=True):
    """The program of a container runs."""

    container_id: str
    pid: int


class ContainerNotStarted(Event, frozen=True):
    """A container will not run.

    `prepared` tells whether its sandbox was made, `program` whether nothing was missing but a program to execute.
    """

    container_id: str
    message: str
    prepared: bool = True
    program: bool = False


class ContainerExited(Event, frozen=True):
    """All processes of a container are gone; `status` is the wait status of the main one."""

    container_id: str
    status: int


class ContainerLost(Event, frozen=True):
    """A container is gone and nobody knows how it ended."""

    container_id: str
    message: str


class Probed(Event, frozen=True):
    """What a probe brought: exit status, HTTP status, or whether the connection stood; None: it failed, or took too long.

    Not `made`: it could not even be tried, which says nothing about the task. `message` tells what went wrong.
    """

    probe_id: str
    value: int | None = None
    message: str = ""
    made: bool = True


class SandboxesMeasured(Event, frozen=True):
    """How many bytes of disk the sandboxes of executors take, by the executor's container."""

    used_bytes: Mapping[str, int]


class ExecutorSubscribed(Event, frozen=True):
    """A custom executor sent SUBSCRIBE; `stream_id` is new and names its answer. May raise Refused."""

    stream_id: str
    call: executor.Call


class ExecutorCalled(Event, frozen=True):
    """Any other call of a custom executor. May raise Refused."""

    call: executor.Call


class ExecutorStreamClosed(Event, frozen=True):
    """The connection of a subscription ended."""

    stream_id: str


class ContainerRequested(Event, frozen=True):
    """Somebody wants a nested or standalone container that is not there. May raise Refused.

    What became of it is told to the shell first, by the answer to LaunchContainer.
    """

    kind: NestedKind
    container_id: v1.ContainerID
    command: v1.CommandInfo | None
    container: v1.ContainerInfo | None
    resources: list[v1.Resource] = []
    limits: Mapping[str, v1.Value.Scalar] = {}


class SignalRequested(Event, frozen=True):
    """Somebody wants a signal sent to all processes of a container. May raise Refused."""

    container_id: v1.ContainerID
    number: int


class RemovalRequested(Event, frozen=True):
    """Somebody wants nothing left of a container that has ended. May raise Refused."""

    container_id: v1.ContainerID


class ShutdownRequested(Event, frozen=True):
    """A person wants the agent to leave for good: kill everything, unregister, end."""

    message: str


class ClockTicked(Event, frozen=True):
    """Time has passed; due at `Agent.next_wakeup`."""


# ── effects ───────────────────────────────────────────────────────────────────────────────────────
class Effect(Struct, frozen=True, gc=False):
    """A command."""


class Checkpoint(Effect, frozen=True):
    """Write, and hold everything that follows until it is durable."""

    changes: Changes


class Forget(Effect, frozen=True):
    """Write some time soon; nothing waits for it."""

    changes: Changes


class SendToMaster(Effect, frozen=True):
    """Void when `session` is over: what is still to be said is said again in the next one."""

    session: int
    message: internal.AgentMessage


class LeaveMaster(Effect, frozen=True):
    """End the connection of `session` and look for the leader again; answered by MasterLost."""

    session: int
    message: str


class SendToExecutor(Effect, frozen=True):
    """An event for the subscriber `stream_id`."""

    stream_id: str
    event: executor.Event


class CloseExecutorStream(Effect, frozen=True):
    """End a subscription."""

    stream_id: str


class LaunchContainer(Effect, frozen=True):
    """Make the sandbox and start the program; answered by ContainerStarted or ContainerNotStarted.

    `program` is a path, or a name that is looked for in the PATH of `environment`.
    The sandbox belongs to `user` (None: the agent's own). `link` is made to point to the sandbox. `rlimits` are
    (name as in the v1 API, soft, hard), None = unlimited. What is `tied` dies with the agent's process. `fetches` come
    into the sandbox before the program starts, `fetch_bytes` together at most; DestroyContainer ends them. `shared` are
    directories, made if missing, and the links to be made to them, all in sandboxes.
    """

    container_id: str
    program: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    sandbox: str
    link: str
    user: str | None
    rlimits: tuple[tuple[str, int | None, int | None], ...] = ()
    tied: bool = False
    fetches: tuple[Fetch, ...] = ()
    fetch_bytes: int | None = None
    shared: tuple[tuple[str, str], ...] = ()
    #: Rows and columns of its terminal, if it is to have one.
    window: tuple[int, int] | None = None
    #: It runs in a sandbox that is there, and its streams are for who asked for it.
    session: bool = False
    #: Its sandbox is below no executor's.
    standalone: bool = False
    #: When there was no agent for so long it is ended; None: it goes on.
    patience_s: float | None = None
    #: The sandbox that its own is in, which is there: that of an executor or of a standalone container.
    root: str = ""


class TerminateContainer(Effect, frozen=True):
    """SIGTERM to every process of a container."""

    container_id: str


class SignalContainer(Effect, frozen=True):
    """A signal to every process of a container."""

    container_id: str
    number: int


class DestroyContainer(Effect, frozen=True):
    """SIGKILL to every process of a container, again until none is left."""

    container_id: str


class ForgetContainer(Effect, frozen=True):
    """How a container ended is safe with us: the launcher may drop its record."""

    container_id: str


class CollectSandbox(Effect, frozen=True):
    """Nothing runs in a sandbox any more: it may be removed after a while."""

    directory: str
    root: str | None = None  #: as of RemoveSandbox; None for that of an executor
    before: bool = False  #: it ended before this agent's start, and was last changed then


class ProbeCommand(Effect, frozen=True):
    """Run a command in the sandbox of `container`, as its user and within its limits; answered by Probed.

    As for all probes: a `timeout_s` of None is none, and `probe_id` is new.
    """

    probe_id: str
    timeout_s: float | None
    program: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    container: LaunchContainer


class ProbeHttp(Effect, frozen=True):
    """GET `url`; answered by Probed."""

    probe_id: str
    timeout_s: float | None
    url: str


class ProbeTcp(Effect, frozen=True):
    """Connect to a port; answered by Probed."""

    probe_id: str
    timeout_s: float | None
    address: str
    port: int


class AbandonProbe(Effect, frozen=True):
    """Nobody wants to know any more; nothing of the probe may go on."""

    probe_id: str


class ContainerGone(Effect, frozen=True):
    """A container has ended, and that is safe with us: tell who waits for it. A `status` of None: nobody knows how."""

    container_id: str
    status: int | None
    message: str = ""
    launched: bool = True


class RemoveSandbox(Effect, frozen=True):
    """Remove the sandbox of a nested or standalone container."""

    path: str
    root: str = ""  #: as of LaunchContainer


class Exit(Effect, frozen=True):
    """End the agent's process."""

    status: int
    message: str


class Note(Effect, frozen=True):
    """A line for the log: something was decided that a person may wonder about."""

    message: str
    subject: str
