"""GPUs are given by device: which ones a task has stays so until it ends, over restarts too, and no two have the same.

A task or executor finds its devices in its environment, and only those: one without GPUs is told that there are none.
A custom executor is told when it starts, of its own and of those of the tasks that it starts for. Tasks that come later
have, if they can, devices that it knows already; which ones is in a label of each task that is handed over.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from koinon.agent.core.state import Config, State, Task
from koinon.agent.core.tables import ExecutorState
from koinon.mesos import v1

#: Name of the label of a task that has its devices.
LABEL = "NVIDIA_VISIBLE_DEVICES"


def count(resources: Iterable[v1.Resource]) -> int:
    """How many GPUs are among the resources."""
    return round(sum(one.scalar.value for one in resources if one.name == "gpus" and one.scalar is not None))


def free(config: Config, state: State) -> list[str]:
    """The devices that nobody has, in their order."""
    taken: set[str] = set()
    for framework in state.frameworks.values():
        for executor in framework.executors.values():
            if executor.state is not ExecutorState.TERMINATED:
                taken.update(executor.gpus)
            for task in executor.tasks.values():
                if not task.terminal:
                    taken.update(task.gpus)
    return [device for device in config.gpus if device not in taken]


def choose(
    config: Config, state: State, resources: Iterable[v1.Resource], preferred: Iterable[str] = ()
) -> tuple[str, ...]:
    """Devices for who has the resources; there are enough (`shortage`)."""
    wanted = count(resources)
    if not wanted:
        return ()
    liked = set(preferred)
    found = sorted(free(config, state), key=lambda device: device not in liked)
    return tuple(found[:wanted])


def shortage(config: Config, state: State, wanted: int) -> str | None:
    """Why so many GPUs cannot be given now; None if they can."""
    if not wanted or wanted <= (left := len(free(config, state))):
        return None
    return f"This agent has {left} free GPUs, and {wanted} are wanted"


def labelled(task: Task) -> v1.TaskInfo:
    """The task as its custom executor is told of it, with its devices if it has any."""
    if not task.gpus:
        return task.info
    label = v1.Label(key=LABEL, value=",".join(task.gpus))
    given = task.info.labels.labels if task.info.labels is not None else []
    return msgspec.structs.replace(task.info, labels=v1.Labels(labels=[*given, label]))


def environment(config: Config, devices: Iterable[str]) -> dict[str, str]:
    """What tells programs which devices are theirs."""
    if not config.gpus:
        return {}
    shown = ",".join(devices)
    return {"CUDA_VISIBLE_DEVICES": shown, "NVIDIA_VISIBLE_DEVICES": shown or "void"}
