"""What a process sees of its machine besides the network: clocks and random numbers.

Programs read clocks where they stand (`time.time()`). While a simulation runs, these functions answer for the machine
whose process is running, and `os.urandom` and `random` come from the seed. Whatever a program comes to use, it stays
in the hands of the seed. What it logs goes into the story.
"""

from __future__ import annotations

import logging
import os
import random
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from koinon import logs
from koinon.coordination.zookeeper import detector, election, store
from koinon.simulator.keepers.session import Session
from koinon.simulator.machines import Process
from koinon.simulator.world import EPOCH_S, World


@contextmanager
def simulated(world: World) -> Iterator[None]:
    """Until the end of the block clocks and random numbers are those of the world."""
    bytes_of = world.random("urandom").randbytes
    state = random.getstate()
    random.seed(f"{world.seed}/random")

    def wall() -> float:
        process = Process.current
        return EPOCH_S + world.now if process is None else process.machine.wall()

    def monotonic() -> float:
        process = Process.current
        return world.now if process is None else process.machine.monotonic()

    log = _Log(world)
    replacements: list[tuple[object, str, object]] = [
        (time, "time", wall),
        (time, "monotonic", monotonic),
        (time, "perf_counter", monotonic),
        (time, "clock_gettime", lambda clock: wall() if clock == time.CLOCK_REALTIME else monotonic()),
        (os, "urandom", bytes_of),
        (logs, "get", lambda **_: log),
        # Kazoo works with threads and sockets.
        (election, "Session", Session),
        (detector, "Session", Session),
        # Few agents need few buckets.
        (store, "_BUCKETS", 4),
    ]
    with ExitStack() as stack:
        stack.enter_context(_sdk_logs(log))
        for owner, name, replacement in replacements:
            stack.enter_context(patch.object(owner, name, replacement))
        try:
            yield
        finally:
            random.setstate(state)


class _Log:
    """Stands in for a structlog logger."""

    def __init__(self, world: World) -> None:
        self._world = world

    def info(self, event: str, **fields: object) -> None:
        process = Process.current
        who = "-" if process is None else process.name
        self._world.tell(who, " ".join((event, *(f"{name}={value}" for name, value in fields.items()))))

    debug = warning = error = info

    def exception(self, event: str, **fields: object) -> None:
        self.info(event, **fields, trace=traceback.format_exc())


class _Handler(logging.Handler):
    def __init__(self, log: _Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.info(record.getMessage())


@contextmanager
def _sdk_logs(log: _Log) -> Iterator[None]:
    """The SDK logs through the standard library, as libraries do."""
    logger, handler = logging.getLogger("koinon.sdk"), _Handler(log)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)
