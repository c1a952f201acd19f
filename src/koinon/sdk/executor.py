"""Write an executor: subclass `Executor`, override `launch`, `await run()`.

    class Sleeper(Executor):
        async def launch(self, task):
            self.update(task, TaskState.TASK_RUNNING)
            await asyncio.sleep(10)
            self.update(task, TaskState.TASK_FINISHED)

    asyncio.run(Sleeper().run())

An `async` launch is the task's *work*: many run side by side, a kill cancels the one it means, an exception
makes the task TASK_FAILED. A task is *live* until an update with a terminal state. An update is *unacknowledged*
until the agent has it on disk; those, and tasks without any acknowledged update, are told to the agent again
when it comes back, so that nothing gets lost in its restart.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import cast

from koinon.flags import Duration
from koinon.mesos import codec, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1.executor import Call, Event
from koinon.sdk.addresses import Address, parse_address
from koinon.sdk.client import Client, MaybeAwaitable, as_id, log
from koinon.sdk.errors import ApiError, CallError, FrameworkError, Undelivered
from koinon.sdk.subscription import Api, subscribe

_Type = Event.Type


class Environment:
    """What the agent told the executor by MESOS_* variables. Raises KeyError for one that must be there."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.framework_id = v1.FrameworkID(variables["MESOS_FRAMEWORK_ID"])
        self.executor_id = v1.ExecutorID(variables["MESOS_EXECUTOR_ID"])
        self.agent: Address = parse_address(variables["MESOS_AGENT_ENDPOINT"])
        #: Whether the agent writes us down, so that we may outlive it.
        self.checkpoint = variables.get("MESOS_CHECKPOINT") == "1"
        self.recovery_timeout_s = Duration.parse(variables.get("MESOS_RECOVERY_TIMEOUT", "15mins"))
        self.backoff_max_s = Duration.parse(variables.get("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"))
        self.shutdown_grace_s = Duration.parse(variables.get("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"))
        self.token = variables.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")


