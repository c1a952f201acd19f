"""The loop around the core: events in, effects through the gate and out.

A core that fails has lost its consistency: the agent stops, loudly. Started again it takes up its tasks from the
checkpoint and the launcher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from koinon import logs
from koinon.agent.channel import Channel
from koinon.agent.checkpoint import Gate
from koinon.agent.checks import Probes
from koinon.agent.collector import Collector
from koinon.agent.containers import Containers
from koinon.agent.core import Agent
from koinon.agent.core import events as ev
from koinon.agent.core.records import CorruptCheckpoint
from koinon.clock import SteadyClock
from koinon.coordination import Store
from koinon.edge import EventStream


class _Written(ev.Effect, frozen=True):
    """Our own, through the gate with the core's: all before is on disk."""

    done: asyncio.Future[None]


class Runtime:
    """Runs one core. `exit` is done with an exit status when the agent is to end."""

    def __init__(self, core: Agent, store: Store) -> None:
        self.core = core
        self.streams: dict[str, EventStream] = {}  #: of executors, by id
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.gate = Gate(store, self._perform)
        self.channel: Channel  #: these are set before the first event
        self.containers: Containers
        self.collector: Collector
        self.probes: Probes
        self._loop = asyncio.get_running_loop()
        self._clock = SteadyClock()
        self._log = logs.get(role="agent")
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = 0.0  #: on the clock of the loop
        self._stopped = False
        self._performers: dict[type, Callable[[Any], None]] = {
            ev.SendToMaster: self._send_to_master,
            ev.LeaveMaster: lambda effect: self.channel.leave(effect.session, effect.message),
            ev.SendToExecutor: self._send_to_executor,
            ev.CloseExecutorStream: self._close_executor_stream,
            ev.LaunchContainer: lambda effect: self.containers.launch(effect),
            ev.TerminateContainer: lambda effect: self.containers.terminate(effect.container_id),
            ev.SignalContainer: lambda effect: self.containers.signal(effect.container_id, effect.number),
            ev.ContainerGone: lambda effect: self.containers.tell_gone(effect),
            ev.RemoveSandbox: self._remove_sandbox,
            ev.DestroyContainer: lambda effect: self.containers.destroy(effect.container_id),
            ev.ForgetContainer: lambda effect: self.containers.forget(effect.container_id),
            ev.ProbeCommand: lambda effect: self.probes.start(effect),
            ev.ProbeHttp: lambda effect: self.probes.start(effect),
            ev.ProbeTcp: lambda effect: self.probes.start(effect),
            ev.AbandonProbe: lambda effect: self.probes.abandon(effect.probe_id),
            ev.CollectSandbox: lambda effect: self.collector.add(
                effect.directory, effect.root, before=effect.before
            ),
            ev.Exit: self._exit,
            _Written: lambda effect: effect.done.done() or effect.done.set_result(None),
            ev.Note: lambda effect: self._log.info(effect.message, of=effect.subject),
        }

    def feed(self, event: ev.Event) -> None:
        """Let the core take in `event`. Raises Refused, and what recovery raises."""
        if self._stopped:
            raise ev.Refused(503, "The agent is stopping.")
        try:
            effects = self.core.handle(event, self._clock.now())
        except ev.Refused:
            raise
        except (ev.Incompatible, CorruptCheckpoint):
            self._stopped = True
            raise
        except Exception as error:
            self._stopped = True
            self._log.exception("the core failed", fact=repr(event)[:4000])
            if not self.exit.done():
                self.exit.set_exception(error)
            raise ev.Refused(500, "The agent failed and stops; its log has the details.") from error
        self.gate.take(effects)
        self._set_timer()

    def tell(self, event: ev.Event) -> None:
        """As `feed`, for a fact that cannot be refused: when the agent stops it does not matter."""
        if not self._stopped:
            try:
                self.feed(event)
            except ev.Refused as refused:  # the core has failed, and said so
                self._log.error("event not taken in", error=refused.message)

    async def written(self) -> None:
        """Wait until all that was fed is on disk as far as it has to be."""
        done: asyncio.Future[None] = self._loop.create_future()
        self.gate.take([_Written(done)])
        await done

    def stop(self) -> None:
        """Nothing reaches the core any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for stream in list(self.streams.values()):
            stream.close()

    # ── time ──────────────────────────────────────────────────────────────────────────────────────
    def _set_timer(self) -> None:
        due_s = self.core.next_wakeup
        if due_s is None:
            return
        # A timer that is early enough stays; when it rings too early it is set again.
        when = self._loop.time() + max(due_s - self._clock.now(), 0.0)
        if self._timer is not None:
            if self._timer_due_s <= when + 0.001:
                return
            self._timer.cancel()
        self._timer, self._timer_due_s = self._loop.call_at(when, self._tick), when

    def _tick(self) -> None:
        self._timer = None
        self.tell(ev.ClockTicked())
        self._set_timer()

    # ── effects ───────────────────────────────────────────────────────────────────────────────────
    def _perform(self, effect: ev.Effect) -> None:
        self._performers[effect.__class__](effect)

    def _send_to_master(self, effect: ev.SendToMaster) -> None:
        self.channel.send(effect.session, effect.message)

    def _send_to_executor(self, effect: ev.SendToExecutor) -> None:
        if (stream := self.streams.get(effect.stream_id)) is not None:
            stream.send(effect.event)

    def _close_executor_stream(self, effect: ev.CloseExecutorStream) -> None:
        if (stream := self.streams.pop(effect.stream_id, None)) is not None:
            stream.close()

    def _remove_sandbox(self, effect: ev.RemoveSandbox) -> None:
        self.collector.drop(effect.path)
        self.containers.remove_sandbox(effect.path, effect.root)

    def _exit(self, effect: ev.Exit) -> None:
        self._log.warning("the agent ends", reason=effect.message)
        if not self.exit.done():
            self.exit.set_result(effect.status)
