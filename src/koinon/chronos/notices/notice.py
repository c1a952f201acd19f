"""What somebody wants to know."""

from __future__ import annotations

from typing import Literal

import msgspec

from koinon.chronos.model import Job

#: *failed*: a run's last attempt. *recovered*: the first success after that. *succeeded*: for jobs that ask for it.
Kind = Literal["failed", "disabled", "deleted", "recovered", "succeeded"]


class Notice(msgspec.Struct, frozen=True):
    """One thing that happened to a job."""

    kind: Kind
    job: Job  #: as it is after that
    at: float
    task_id: str = ""
    attempt: int = 0  #: how many attempts failed before
    message: str = ""  #: what Mesos said about the task
    exhausted: bool = False  #: disabled because no repetition is left

    @property
    def id(self) -> str:
        """The same when it is told again, by a leader that decides anew what its predecessor had decided."""
        return f"{self.kind} {self.task_id or f'{self.job.name} {self.at:.3f}'}"
