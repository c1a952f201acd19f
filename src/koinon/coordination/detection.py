"""Where to find the leader: what people write after `--master`.

host:port                       one master, or any of several: who does not lead redirects to who does
host:port,host:port             the next one, when one does not answer
zk://user:password@h:p,h:p/path the leader that ZooKeeper knows of
file:///path                    a file that holds one of these
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from koinon.coordination import Detector, Leader

_PORT = 5050
_FORMS = "give host:port, several of them divided by commas, zk://host:port/path, or file:///path of a file with that"


def detect(text: str) -> Detector:
    """A detector for `text`. Raises ValueError, whose text shows no password."""
    text = text.strip()
    if text.startswith("file://"):
        text = _content(Path(text.removeprefix("file://")))
    if text.startswith("zk://"):
        # Only who asks for ZooKeeper pays for the import.
        from koinon.coordination.zookeeper import parse_url
        from koinon.coordination.zookeeper.detector import Detector as ZooKeeperDetector

        return ZooKeeperDetector(parse_url(text))
    return Listed([parse_leader(part.strip()) for part in text.split(",")])


def parse_leader(text: str) -> Leader:
    """The address in `host`, `host:port`, `http://host:port/…` or `//host:port/…`. Raises ValueError."""
    scheme, separator, rest = text.rpartition("//")
    if separator and scheme not in ("", "http:"):
        raise ValueError(f"'{text}' is no address of a master: {_FORMS}")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port or _PORT
    except ValueError as error:
        raise ValueError(f"'{text}' is no address of a master ({error}): {_FORMS}") from error
    if not host:
        raise ValueError(f"'{text}' is no address of a master: {_FORMS}")
    return Leader(host, port)


def _content(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {path} with the masters' address cannot be read: {error}") from error
    if text.startswith("file://"):
        raise ValueError(f"the file {path} names another file: {_FORMS}")
    return text


class Listed:
    """A `Detector` of masters whose addresses are known: guesses one, and the next when it is suspected."""

    def __init__(self, masters: list[Leader]) -> None:
        self._masters = masters
        self._at = 0
        self._moved = asyncio.Event()

    async def leaders(self) -> AsyncIterator[Leader | None]:
        """See `Detector.leaders`."""
        told = None
        while True:
            if (guess := self._masters[self._at]) != told:
                told = guess
                yield guess
                continue
            self._moved.clear()
            await self._moved.wait()

    def suspect(self, leader: Leader) -> None:
        """See `Detector.suspect`."""
        # A suspicion of who was left already says nothing about the next one.
        if leader == self._masters[self._at]:
            self._at = (self._at + 1) % len(self._masters)
            self._moved.set()

    async def close(self) -> None:
        """See `Detector.close`."""
