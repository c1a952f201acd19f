"""Clients that ask the same thing again and again, each in a process of its own so that they do not slow each other.

with Pollers(5, address, "/state"):          # for as long as
    latencies_ms = asked(address, "/health", 3.0)
"""

from __future__ import annotations

import multiprocessing
import time
from http.client import HTTPConnection
from typing import Self

_CHUNK = 1 << 20
_context = multiprocessing.get_context("spawn")


class Question:
    """A request and how to make it: a GET, or a POST of a call to the operator API."""

    def __init__(self, path: str, *, call: str | None = None, accept: str = "application/json") -> None:
        self.path = path
        self.body = f'{{"type":"{call}"}}' if call else None
        self.headers = {"Accept": accept}
        if call:
            self.headers["Content-Type"] = "application/json"

    def ask(self, connection: HTTPConnection) -> tuple[float, int]:
        """Asks; returns how long until the whole answer was there, in ms, and its size in bytes."""
        begun_s = time.perf_counter()
        connection.request("POST" if self.body else "GET", self.path, self.body, self.headers)
        answer = connection.getresponse()
        size = 0
        while part := answer.read(_CHUNK):
            size += len(part)
        if answer.status != 200:
            raise SystemExit(f"{self.path}: {answer.status}")
        return (time.perf_counter() - begun_s) * 1000, size


def asked(address: str, question: Question, times: int) -> list[tuple[float, int]]:
    """Asks one after the other over one connection; for each how long it took, in ms, and how much came, in bytes."""
    connection = HTTPConnection(address, timeout=120)
    try:
        return [question.ask(connection) for _ in range(times)]
    finally:
        connection.close()


class Pollers:
    """So many processes that poll until the end of the `with`. Then `latencies_ms` has all their times.

    `stalls_ms` are the same without the time for which the kernel let the server (its process `pid`) or the poller
    wait for a CPU: on a machine where others are at work, too, they say how long the server itself took. `fresh`: each
    time over a new connection.
    """

    def __init__(
        self,
        count: int,
        address: str,
        question: Question,
        *,
        pause_s: float = 0.0,
        pid: int | None = None,
        fresh: bool = False,
    ) -> None:
        self.latencies_ms: list[float] = []
        self.stalls_ms: list[float] = []
        self.asked_s: list[float] = []  #: when, on the clock on the wall
        self._end = _context.Event()
        self._ready = _context.Barrier(count + 1)
        self._results = _context.SimpleQueue()
        arguments = (address, question, pause_s, pid, fresh, self._ready, self._end, self._results)
        self._processes = [_context.Process(target=_poll, args=arguments) for _ in range(count)]

    def between(self, begin_s: float, end_s: float) -> tuple[list[float], list[float]]:
        """Of the questions asked or answered in that time: `latencies_ms` and `stalls_ms`."""
        chosen = [
            (took_ms, stall_ms)
            for asked_s, took_ms, stall_ms in zip(
                self.asked_s, self.latencies_ms, self.stalls_ms, strict=True
            )
            if asked_s < end_s and asked_s + took_ms / 1000 > begin_s
        ]
        return [took_ms for took_ms, _ in chosen], [stall_ms for _, stall_ms in chosen]

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        self._ready.wait(60)
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        for _ in self._processes:
            latencies_ms, stalls_ms, asked_s = self._results.get()
            self.latencies_ms += latencies_ms
            self.stalls_ms += stalls_ms
            self.asked_s += asked_s
        for process in self._processes:
            process.join()


def _poll(address, question, pause_s, pid, fresh, ready, end, results) -> None:  # type: ignore[no-untyped-def]
    connection = HTTPConnection(address, timeout=120)
    question.ask(connection)
    ready.wait(60)
    latencies_ms, stalls_ms, asked_s = [], [], []
    while not latencies_ms or not end.is_set():  # once at least
        waited_ms = _waited_ms(pid)
        asked_s.append(time.time())
        if fresh:
            connection.close()
        latencies_ms.append(question.ask(connection)[0])
        stalls_ms.append(max(latencies_ms[-1] - (_waited_ms(pid) - waited_ms), 0.0))
        time.sleep(pause_s)
    results.put((latencies_ms, stalls_ms, asked_s))


def _waited_ms(pid: int | None) -> float:
    """How long we and the main thread of that process have been ready to run, but without a CPU."""
    waited_ns = 0
    for process in ("thread-self", *([pid] if pid else [])):
        with open(f"/proc/{process}/schedstat") as accounts:
            waited_ns += int(accounts.read().split()[1])
    return waited_ns / 1e6
