"""Host ports: which of those that are offered an instance gets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from random import Random

from koinon.marathon.matching.wanted import PortWish, Wanted
from koinon.mesos.resources.quantities import Ranges

#: Ports that only a container sees are drawn from here on.
_INSIDE_MIN, _INSIDE_MAX = 1025, 65535


def shortage(wanted: Wanted, free: Ranges) -> str | None:
    """Which host ports, or how many, are missing; None if all wishes can be fulfilled."""
    fixed = wanted.fixed_ports
    if fixed:
        missing = sorted(port for port in fixed if not any(begin <= port <= end for begin, end in free))
        if missing:
            return f"port{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))} not offered"
    needed = wanted.any_ports + len(fixed)
    there = sum(end - begin + 1 for begin, end in free)
    return f"{needed} ports needed, {there} offered" if there < needed else None


def choose(wanted: Wanted, free: Ranges, random: Random) -> list[int | None]:
    """A host port for each wish that has one; all different, unless the same fixed one is wished for twice.

    Those that may be any begin at a random place and follow each other: so ports are seldom used again soon by
    another app, while load balancers still send to the old one, and what is left stays in few ranges.
    There must be no `shortage`.
    """
    drawn = _from_somewhere(free, wanted.fixed_ports, random) if wanted.any_ports else iter(())
    return [next(drawn) if wish.host == 0 else wish.host for wish in wanted.ports]


def _from_somewhere(free: Ranges, but: Collection[int], random: Random) -> Iterator[int]:
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
