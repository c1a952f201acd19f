"""Where to find the leader: what people write after `--master`.

host:port                       one master, or any of several: who does not lead redirects to who does
host:port,host:port             the next one, when one does not answer
zk://user:password@h:p,h:p/path the leader that ZooKeeper knows of
file:///path                    a file that holds one of these
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from msgspec import Struct

from koinon.coordination import Detector, Leader
from koinon.coordination.zookeeper import Url, parse_url

_PORT = 5050
#: Nothing of who only looks is lost with its session; a short one would only make servers busy.
_SESSION_S = 10.0
_FORMS = "give host:port, several of them divided by commas, zk://host:port/path, or file:///path of a file with that"


class Masters(Struct, frozen=True):
    """Where to find the leader: in ZooKeeper, or at one of some addresses. As text it shows no password."""

    METAVAR: ClassVar = "HOST:PORT,…|zk://…"

    zookeeper: Url | None = None
    listed: tuple[Leader, ...] = ()  #: empty with `zookeeper`

    @classmethod
    def parse(cls, text: str) -> Masters:
        """Read what people write. Raises ValueError, whose text shows no password."""
        text = text.strip()
        if text.startswith("file://"):
            text = _content(Path(text.removeprefix("file://")))
        if text.startswith("zk://"):
            return cls(zookeeper=parse_url(text))
        return cls(listed=tuple(parse_leader(part.strip()) for part in text.split(",")))

    def detector(self, *, session_timeout_s: float = _SESSION_S) -> Detector:
        """Finds the leader, and follows it; in ZooKeeper with a session of its own."""
        if self.zookeeper is None:
            return Listed(self.listed)
        # Only who asks for ZooKeeper pays for the import.
        from koinon.coordination.zookeeper.detector import Detector as ZooKeeperDetector

        return ZooKeeperDetector(self.zookeeper, timeout_s=session_timeout_s)

    def __str__(self) -> str:
        return str(self.zookeeper or ",".join(leader.address for leader in self.listed))


def detect(text: str) -> Detector:
    """A detector for `text`. Raises ValueError, whose text shows no password."""
    return Masters.parse(text).detector()


def parse_leader(text: str) -> Leader:
    """The address in `host`, `host:port`, `http://host:port/…` or `//host:port/…`. Raises ValueError."""
    scheme, separator, rest = text.rpartition("//")
    shown = f"'{_without_password(text)}' is no address of a master"
    if "@" in rest or (separator and scheme not in ("", "http:")) or ("/" in rest and not separator):
        raise ValueError(f"{shown}: {_FORMS}")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port or _PORT
    except ValueError as error:
        raise ValueError(f"{shown} ({error}): {_FORMS}") from None
    if not host:
        raise ValueError(f"{shown}: {_FORMS}")
    return Leader(host, port)


def _without_password(text: str) -> str:
    """What stands before an @ is not shown: it may be a zk:// URL with a slip of the pen."""
    return f"***@{text.rpartition('@')[2]}" if "@" in text else text


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

    def __init__(self, masters: Sequence[Leader]) -> None:
        self._masters = masters
        from asyncio import Event  # whoever has a loop has it already; others need not load it

        self._at = 0
        self._moved = Event()

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
