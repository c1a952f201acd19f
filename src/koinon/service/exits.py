"""How a service's process ends: a status that supervisors know, and a sentence for people.

There is no way back from leading to standing by: who leads no more ends, and a supervisor starts a new process.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses, as Marathon documents them."""

    ZOOKEEPER_UNREACHABLE = 100  #: when it started
    LEADERSHIP_LOST = 103
    TAKEOVER_FAILED = 104  #: elected, it could not begin to lead
    ABDICATED = 105  #: somebody asked it to
    DRIVER_FAILED = 106  #: the master would not have it
    UNCAUGHT = 107
    FRAMEWORK_ID_MISSING = 108
    FRAMEWORK_REMOVED = 110
    PORT_TAKEN = 111
    WRONG_FLAGS = 112


class Fatal(Exception):
    """The process must end, with `status`; the text says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
