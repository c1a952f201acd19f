"""What an event costs does not depend on how much else there is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from msgspec import json

from koinon.marathon.core import Config, Marathon
from koinon.marathon.core import events as ev
from koinon.marathon.model import App, Instance, Root
from koinon.marathon.model.app import VersionInfo
from koinon.marathon.model.records import AgentInfo, Task
from koinon.mesos import v1

VERSION = "2026-01-01T00:00:00.000Z"
NOW = 1_800_000_000.0


def loaded(apps: int) -> Marathon:
    """A Marathon with so many apps, and five running instances of each."""
    entries = {"framework": b'"F"'}
    for number in range(apps):
        app = App(
            f"/a{number}", cmd="x", instances=5, version=VERSION, version_info=VersionInfo(VERSION, VERSION)
        )
        entries[f"apps/a{number}"] = entries[f"versions/a{number}/{VERSION}"] = json.encode(app)
        for at in range(5):
            instance = Instance(
                id=f"a{number}.instance-{at}",
                run_spec=app.id,
                version=VERSION,
                config=VERSION,
                condition="Running",
                incarnation=1,
                agent=AgentInfo("S0", "host"),
                tasks=(
                    Task(f"a{number}.instance-{at}._app.1", condition="Running", mesos_state="TASK_RUNNING"),
                ),
                since=VERSION,
            )
            entries[f"instances/{instance.id}"] = json.encode(instance)
    core = Marathon(Config(), seed=1)
    for effect in core.handle(ev.Loaded(entries), NOW):
        if isinstance(effect, ev.Store):
            core.handle(ev.Stored(effect.ticket), NOW)
    core.handle(ev.Subscribed("F", "master:5050"), NOW)
    return core


def calls(do: Callable[[], Any]) -> int:
    """How many functions of ours and of the language are called."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
    return count


def status(state: v1.TaskState) -> ev.Updated:
    return ev.Updated(
        v1.TaskStatus(
            task_id=v1.TaskID("a7.instance-3._app.1"),
            state=state,
            agent_id=v1.AgentID("S0"),
            uuid=b"0123456789abcdef",
        )
    )


@pytest.mark.parametrize(
    "state", [v1.TaskState.TASK_FAILED, v1.TaskState.TASK_UNREACHABLE, v1.TaskState.TASK_KILLING]
)
def test_status_updates(state: v1.TaskState) -> None:
    few, many = loaded(10), loaded(1000)
    assert (
        calls(lambda: many.handle(status(state), NOW + 1))
        <= calls(lambda: few.handle(status(state), NOW + 1)) + 20
    )


def test_kills() -> None:
    few, many = loaded(10), loaded(1000)
    kill = ev.KillInstances(frozenset({"a7.instance-3"}))
    assert calls(lambda: many.handle(kill, NOW + 1)) <= calls(lambda: few.handle(kill, NOW + 1)) + 20


def test_a_change_looks_at_each_definition_once_or_twice() -> None:
    """And at no instance that it does not change."""

    def scale(core: Marathon) -> ev.Deploy:
        apps = {**core.root.apps, "/a7": App("/a7", cmd="x", instances=6, version=VERSION)}
        root = core.root
        return ev.Deploy(Root(apps=apps, pods=root.pods, groups=root.groups, version=root.version), "D1")

    few, many = loaded(10), loaded(1000)
    change_few, change_many = scale(few), scale(many)
    extra = calls(lambda: many.handle(change_many, NOW + 1)) - calls(lambda: few.handle(change_few, NOW + 1))
    assert extra < 6 * 990
