"""Write a framework or an executor in Python: subclass `Scheduler` or `Executor` and `await run()`."""

from koinon.sdk.building import TERMINAL_STATES, command, framework_info
from koinon.sdk.errors import ApiError, CallError, FrameworkError, Undelivered
from koinon.sdk.executor import Executor
from koinon.sdk.scheduler import Scheduler

__all__ = [
    "TERMINAL_STATES",
    "ApiError",
    "CallError",
    "Executor",
    "FrameworkError",
    "Scheduler",
    "Undelivered",
    "command",
    "framework_info",
]
