"""Probes: looks at tasks for their checks. When to look, and what it means, the core decides (`core/checks.py`).

A command runs as a container of its own beside the task, which is destroyed with all it started when it takes too long,
when nobody wants to know any more (`Containers.run`), and when the agent is gone. Requests and connections are made here (`network`). Only a probe that
is under way costs anything: a coroutine until it is done.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from koinon.agent.checks.network import Http, connect
from koinon.agent.containerizer.base import LaunchFailed, LaunchSpec
from koinon.agent.containers import Containers
from koinon.agent.core.events import Event, ProbeCommand, Probed, ProbeHttp, ProbeTcp
from koinon.agent.core.launch import duration_text, outcome


class Probes:
    """Makes the probes of an agent; each ends in one `Probed`, unless it is abandoned."""

    def __init__(self, feed: Callable[[Event], None], containers: Containers) -> None:
        self._feed = feed
        self._containers = containers
        self._http = Http()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def start(self, probe: ProbeCommand | ProbeHttp | ProbeTcp) -> None:
        """Begin a probe."""
        task = asyncio.get_running_loop().create_task(self._run(probe))
        self._under_way[probe.probe_id] = task

    def abandon(self, probe_id: str) -> None:
        """End a probe; nothing is told of it."""
        if (task := self._under_way.pop(probe_id, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Abandon all."""
        tasks, self._under_way = list(self._under_way.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()

    async def _run(self, probe: ProbeCommand | ProbeHttp | ProbeTcp) -> None:
        try:
            async with asyncio.timeout(probe.timeout_s):
                result = await self._look(probe)
        except TimeoutError:
            assert probe.timeout_s is not None
            message = f"it took longer than {duration_text(probe.timeout_s)}"
            result = Probed(probe.probe_id, None, message)
        del self._under_way[probe.probe_id]
        self._feed(result)

    async def _look(self, probe: ProbeCommand | ProbeHttp | ProbeTcp) -> Probed:
        match probe:
            case ProbeCommand():
                return await self._command(probe)
            case ProbeHttp(url=url):
                return Probed(probe.probe_id, *await self._http.get(url))
            case ProbeTcp(address=address, port=port):
                problem = await connect(address, port)
                return Probed(probe.probe_id, int(not problem), problem)

    async def _command(self, probe: ProbeCommand) -> Probed:
        container = probe.container
        # What it says goes where the task's own errors go, as its owner looks there, and is bound as they are.
        output = f"{container.sandbox}/stderr"
        spec = LaunchSpec(
            container_id=probe.probe_id,
            argv=list(probe.argv),
            program=probe.program,
            env=dict(probe.environment),
            cwd=container.sandbox,
            stdout=output,
            stderr=output,
            beside=container.container_id,
            tied=True,
            user=container.user or "",
            rlimits={name: (soft, hard) for name, soft, hard in container.rlimits},
        )
        try:
            end = await self._containers.run(spec)
        except LaunchFailed as error:
            return Probed(probe.probe_id, None, str(error), made=error.step != "launcher")
        if end.status is None:
            return Probed(probe.probe_id, None, end.message, made=False)
        value = os.WEXITSTATUS(end.status) if os.WIFEXITED(end.status) else None
        return Probed(probe.probe_id, value, outcome("the command", end.status))
