"""Write a framework or an executor in Python: subclass `Scheduler` or `Executor` and `await run()`."""

from typing import TYPE_CHECKING, Any

from koinon.mesos.states import TERMINAL as TERMINAL_STATES
from koinon.sdk.building import framework_info, task_info
from koinon.sdk.errors import ApiError, CallError, FrameworkError, Undelivered
from koinon.sdk.executor import Executor
from koinon.sdk.scheduler import Scheduler

if TYPE_CHECKING:
    from koinon.mesos.resources import Resources

__all__ = [
    "TERMINAL_STATES",
    "ApiError",
    "CallError",
    "Executor",
    "FrameworkError",
    "Resources",
    "Scheduler",
    "Undelivered",
    "framework_info",
    "task_info",
]


def __getattr__(name: str) -> Any:
    # Arithmetic of resources is loaded when somebody wants it: short commands start faster without.
    if name == "Resources":
        from koinon.mesos.resources import Resources

        return Resources
    raise AttributeError(f"module 'koinon.sdk' has no attribute '{name}'")
