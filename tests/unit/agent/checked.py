"""A task with checks on the bench."""

from __future__ import annotations

from typing import Any

import pytest

from koinon.agent.core import events as ev
from koinon.mesos import v1
from koinon.mesos.v1 import CheckInfo, HealthCheck, TaskStatus
from tests.unit.agent.bench import Bench, task

PROBES = ev.ProbeCommand | ev.ProbeHttp | ev.ProbeTcp


def health_check(**more: Any) -> HealthCheck:
    """Of a port; every field at its default."""
    return HealthCheck(type=HealthCheck.Type.TCP, tcp=HealthCheck.TCPCheckInfo(port=80), **more)


def check(**more: Any) -> CheckInfo:
    return CheckInfo(type=CheckInfo.Type.HTTP, http=CheckInfo.Http(port=80, path="/x"), **more)


def command_check(command: v1.CommandInfo, **more: Any) -> CheckInfo:
    return CheckInfo(type=CheckInfo.Type.COMMAND, command=CheckInfo.Command(command), **more)


def probes(effects: list[ev.Effect]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, PROBES)]


class Checked:
    """A running task with checks, all of whose updates are acknowledged at once."""

    def __init__(self, bench: Bench, *, of: v1.FrameworkInfo | None = None, **fields: Any) -> None:
        self.bench = bench
        self.container_id = bench.running(task(**fields), of=of)
        self.news()

    def news(self) -> list[TaskStatus]:
        """What was reported since the last call."""
        found = self.bench.acknowledge_all()
        self.bench.effects.clear()
        return found

    def wait(self, seconds: float) -> Any:
        """The probe that is due after so many seconds, and none before."""
        since_s, found = self.bench.now, probes(self.bench.pass_time(0.0))
        while not found:
            due_s = self.bench.agent.next_wakeup
            assert due_s is not None
            found = probes(self.bench.pass_time(due_s - self.bench.now))
        assert self.bench.now - since_s == pytest.approx(seconds)
        (probe,) = found
        return probe

    def answer(self, probe: Any, value: int | None, **more: Any) -> list[TaskStatus]:
        """The probe is done; what is reported of it."""
        self.bench.tell(ev.Probed(probe.probe_id, value, **more))
        return self.news()


def verdicts(statuses: list[TaskStatus]) -> list[tuple[str, bool | None, TaskStatus.Reason | None]]:
    return [(one.state.value, one.healthy, one.reason) for one in statuses]


HEALTH = TaskStatus.Reason.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
HEALTHY = [("TASK_RUNNING", True, HEALTH)]
UNHEALTHY = [("TASK_RUNNING", False, HEALTH)]
