"""A run that is ended early kills what runs on, whoever tells of it."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from koinon.cli.run import _Runner
from koinon.mesos.v1 import TaskStatus
from tests.unit.cli.test_batch import batch, offer, status

UUID = b"0123456789abcdef"


class Nowhere:
    """A master that is not there."""

    def __init__(self) -> None:
        self.where = self

    def detector(self) -> Any:
        return None


class Runner(_Runner):
    """Remembers what it would have killed."""

    def __init__(self) -> None:
        outputs = SimpleNamespace(framework_id="f", follow=lambda instance: None)
        screen = SimpleNamespace(note=lambda text: None, progress=lambda *counts: None)
        one = batch()
        one.place([offer("a")])
        super().__init__(Nowhere(), one, outputs, screen, "*")  # type: ignore[arg-type]
        self.killed: list[str] = []

    def kill(self, task_id: Any, agent_id: Any = None) -> None:
        self.killed.append(getattr(task_id, "value", task_id))

    def reconcile(self, tasks: Any = None, *, until_answered: bool = False) -> None:
        pass

    def _show_progress(self) -> None:
        pass


@pytest.mark.parametrize(
    "uuid", [None, UUID], ids=["the master", "its agent, whose update was not acknowledged"]
)
async def test_a_new_master_hears_of_the_kill_again_when_it_knows_the_task(uuid: bytes | None) -> None:
    runner = Runner()
    runner.update(status(0, "RUNNING"))
    runner.interrupt(130)
    runner.subscribed("f")
    before = len(runner.killed)
    runner.update(told(status(0, "RUNNING"), uuid))
    assert runner.killed[before:] == ["job-x1.0"]


async def test_what_is_being_killed_is_not_killed_again() -> None:
    runner = Runner()
    runner.update(status(0, "RUNNING"))
    runner.interrupt(130)
    runner.update(told(status(0, "KILLING"), UUID))
    assert runner.killed == ["job-x1.0"]


def told(one: TaskStatus, uuid: bytes | None) -> TaskStatus:
    return replace(one, uuid=uuid)
