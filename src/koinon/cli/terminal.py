"""The person's own terminal: handed to another program, byte for byte, and given back as it was."""

from __future__ import annotations

import os
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: What ends us and must find the terminal restored.
_ENDS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Let every key through (Ctrl-C, too), and show what comes as it comes; restored on the way out, however that is."""
    before = termios.tcgetattr(fd)
    handlers = {number: signal.signal(number, _leave) for number in _ENDS}
    try:
        tty.setraw(fd, termios.TCSADRAIN)  # what was typed ahead is kept
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def resizes(then: Callable[[], Any]) -> Iterator[None]:
    """Call `then`, in a signal handler, whenever the terminal's size has changed."""
    before = signal.signal(signal.SIGWINCH, lambda number, frame: then())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def size(fd: int) -> dict[str, int]:
    """The terminal's size as the API writes it."""
    columns, rows = os.get_terminal_size(fd)
    return {"rows": rows, "columns": columns}
