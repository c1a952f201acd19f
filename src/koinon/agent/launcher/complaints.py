"""What people should know of goes into the launcher's log."""

from __future__ import annotations

import contextlib
import sys


def complain(sentence: str) -> None:
    """Log it if that is possible: a full disk, on which the log lies too, must not end us."""
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr)
