"""Host ports: which of those that are offered an instance gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from koinon.marathon.matching.wanted import PortWish
from koinon.mesos.resources.quantities import Ranges

#: Ports that only a container sees are drawn from here on.
_INSIDE_MIN, _INSIDE_MAX = 1025, 65535


class NoPorts(Exception):
    """The text says which, or how many, are missing."""


def choose(wishes: Sequence[PortWish], free: Ranges, random: Random) -> list[int | None]:
    """A host port for each wish that has one; all different, unless the same fixed one is wished for twice.

    Those that may be any begin at a random place and follow each other: so ports are seldom used again soon by
    another app, while load balancers still send to the old one, and what is left stays in few ranges.
    Raises NoPorts.
    """
    fixed = {wish.host for wish in wishes if wish.host}
    missing = sorted(port for port in fixed if not any(begin <= port <= end for begin, end in free))
    if missing:
        raise NoPorts(f"port{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))} not offered")
    any_port = sum(wish.host == 0 for wish in wishes)
    there = sum(end - begin + 1 for begin, end in free) - len(fixed)
    if there < any_port:
        raise NoPorts(f"{any_port + len(fixed)} ports needed, {max(there, 0) + len(fixed)} offered")
    drawn = _from_somewhere(free, fixed, random) if any_port else iter(())
    return [next(drawn) if wish.host == 0 else wish.host for wish in wishes]


def _from_somewhere(free: Ranges, but: set[int], random: Random) -> Iterator[int]:
    """All ports of `free` but those, beginning anywhere."""
    at = random.randrange(sum(end - begin + 1 for begin, end in free))
    for index, (begin, end) in enumerate(free):
        if at <= end - begin:
            order = [(begin + at, end), *free[index + 1 :], *free[:index], (begin, begin + at - 1)]
            break
        at -= end - begin + 1
    for begin, end in order:
        for port in range(begin, end + 1):
            if port not in but:
                yield port


def assigned(wishes: Sequence[PortWish], host_ports: Sequence[int | None], random: Random) -> tuple[int, ...]:
    """What the variables PORT0, PORT1, … say: the host port; where there is none, that of the container."""
    used = {port for port in host_ports if port} | {wish.inside for wish in wishes if wish.inside}
    found = []
    for wish, host in zip(wishes, host_ports, strict=True):
        port = host or wish.inside
        while not port:
            drawn = random.randint(_INSIDE_MIN, _INSIDE_MAX)
            port = None if drawn in used else drawn
        used.add(port)
        found.append(port)
    return tuple(found)
