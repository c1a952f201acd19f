"""What the parts of the agent's core share: the state, the time, the effects of the turn, and what is due later."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from koinon.agent.core.events import Effect, Forget, SendToMaster
from koinon.agent.core.state import Config, State
from koinon.mesos import internal


class Timers:
    """Calls to make later. There is no cancelling: who is called looks whether it still matters."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, due_s: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call at `due_s` or soon after."""
        self._count += 1
        heapq.heappush(self._heap, (due_s, self._count, call, arguments))

    def run(self, now: float) -> None:
        """Make the calls that are due, in order."""
        while self._heap and self._heap[0][0] <= now:
            _, _, call, arguments = heapq.heappop(self._heap)
            call(*arguments)

    @property
    def next_s(self) -> float | None:
        """When `run` has something to do."""
        return self._heap[0][0] if self._heap else None


class Context:
    """One per agent."""

    def __init__(self, config: Config, random: Random) -> None:
        self.config = config
        self.random = random
        self.state = State(agent_info=msgspec.structs.replace(config.agent_info))
        self.timers = Timers()
        self.now = 0.0
        self.out: list[Effect] = []

    def take(self) -> list[Effect]:
        """The effects since the last call."""
        out, self.out = self.out, []
        return out

    def say(self, message: internal.AgentMessage) -> None:
        """Send to the master if one is connected."""
        if self.state.session is not None:
            self.out.append(SendToMaster(self.state.session, message))

    def forget(self, *keys: str) -> None:
        """Delete from the checkpoint, some time."""
        if keys:
            self.out.append(Forget(dict.fromkeys(keys)))

    def new_uuid(self) -> bytes:
        """16 random bytes."""
        return self.random.randbytes(16)

    def new_container_id(self) -> str:
        """A random UUID, as text."""
        digits = f"{self.random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
