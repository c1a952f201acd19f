"""Refusals: what frameworks declined on an agent, and for how long they do not want to see it again.

A refusal belongs to one client (framework × role) and covers every offer that is contained in what was
refused; so as soon as more is free on the agent, it no longer holds back anything. Refusals of equal
resources are kept together with one mask of clients: "who has refused this?" costs one look per distinct
refusal, however many frameworks there are.
"""

from __future__ import annotations

from koinon.allocator.sorter import Client
from koinon.mesos.resources import Resources

REFUSE_S_MAX = 365 * 24 * 3600.0


class _Refused:
    """Who refused one and the same resources, and until when."""

    __slots__ = ("mask", "until_s")

    def __init__(self) -> None:
        self.mask = 0
        self.until_s: dict[Client, float] = {}


class Refusals:
    """The refusals standing on one agent."""

    __slots__ = ("_asked", "_asked_mask", "_refused", "mask")

    def __init__(self) -> None:
        self.mask = 0  #: everybody who refused something here
        self._refused: dict[Resources, _Refused] = {}
        self._asked: Resources | None = None  #: the last question to `covering`; its answer below
        self._asked_mask = 0

    def add(self, client: Client, resources: Resources, until_s: float) -> bool:
        """Note a refusal; the longer one counts if there is such a one. Say whether it is new."""
        self._asked = None
        refused = self._refused.get(resources)
        if refused is None:
            refused = self._refused[resources] = _Refused()
        known_s = refused.until_s.get(client)
        refused.until_s[client] = until_s if known_s is None else max(known_s, until_s)
        refused.mask |= client.bit
        self.mask |= client.bit
        return known_s is None

    def expire(self, client: Client, resources: Resources, now: float) -> bool:
        """Drop this refusal if its time is over; say whether it was."""
        refused = self._refused.get(resources)
        if refused is None or refused.until_s.get(client, now + 1) > now:
            return False
        self._drop(client, resources, refused)
        self._count_up()
        return True

    def clear(self, client: Client) -> int:
        """Drop all refusals of the client; return how many there were."""
        if not self.mask & client.bit:
            return 0
        mine = [
            (resources, refused) for resources, refused in self._refused.items() if client in refused.until_s
        ]
        for resources, refused in mine:
            self._drop(client, resources, refused)
        self._count_up()
        return len(mine)

    def covering(self, offered: Resources) -> int:
        """Return the mask of clients who refused these resources or more."""
        if offered is not self._asked:
            mask = 0
            for resources, refused in self._refused.items():
                if resources.contains(offered):
                    mask |= refused.mask
            self._asked, self._asked_mask = offered, mask
        return self._asked_mask

    def until_s(self, client: Client, offered: Resources) -> float:
        """Return when the client may be offered these resources again; the past if it has not refused them."""
        return max(
            (
                refused.until_s[client]
                for resources, refused in self._refused.items()
                if client in refused.until_s and resources.contains(offered)
            ),
            default=float("-inf"),
        )

    def count(self) -> dict[Client, int]:
        """Return how many refusals each client has here."""
        counts: dict[Client, int] = {}
        for refused in self._refused.values():
            for client in refused.until_s:
                counts[client] = counts.get(client, 0) + 1
        return counts

    def _drop(self, client: Client, resources: Resources, refused: _Refused) -> None:
        del refused.until_s[client]
        refused.mask &= ~client.bit
        if not refused.mask:
            del self._refused[resources]

    def _count_up(self) -> None:
        self._asked = None
        self.mask = 0
        for refused in self._refused.values():
            self.mask |= refused.mask
