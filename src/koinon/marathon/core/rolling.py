"""Rolling replacement, as a pure function: what there is ─▶ what to do next.

It remembers nothing: asked again it goes on from what it finds, so an upgrade may be stopped after any move, and taken up
by another leader. Two laws hold for what it does: as many *well* instances as the strategy wants at least stay alive (if
there are as many), and no more are alive than it allows.

*Well* is an instance that runs, is healthy if it has health checks and, if new, ready. *Old* ones are not made from the
configuration that is wanted now, *new* ones are. *Dying* ones are alive until they have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import IntEnum
from math import ceil, floor
from typing import NamedTuple


class Standing(IntEnum):
    """How an instance stands, the one that is missed least first."""

    DYING = 0  #: it has been given up
    WAITING = 1  #: it has not been launched
    COMING = 2  #: launched, does not run yet
    UNWELL = 3  #: a check fails, or nobody can reach it
    UNKNOWN = 4  #: it runs, and no check has found anything yet
    WELL = 5


class Seen(NamedTuple):
    """One instance."""

    id: str
    standing: Standing


class Moves(NamedTuple):
    """What to do now."""

    launch: int = 0  #: so many new ones
    kill: tuple[str, ...] = ()
    done: bool = False  #: nothing, now and later
    halted: bool = False  #: nothing, until the limit is lifted


class Bounds(NamedTuple):
    """What a strategy means for a number of instances."""

    healthy_min: int
    alive_max: int


def bounds(n: int, minimum_health_capacity: float, maximum_over_capacity: float) -> Bounds:
    """Exact for the decimals that people write: 0.07 of 100 is 7, not a little more."""
    low, over = Decimal(repr(minimum_health_capacity)), Decimal(repr(maximum_over_capacity))
    return Bounds(ceil(n * low), floor(n * (1 + over)))


def moves(
    n: int,
    limits: Bounds,
    old: Sequence[Seen],
    new: Sequence[Seen],
    *,
    limit: int | None = None,
    resident: bool = False,
) -> Moves:
    """The next moves to `n` new instances and no old ones.

    `old` and `new` are in the order in which they go, among those that stand alike. `limit`: with so many new ones it
    halts (a canary). `resident`: the new ones need the place of old ones.
    """
    alive_max = limits.alive_max
    left = [one for one in old if one.standing is not Standing.DYING]
    started = [one for one in new if one.standing is not Standing.DYING]
    dying = len(old) - len(left) + len(new) - len(started)
    new_well = sum(one.standing is Standing.WELL for one in started)
    well = new_well + sum(one.standing is Standing.WELL for one in left)
    goal = n if limit is None else min(n, limit)

    spare = well - limits.healthy_min
    if limits.healthy_min == alive_max <= well:  # no room: one more, or one less
        if resident:
            spare += 1
        else:
            alive_max += 1

    # One old one goes for each new one that is well, and all that are more than enough.
    going = max(spare, len(left) - (n - new_well))
    going = max(0, min(going, len(left) - (n - goal)))
    victims = _first(left, going)
    surplus = _first(started, len(started) - n)

    room = alive_max - len(left) - len(started) - dying
    launch = max(0, min(goal - len(started), room))
    if not (launch or victims or dying) and len(started) < goal:
        # Old ones that are of no use keep new ones from coming up.
        useless = [one for one in left if one.standing <= Standing.UNWELL]
        victims = _first(useless, min(goal - len(started), len(left) - (n - goal)))

    is_halted = goal < n and new_well >= goal and not (launch or victims or surplus)
    is_done = new_well >= n and not (left or dying or surplus)
    return Moves(launch, victims + surplus, is_done, is_halted)


def _first(among: Sequence[Seen], number: int) -> tuple[str, ...]:
    """The ids of those that are missed least."""
    if number <= 0:
        return ()
    return tuple(one.id for one in sorted(among, key=lambda one: one.standing)[:number])
