"""Clients of a service, as behind a load balancer: they ask again and again, and remember every request that failed.

    with Visitors(marathons, "/web") as visitors:
        …                                     # an upgrade
    assert visitors.failed == []

Which instances there are is asked of Marathon all the time: those of which the task runs (and is not being killed) and
all health checks are good. While no Marathon answers the last list holds.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any, Self

#: Between two requests of a visitor, and between two looks at the list.
_PAUSE_S = 0.01
_LOOK_S = 0.05
_TIMEOUT_S = 5.0


class Visitors:
    """Two threads: one looks who is there, the other one visits.

    `tasks` answers an app's tasks, or raises. `tries`: on how many instances a visitor tries his luck before he has
    failed.
    """

    def __init__(self, tasks: Callable[[], list[dict[str, Any]]], *, tries: int = 1) -> None:
        self._tasks = tasks
        self._tries = tries
        self._over = threading.Event()
        self._there: list[str] = []
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._look_again_and_again, self._visit)
        ]
        self.failed: list[str] = []
        self.answers: Counter[bytes] = Counter()  #: how often each answer was seen

    def __enter__(self) -> Self:
        self._look()
        assert self._there, "nobody is there to be visited"
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        self._there = [
            f"{task['host']}:{task['ports'][0]}"
            for task in self._tasks()
            if task["state"] == "TASK_RUNNING"
            and task["healthCheckResults"]
            and all(result["alive"] for result in task["healthCheckResults"])
        ] or self._there

    def _look_again_and_again(self) -> None:
        while not self._over.wait(_LOOK_S):
            try:
                self._look()
            except (OSError, http.client.HTTPException, AssertionError, StopIteration):
                continue  # no Marathon answers just now

    def _visit(self) -> None:
        while not self._over.wait(_PAUSE_S):
            there = list(self._there)
            wrong = []
            for address in random.sample(there, min(self._tries, len(there))):
                try:
                    self.answers[_ask(address)] += 1
                    break
                except (OSError, http.client.HTTPException) as error:
                    wrong.append(f"{time.time():.3f} {address}: {error!r}")
            else:
                self.failed += wrong or [f"{time.time():.3f} nobody is there"]


def _ask(address: str) -> bytes:
    with closing(http.client.HTTPConnection(address, timeout=_TIMEOUT_S)) as connection:
        connection.request("GET", "/index.html")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ConnectionError(f"status {answer.status}")
        return body
