"""What the registry must hold, by what masters were told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from koinon.master.core.state import AgentEntry, Standing
from koinon.simulator.world import World

if TYPE_CHECKING:
    from koinon.simulator.machines import Process

#: What keys of agents begin with.
AGENTS = "agents/"


class RegistryStory:
    """What the registry holds as far as masters were told, and what may be in it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.durable: dict[str, bytes | None] = {}
        self._maybe: dict[str, list[bytes | None]] = {}  #: asked for and not confirmed, in order
        self._asked: dict[tuple[str, int], list[tuple[str, bytes | None]]] = {}
        self._owner: str | None = None

    def asked(self, process: Process, ticket: int, changes: Sequence[tuple[str, bytes | None]]) -> None:
        """A master wants something stored."""
        self._asked[process.name, ticket] = list(changes)
        for key, value in changes:
            self._maybe.setdefault(key, []).append(value)

    def stored(self, process: Process, ticket: int) -> None:
        """A master was told that it is stored."""
        if process.name != self._owner:
            self._world.accuse(
                "one leader", f"{process.name} has stored something though {self._owner} leads"
            )
        for key, value in self._asked.pop((process.name, ticket)):
            agent_id = key.removeprefix(AGENTS)
            revived = agent_id != key and value is not None and b'"gone"' not in value
            if revived and self.standing(agent_id) is Standing.GONE:
                self._world.accuse("gone is for good", f"{agent_id} was gone, and is {value!r}", agent_id)
            self.durable[key] = value
            maybe = self._maybe[key]
            del maybe[: maybe.index(value) + 1]

    def loaded(self, process: Process, entries: dict[str, bytes]) -> None:
        """A master begins with what it found."""
        self._owner = process.name
        for key in {*entries, *self.durable}:
            found, promised = entries.get(key), self.durable.get(key)
            if found != promised and found not in self._maybe.get(key, ()):
                text = f"{key} was promised to be {promised!r}, and {process.name} found {found!r}"
                self._world.accuse("the registry keeps its promises", text, key.removeprefix(AGENTS))
        self.durable = dict(entries)
        self._maybe.clear()
        self._asked.clear()

    def standing(self, agent_id: str) -> Standing | None:
        """How an agent stands, as far as is promised."""
        value = self.durable.get(AGENTS + agent_id)
        return None if value is None else msgspec.json.decode(value, type=AgentEntry).standing
