"""An event loop for each simulated process: asyncio, with the world's time and wires in place of the machine's.

What runs in production on asyncio runs on it unchanged: runtimes, channels, the SDK. It knows what they use of an
event loop: calls soon, later and at a time, futures, tasks, and TCP connections.

A process that is *frozen* finds everything that came meanwhile when it wakes: first what its sockets brought, then
what its timers were set for. One that was killed does nothing any more, not even the `finally` of its coroutines.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

from koinon.simulator.world import Handle

if TYPE_CHECKING:
    from koinon.simulator.machines import Process

T = TypeVar("T")

#: A turn of an event loop begins so long after the first thing that it has to do.
_TURN_S = 0.0001
#: So many turns are made at once.
_TURNS = 20
#: What is done outside of the loop takes so long.
_ELSEWHERE_S = 0.001


class Loop(asyncio.AbstractEventLoop):
    """The event loop of one process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process.world
        self._ready: deque[tuple[Handle, Context | None]] = deque()
        self._readable: list[Handle] = []  #: what sockets brought to a frozen process
        self._due_meanwhile: list[Handle] = []  #: timers of a frozen process
        self._turn_planned = False
        self._frozen = False
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    # ── life ──────────────────────────────────────────────────────────────────────────────────────
    def freeze(self) -> None:
        """Stop, until `wake`."""
        self._frozen = True

    def wake(self) -> None:
        """Go on; of what came in meanwhile nobody knows which was first."""
        self._frozen = False
        self._process.machine.network.random.shuffle(self._readable)
        self._ready.extend((handle, None) for handle in self._readable)
        self._readable.clear()
        self._ready.extend((handle, None) for handle in self._due_meanwhile)
        self._due_meanwhile.clear()
        if self._ready:
            self._plan_turn()

    def kill(self) -> None:
        """Nothing is done any more."""
        self._closed = True
        self._ready.clear()
        self._readable.clear()
        self._due_meanwhile.clear()

    def bury(self) -> None:
        """Let go of what a killed process left; the world is over."""
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            try:
                if coroutine is not None:
                    coroutine.close()
            except BaseException:
                # It tried to go on, or to say good-bye; nobody listens.
                continue
        self._tasks.clear()

    def deliver(self, call: Callable[..., object], *arguments: Any) -> None:
        """Something came in from outside, as what a thread hands over does: in order."""
        if not self._closed:
            self._ready.append((Handle(0.0, call, arguments), None))
            self._plan_turn()

    def receive(self, call: Callable[..., object], *arguments: Any) -> None:
        """A socket can be read."""
        if self._frozen and not self._closed:
            self._readable.append(Handle(0.0, call, arguments))
        else:
            self.deliver(call, *arguments)

    def _plan_turn(self) -> None:
        if not self._turn_planned and not self._frozen:
            self._turn_planned = True
            self._world.after(_TURN_S, self._turn)

    def _turn(self) -> None:
        if self._closed or self._frozen:
            self._turn_planned = False
            return
        asyncio._set_running_loop(self)
        self._process.enter()
        ready, rounds = self._ready, 0
        try:
            # What one turn leads to is done in the next, which takes no time worth the heap.
            while ready and rounds < _TURNS:
                rounds += 1
                for _ in range(len(ready)):
                    handle, context = ready.popleft()
                    call = handle.call
                    if call is None:
                        continue
                    if context is None:
                        call(*handle.arguments)
                    else:
                        context.run(call, *handle.arguments)
                    if self._closed:  # the process ended itself
                        return
        except SystemExit:
            assert self._closed  # it ended itself
        except Exception as error:
            self._process.failed(error)
        finally:
            self._turn_planned = False
            self._process.leave()
            asyncio._set_running_loop(None)
        if ready:
            self._plan_turn()

    # ── what asyncio asks of a loop ───────────────────────────────────────────────────────────────
    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """See asyncio."""
        handle = Handle(0.0, callback, args)
        if not self._closed:
            self._ready.append((handle, context))
            self._plan_turn()
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """See asyncio."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """See asyncio."""
        if context is not None:
            callback, args = context.run, (callback, *args)
        handle = Handle(when, callback, args)
        if not self._closed:
            self._world.at(max(self._process.machine.true_s(when), self._world.now), self._ring, handle)
        return handle

    def _ring(self, handle: Handle) -> None:
        if self._closed or handle.call is None:
            return
        if self._frozen:
            self._due_meanwhile.append(handle)
        else:
            self._ready.append((handle, None))
            self._plan_turn()

    def time(self) -> float:
        """See asyncio."""
        return self._process.machine.monotonic()

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        """See asyncio."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """See asyncio: what would be done by a thread is done here, a little later."""
        future: asyncio.Future[T] = self.create_future()
        self.call_later(_ELSEWHERE_S, self._run_elsewhere, future, func, args)
        return future

    def _run_elsewhere(
        self, future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]
    ) -> None:
        if future.done():
            return
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **_: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """See asyncio."""
        assert host is not None
        assert port is not None
        network = self._process.machine.network
        return await network.connect(self._process, host, port, protocol_factory)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """See asyncio: a task that failed, and nobody looked, is a mistake of the program, unless that was killed."""
        error = context.get("exception")
        if error is not None and "task" in context and not self._closed:
            self._process.failed(error)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """See asyncio."""
        self.call_exception_handler(context)

    def is_running(self) -> bool:
        """See asyncio."""
        return not self._closed

    def is_closed(self) -> bool:
        """See asyncio."""
        return self._closed

    def get_debug(self) -> bool:
        """See asyncio."""
        return False
