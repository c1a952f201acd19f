"""What is launched, as tests ask for it."""

from __future__ import annotations

from typing import Any

import msgspec

from koinon.marathon.matching import Settings, launch_operation
from koinon.marathon.model import App, Instance, Pod, ids
from koinon.marathon.model.records import Task
from koinon.marathon.model.root import RunSpec
from koinon.mesos import v1

from .offers import matched, offer

VERSION = "2026-01-01T00:00:00.000Z"
UUID = "1b2c"


def operation(
    spec: RunSpec, settings: Settings | None = None, *, ports: str = "31000-31000", enforce_role: bool = False
) -> v1.Offer.Operation:
    settings = settings or Settings()
    free = offer(f"cpus:8;mem:8000;disk:9000;gpus:2;ports:[{ports}]", agent="S1", host="host1")
    labels = {"GPU_SCHEDULING_BEHAVIOR": "unrestricted"} | spec.labels
    found = matched(free, msgspec.structs.replace(spec, labels=labels), settings=settings)
    instance_id = ids.instance_id(spec.id, UUID)
    names = [one.name for one in spec.containers] if isinstance(spec, Pod) else [None]
    tasks = tuple(Task(ids.task_id(instance_id, 1, name)) for name in names)
    instance = Instance(instance_id, spec.id, spec.version, tasks=tasks)
    return launch_operation(found, spec, instance, settings, enforce_role=enforce_role)


def launch(app: App, settings: Settings | None = None, **more: Any) -> v1.TaskInfo:
    made = operation(app, settings, **more)
    assert made.type is v1.Offer.Operation.Type.LAUNCH
    assert made.launch is not None
    (task,) = made.launch.task_infos
    return task


def group(
    pod: Pod, settings: Settings | None = None, **more: Any
) -> tuple[v1.ExecutorInfo, list[v1.TaskInfo]]:
    made = operation(pod, settings, **more)
    assert made.type is v1.Offer.Operation.Type.LAUNCH_GROUP
    assert made.launch_group is not None
    return made.launch_group.executor, made.launch_group.task_group.tasks


def env(task: v1.TaskInfo) -> dict[str, str | None]:
    command = task.command or (task.executor.command if task.executor is not None else None)
    assert command is not None
    assert command.environment is not None
    return {one.name: one.value for one in command.environment.variables}


def app(**fields: Any) -> App:
    return App(**({"id": "/prod/web", "cmd": "run", "version": VERSION} | fields))
