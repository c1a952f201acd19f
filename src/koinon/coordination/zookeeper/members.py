"""Who stands for election under a path: znodes `json.info_<sequence>`, each with a MasterInfo as JSON.

The names and contents are those that tools for Mesos look for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from kazoo.exceptions import ConnectionLoss, NoNodeError

from koinon.coordination import Leader
from koinon.coordination.candidate import Member
from koinon.coordination.leaders import read_leader as read_info
from koinon.coordination.zookeeper.session import Session

#: What a candidate creates; ZooKeeper appends the sequence.
PREFIX = "json.info_"
_NAME = re.compile(r"json\.info_(-?\d+)")


def sequences(names: list[str]) -> list[tuple[int, str]]:
    """Sequences and names of candidates among the children of a path, the leader's first. Others are left out."""
    # As numbers: ten digits are only the least that ZooKeeper writes.
    return sorted((int(match[1]), name) for name in names if (match := _NAME.fullmatch(name)))


async def read(
    session: Session, *, watch: Callable[[], None]
) -> tuple[tuple[Member, ...], tuple[int, str] | None]:
    """The candidates now, by sequence; and which of them `session` has made: its sequence, and its path.

    `watch` is called once when that changes. Raises KazooException.
    """
    if (session_id := session.session_id) is None:
        raise ConnectionLoss
    found = sequences(await session.children(session.url.path or "/", watch=watch))
    read = [
        one for one in await asyncio.gather(*(_read_one(session, *one) for one in found)) if one is not None
    ]
    own = next(((member.sequence, path) for member, path, owner in read if owner == session_id), None)
    return tuple(member for member, _, _ in read), own


async def read_leader(session: Session, *, watch: Callable[[], None]) -> Member | None:
    """The first of them. `watch` is called once when any comes or goes. Raises KazooException."""
    for one in sequences(await session.children(session.url.path or "/", watch=watch)):
        if (found := await _read_one(session, *one)) is not None:
            return found[0]
    return None


async def _read_one(session: Session, sequence: int, name: str) -> tuple[Member, str, int] | None:
    """A candidate, its path, and the session that it is of."""
    path = f"{session.url.path}/{name}"
    try:
        info, stat = await session.get(path)
    except NoNodeError:  # gone since; the watch says so, too
        return None
    return Member(sequence, info), path, stat.ephemeralOwner


def leader(member: Member) -> Leader | None:
    """Where `member` can be reached; None if it does not say so."""
    return read_info(member.epoch, member.info)
