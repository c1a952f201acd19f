"""The SDK's scheduler as a service drives it: tasks outlive the process, and a process that leads no more says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from koinon import logs
from koinon.coordination import DetectionError
from koinon.coordination.detection import Masters
from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call
from koinon.sdk import ApiError, FrameworkError, Scheduler
from koinon.sdk.errors import CallError, CutOff
from koinon.service.exits import Exit, Fatal

#: What masters say to a framework that was torn down, or stayed away for longer than its failover timeout.
_REMOVED = ("removed", "completed framework")
#: How long the end may take: what was called is to be delivered.
_STOP_S = 5.0

_State = v1.TaskState
_Status = v1.TaskStatus


class Driver(Scheduler):
    """Runs from `begin` to `end`. Subclasses override the methods of events, which must be plain functions.

    `may_act` is asked before each call; `failed` is told when the master will never have us. Updates are acknowledged by
    `acknowledge`.
    """

    def __init__(
        self,
        masters: Masters,
        framework: v1.FrameworkInfo,
        *,
        may_act: Callable[[], bool],
        failed: Callable[[Fatal], None],
        credential: tuple[str, str] | None = None,
        suppressed_roles: Iterable[str] = (),
    ) -> None:
        super().__init__(
            masters.detector(),
            framework,
            credential=credential,
            suppressed_roles=suppressed_roles,
            auto_acknowledge=False,
        )
        self._may_act = may_act
        self._tell_failed = failed
        self._log = logs.get()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look for the master and subscribe, in the background."""
        self._task = asyncio.get_running_loop().create_task(self._drive())

    async def end(self) -> None:
        """Leave; tasks run on, for the next process to find."""
        if self._task is None:
            return
        self.stop(failover=True)
        await asyncio.wait((self._task,), timeout=_STOP_S)
        self._task.cancel()
        await asyncio.wait((self._task,))

    def send(self, call: Call) -> None:
        """See `Framework.send`. Another process may lead since: then it says what there is to say."""
        if self._may_act():
            super().send(call)

    @property
    def master_address(self) -> str | None:
        """Of the master that has taken us in last, `host:port`."""
        if (info := self.master) is None:
            return None
        address = info.address
        host = (address.ip or address.hostname) if address is not None else None
        port = address.port if address is not None else info.port
        host = host or info.hostname or ""
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def call_refused(self, call: Call, error: CallError) -> None:
        """See `Scheduler.call_refused`. Tasks of a launch that surely was not done are told as dropped."""
        super().call_refused(call, error)
        if call.accept is not None and _was_surely_not_done(error):
            for task in _launched(call.accept.operations):
                status = v1.TaskStatus(
                    task_id=task.task_id,
                    agent_id=task.agent_id,
                    state=_State.TASK_DROPPED,
                    source=_Status.Source.SOURCE_MASTER,
                    reason=_Status.Reason.REASON_INVALID_OFFERS,
                    message=f"The launch did not reach the cluster: {error}",
                )
                self.update(status)

    async def _drive(self) -> None:
        try:
            await self.run()
        except (ApiError, FrameworkError, DetectionError) as error:
            text = str(error)
            removed = any(word in text.lower() for word in _REMOVED)
            self._tell_failed(
                Fatal(
                    Exit.FRAMEWORK_REMOVED if removed else Exit.DRIVER_FAILED,
                    f"the master refuses us: {text}",
                )
            )
        except Exception as error:
            self._log.exception("the driver failed")
            self._tell_failed(Fatal(Exit.UNCAUGHT, f"the driver failed: {error!r}"))


def _was_surely_not_done(error: CallError) -> bool:
    """A master that fails inside, or is lost before it answers, may have done it all the same."""
    if isinstance(error, ApiError):
        return error.status < 500 or error.status == 503
    return isinstance(error, CutOff) and not error.sent


def _launched(operations: Iterable[v1.Offer.Operation]) -> Iterable[v1.TaskInfo]:
    for operation in operations:
        if operation.launch is not None:
            yield from operation.launch.task_infos
        if operation.launch_group is not None:
            yield from operation.launch_group.task_group.tasks
