"""The leading master for commands: found by what `--master` says, and found again when another one leads.

A command waits for a leader when there is hope for one (ZooKeeper was named, or one of the masters answers), but not for
ever; then it says whom it asked, and for how long.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

from koinon.cli.client import Away, Client
from koinon.cli.errors import Failure
from koinon.coordination import DetectionError, Leader
from koinon.coordination.detection import Masters
from koinon.coordination.zookeeper import Url

DEFAULT_MASTER = "127.0.0.1:5050"
#: How long to wait for a leader: longer than a session of the one before lasts by default.
PATIENCE_S = 15.0
#: Between two attempts, and before a word is said about the wait.
_PAUSE_S = 0.5
_SAID_AFTER_S = 2.0
#: What a server of ZooKeeper has to say how it is.
_DIAGNOSIS_S = 1.0

T = TypeVar("T")


def masters(given: str | None) -> Masters:
    """Where to find the master: `given`, else KOINON_MASTER, MESOS_MASTER, 127.0.0.1:5050. Raises Failure."""
    text = given or os.environ.get("KOINON_MASTER") or os.environ.get("MESOS_MASTER") or DEFAULT_MASTER
    try:
        return Masters.parse(text)
    except ValueError as error:
        raise Failure(str(error)) from None


class Master(Client):
    """The leading master. Its address is known from the first answer on."""

    def __init__(
        self, where: Masters, *, timeout_s: float | None = 10.0, patience_s: float = PATIENCE_S
    ) -> None:
        super().__init__("", timeout_s=timeout_s)
        self.where = where
        self._patience_s = patience_s

    def ping(self) -> None:
        """Raises Failure unless there is a leading master that answers."""
        if len(self.where.listed) == 1:
            self._ask("GET", "/health")  # who subscribes there is led on by itself
        else:
            self.call({"type": "GET_MASTER"})

    def leader(self) -> str:
        """The leader's `host:port`. Raises Failure."""
        if self.where.zookeeper is not None:
            return _detect(self.where.zookeeper, self._patience_s).address

        def resolve() -> str:
            if (location := self.redirect("/redirect")) is None:
                raise Failure(f"the master at {self.address} knows no leader")
            return urlsplit(location).netloc

        return self._reach(resolve)

    def _ask(
        self, method: str, path: str, query: dict[str, object] | None = None, body: bytes | None = None
    ) -> bytes:
        return self._reach(lambda: super(Master, self)._ask(method, path, query, body))

    def _reach(self, ask: Callable[[], T]) -> T:
        """The first answer of one who is the leader, or knows it. Raises Failure."""
        if self.address:
            try:
                return ask()
            except Away:
                self.close()
        begun_s = time.monotonic()
        while True:
            tried: list[tuple[str, Away]] = []
            for address in self._candidates(begun_s):
                self.address = address
                try:
                    return ask()
                except Away as away:
                    self.close()
                    tried.append((address, away))
            self.address = ""
            self._wait_or_give_up(tried, begun_s)

    def _candidates(self, begun_s: float) -> Iterator[str]:
        if (zookeeper := self.where.zookeeper) is not None:
            left_s = max(begun_s + self._patience_s - time.monotonic(), 0.0)
            yield _detect(zookeeper, left_s, waited_s=self._patience_s).address
        else:
            for leader in self.where.listed:
                yield leader.address

    def _wait_or_give_up(self, tried: list[tuple[str, Away]], begun_s: float) -> None:
        hopeful = self.where.zookeeper is not None or any(away.answered for _, away in tried)
        waited_s = time.monotonic() - begun_s
        if not hopeful and len(tried) == 1:
            raise tried[0][1]
        named = "" if self.where.zookeeper is None else f", which {self.where} names,"
        said = "; ".join(f"{address}{named} {away.why}" for address, away in tried)
        if not hopeful:
            raise Failure(f"no master answers: {said}")
        if waited_s >= self._patience_s:
            raise Failure(f"no master leads: {said} (waited {waited_s:.0f} s)")
        if waited_s < _SAID_AFTER_S <= waited_s + _PAUSE_S:
            _say(f"waiting for a master that leads: {said}")
        time.sleep(_PAUSE_S)


def _say(sentence: str) -> None:
    print(f"koinon: {sentence}", file=sys.stderr, flush=True)


# ── ZooKeeper ─────────────────────────────────────────────────────────────────────────────────────
def _detect(url: Url, patience_s: float, *, waited_s: float | None = None) -> Leader:
    """The leader that ZooKeeper knows of, within `patience_s` of `waited_s`. Raises Failure."""
    import asyncio

    waited = f"waited {waited_s or patience_s:g} s"
    try:
        leader, contact = asyncio.run(_first_leader(url, patience_s))
    except DetectionError as error:
        raise Failure(str(error)) from None
    if leader is not None:
        return leader
    if contact:
        raise Failure(f"no master leads: none stands for election under {url} ({waited})")
    raise Failure(f"no contact with ZooKeeper: {'; '.join(_diagnose(url))} ({waited})")


async def _first_leader(url: Url, patience_s: float) -> tuple[Leader | None, bool]:
    """Who leads, if anybody does in time; and whether ZooKeeper has said anything."""
    import asyncio

    contact = False
    detector = Masters(zookeeper=url).detector()
    word = asyncio.get_running_loop().call_later(
        _SAID_AFTER_S, lambda: _say(f"waiting for {'a master that leads' if contact else 'ZooKeeper'}: {url}")
    )
    try:
        async with asyncio.timeout(max(patience_s, _DIAGNOSIS_S)):
            async for leader in detector.leaders():
                contact = True
                if leader is not None:
                    return leader, contact
    except TimeoutError:
        pass
    finally:
        word.cancel()
        await detector.close()
    return None, contact


def _diagnose(url: Url) -> list[str]:
    """How each of the servers is."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(url.servers)) as threads:
        return list(threads.map(_how_is, *zip(*url.servers, strict=True)))


def _how_is(host: str, port: int) -> str:
    answer = b""
    try:
        with socket.create_connection((host, port), timeout=_DIAGNOSIS_S) as asked:
            asked.settimeout(_DIAGNOSIS_S)
            asked.sendall(b"srvr")
            while data := asked.recv(4096):
                answer += data
    except socket.gaierror:
        how = "is no known host"
    except ConnectionRefusedError:
        how = "refuses connections"
    except TimeoutError:
        how = "does not answer"
    except OSError as error:
        how = f"cannot be reached: {error.strerror or error}"
    else:
        if b"not currently serving" in answer:
            how = "serves nobody, as there is no quorum of servers"
        else:
            how = "answers" if answer else "closes connections without an answer"
    return f"{host}:{port} {how}"