class Executor(Client[Call, Event]):
    """An executor's end of the executor API, towards the agent named in `environment` (else the process's own)."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, content_type: str = codec.JSON
    ) -> None:
        self.environment = Environment(os.environ if environment is None else environment)
        token = self.environment.token
        super().__init__(
            Api(
                path="/api/v1/executor",
                call=Call,
                event=Event,
                # The agent knows updates by their uuid; data could arrive twice.
                harmless=lambda call: call.type is Call.Type.UPDATE,
                content_type=content_type,
                authorization=f"Bearer {token}" if token else None,
                repeats=True,
            )
        )
        self.executor: v1.ExecutorInfo | None = None  #: what we are, once subscribed
        self.framework: v1.FrameworkInfo | None = None  #: whose we are, once subscribed
        self.agent: v1.AgentInfo | None = None  #: where we are, once subscribed
        self._live: dict[str, v1.TaskInfo] = {}
        self._work: dict[str, asyncio.Future[None]] = {}
        self._unacknowledged_tasks: dict[str, v1.TaskInfo] = {}
        self._unacknowledged_updates: dict[bytes, Call.Update] = {}
        self._settled = asyncio.Event()  #: set when the last update is acknowledged, or the agent lost
        self._shutting_down: asyncio.Task[None] | None = None
        self._ended = False
        self._handlers: dict[Event.Type | None, Callable[[Event], MaybeAwaitable]] = {
            _Type.SUBSCRIBED: self._on_subscribed,
            _Type.LAUNCH: lambda event: self._launch(event.launch.task) if event.launch else None,
            _Type.LAUNCH_GROUP: self._on_launch_group,
            _Type.KILL: self._on_kill,
            _Type.ACKNOWLEDGED: self._on_acknowledged,
            _Type.MESSAGE: lambda event: self.message(event.message.data) if event.message else None,
            _Type.SHUTDOWN: lambda event: self.stop(),
            _Type.ERROR: self._on_error,
        }

    # ── for authors to override, plain or async ───────────────────────────────────────────────────
    def subscribed(self) -> MaybeAwaitable:
        """The agent knows us, for the first time or again after it was away."""
        return None

    def launch(self, task: v1.TaskInfo) -> MaybeAwaitable:
        """Start `task` and send updates about it. As `async` method: be the task."""
        raise NotImplementedError(f"{type(self).__name__} has no launch()")

    def launch_group(self, tasks: list[v1.TaskInfo]) -> None:
        """Start tasks that belong together. Unless overridden, each one is launched."""
        for task in tasks:
            self._launch(task)

    def kill(self, task_id: str, grace_s: float | None) -> MaybeAwaitable:
        """End a task within `grace_s` (None: as its own kill policy says). Unless overridden, its work is cancelled."""
        self._cancel(task_id)
        return None

    def message(self, data: bytes) -> MaybeAwaitable:
        """The scheduler sent data."""
        return None

    def shutdown(self) -> MaybeAwaitable:
        """Everything must end, within the grace period. Live tasks become TASK_KILLED after this."""
        return None

    def error(self, message: str) -> MaybeAwaitable:
        """The agent ended the subscription for good. Raises FrameworkError; else `run()` just returns."""
        raise FrameworkError(message)

    def call_refused(self, call: Call, error: CallError) -> MaybeAwaitable:
        """A call failed: ApiError when it was refused, Undelivered when no answer came. Logs it.

        An update without answer is not worth a warning: it is sent again.
        """
        if call.update is not None and isinstance(error, Undelivered):
            return None
        return super().call_refused(call, error)

    # ── for authors to call; they return at once ──────────────────────────────────────────────────
    def update(
        self,
        task: v1.TaskInfo | v1.TaskID | str,
        state: v1.TaskState,
        *,
        message: str | None = None,
        reason: v1.TaskStatus.Reason | None = None,
        data: bytes | None = None,
        healthy: bool | None = None,
        labels: v1.Labels | None = None,
    ) -> None:
        """Reports the state of a task; repeated until the agent has it. After a terminal state the task is over."""
        task_id = as_id(v1.TaskID, task.task_id if isinstance(task, v1.TaskInfo) else task)
        status = v1.TaskStatus(
            task_id=task_id,
            state=state,
            source=v1.TaskStatus.Source.SOURCE_EXECUTOR,
            message=message,
            reason=reason,
            data=data,
            healthy=healthy,
            labels=labels,
            executor_id=self.environment.executor_id,
            timestamp=time.time(),
            uuid=os.urandom(16),
        )
        if state in TERMINAL:
            self._live.pop(task_id.value, None)
        update = Call.Update(status)
        self._unacknowledged_updates[cast(bytes, status.uuid)] = update
        if self._subscription is not None:  # else SUBSCRIBE will carry it
            self.send(self._call(Call.Type.UPDATE, update=update))

    def send_message(self, data: bytes) -> None:
        """Sends data to the scheduler. It may get lost."""
        self.send(self._call(Call.Type.MESSAGE, message=Call.Message(data)))

    def stop(self) -> None:
        """Shuts down, as if the agent had asked for it; `run()` returns once the agent has all updates."""
        if self._shutting_down is None:
            self._shutting_down = asyncio.ensure_future(self._shut_down())

    async def run(self) -> None:
        """Subscribes and hands events to the methods above, until SHUTDOWN or until the agent is gone for good.

        Raises ApiError when the agent will not have us, and whatever the methods raise.
        """
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self.environment.recovery_timeout_s
        try:
            while True:
                said = set(self._unacknowledged_updates)
                try:
                    subscription = await subscribe(
                        self._api, self.environment.agent, self._subscribe_call(), self._refused
                    )
                except OSError as error:
                    why = f"cannot subscribe: {error or 'timed out'}"
                except ApiError as error:
                    if error.status < 500:
                        raise
                    why = f"cannot subscribe yet: {error}"
                else:
                    self._subscription = subscription
                    for uuid, update in self._unacknowledged_updates.items():
                        if uuid not in said:  # made while SUBSCRIBE was under way
                            self.send(self._call(Call.Type.UPDATE, update=update))
                    lost = await self._follow(subscription)
                    if lost is None:
                        break
                    await self._unsubscribe()
                    self._settled.set()
                    if (told := self.disconnected()) is not None:
                        await told
                    why = f"disconnected: {lost}"
                    checkpointed = self.environment.checkpoint
                    give_up_s = loop.time() + (self.environment.recovery_timeout_s if checkpointed else 0.0)
                if self._shutting_down is not None or loop.time() >= give_up_s:
                    log.warning("%s; shutting down", why)
                    self.stop()
                    break
                pause_s = random.uniform(0, self.environment.backoff_max_s)
                log.warning("%s; trying again in %.1f s", why, pause_s)
                await self._pause(pause_s, until=self._finished)
            if self._shutting_down is not None:
                await self._shutting_down
        finally:
            for work in self._work.values():
                work.cancel()
            if self._shutting_down is not None:
                self._shutting_down.cancel()
            if self._subscription is not None:
                self._subscription.close()
                self._subscription = None

    # ── events ────────────────────────────────────────────────────────────────────────────────────
    def _handle(self, event: Event) -> MaybeAwaitable:
        handler = self._handlers.get(event.type)
        return handler(event) if handler is not None else None

    def _finished(self) -> bool:
        return self._ended

    def _subscribe_call(self) -> Call:
        return self._call(
            Call.Type.SUBSCRIBE,
            subscribe=Call.Subscribe(
                unacknowledged_tasks=list(self._unacknowledged_tasks.values()),
                unacknowledged_updates=list(self._unacknowledged_updates.values()),
            ),
        )

    def _call(self, kind: Call.Type, **body: object) -> Call:
        return Call(
            framework_id=self.environment.framework_id,
            executor_id=self.environment.executor_id,
            type=kind,
            **body,  # type: ignore[arg-type]
        )

    def _refused(self, call: Call, error: CallError) -> None:
        if call.update is not None and isinstance(error, Undelivered) and self._subscription is not None:
            pause_s = random.uniform(0, self.environment.backoff_max_s)
            asyncio.get_running_loop().call_later(pause_s, self._repeat, call)
        super()._refused(call, error)

    def _repeat(self, call: Call) -> None:
        uuid = call.update.status.uuid if call.update is not None else None
        if uuid in self._unacknowledged_updates and self._subscription is not None:
            self.send(call)

    def _on_subscribed(self, event: Event) -> MaybeAwaitable:
        if event.subscribed is None:
            return None
        self.executor = event.subscribed.executor_info
        self.framework = event.subscribed.framework_info
        self.agent = event.subscribed.agent_info
        return self.subscribed()

    def _on_launch_group(self, event: Event) -> MaybeAwaitable:
        if event.launch_group is not None:
            self.launch_group(event.launch_group.task_group.tasks)
        return None

    def _launch(self, task: v1.TaskInfo) -> None:
        task_id = task.task_id.value
        self._live[task_id] = self._unacknowledged_tasks[task_id] = task
        try:
            told = self.launch(task)
        except Exception as error:
            self._fail(task_id, error)
            return
        if told is not None:
            work = self._work[task_id] = asyncio.ensure_future(told)
            work.add_done_callback(lambda work: self._work_ended(task_id, work))

    def _work_ended(self, task_id: str, work: asyncio.Future[None]) -> None:
        self._work.pop(task_id, None)
        if work.cancelled():
            if task_id in self._live:
                self.update(task_id, v1.TaskState.TASK_KILLED)
        elif isinstance(error := work.exception(), Exception):
            self._fail(task_id, error)

    def _fail(self, task_id: str, error: Exception) -> None:
        log.error("task %s failed", task_id, exc_info=error)
        if task_id in self._live:
            self.update(task_id, v1.TaskState.TASK_FAILED, message=f"{type(error).__name__}: {error}")

    def _cancel(self, task_id: str) -> None:
        if (work := self._work.get(task_id)) is not None:
            work.cancel()
        elif task_id in self._live:
            raise NotImplementedError(f"{type(self).__name__} launches without async, so it needs a kill()")

    def _on_kill(self, event: Event) -> MaybeAwaitable:
        if event.kill is None:
            return None
        policy = event.kill.kill_policy
        grace = policy.grace_period if policy is not None else None
        return self.kill(event.kill.task_id.value, grace.nanoseconds / 10**9 if grace is not None else None)

    def _on_acknowledged(self, event: Event) -> MaybeAwaitable:
        if event.acknowledged is not None:
            self._unacknowledged_tasks.pop(event.acknowledged.task_id.value, None)
            self._unacknowledged_updates.pop(event.acknowledged.uuid, None)
            if not self._unacknowledged_updates:
                self._settled.set()
        return None

    async def _shut_down(self) -> None:
        """Ends all work, and waits until the agent has heard of it, all within the grace period."""
        try:
            async with asyncio.timeout(self.environment.shutdown_grace_s):
                if (told := self.shutdown()) is not None:
                    await told
                for work in (works := list(self._work.values())):
                    work.cancel()
                if works:
                    await asyncio.wait(works)
                for task_id in list(self._live):
                    self.update(task_id, v1.TaskState.TASK_KILLED)
                while self._unacknowledged_updates and self._subscription is not None:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            log.warning("not everything ended within %g s", self.environment.shutdown_grace_s)
        finally:
            self._ended = True
            self._nudge()

    def _on_error(self, event: Event) -> MaybeAwaitable:
        self._ended = True
        return self.error(event.error.message if event.error else "")
