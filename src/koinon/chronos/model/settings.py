"""What an operator has set that completes the definitions of jobs."""

from __future__ import annotations

from typing import Literal

import msgspec

#: The lines of Chronos, each with a prefix of its own: `/scheduler` and `/v1/scheduler`.
Line = Literal["2.x", "3.x"]


class Defaults(msgspec.Struct, frozen=True):
    """Of fields that a definition leaves out. Flags of Chronos's."""

    cpus: float = 0.1  #: `--mesos_task_cpu`
    mem: float = 128.0  #: `--mesos_task_mem`, MiB
    disk: float = 256.0  #: `--mesos_task_disk`, MiB
    user: str = "root"  #: `--user`
    epsilon: str = "PT60S"  #: `--task_epsilon`, an ISO 8601 duration
