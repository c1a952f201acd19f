"""A core with nothing but launching, as tests play with it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from koinon.marathon.core import launching
from koinon.marathon.core.config import Config
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Accept, Effect, Store
from koinon.marathon.core.instances import life
from koinon.marathon.model import App, Instance, Pod, Root
from koinon.marathon.model.app import VersionInfo
from koinon.mesos import v1

NOW = 1_800_000_000.0
V1 = "2026-01-01T00:00:00.000Z"
SMALL = App(id="/app", cmd="true", cpus=1, mem=10, port_definitions=())


def versioned(app: App, version: str = V1) -> App:
    return replace(app, version=version, version_info=VersionInfo(version, version))


class Bench:
    """A core with nothing but launching."""

    def __init__(self, *specs: App | Pod, config: Config | None = None) -> None:
        self.core = Core(config or Config(), seed=1)
        self.core.state.loaded = True
        self.define(*specs)
        self.now = NOW
        self.turn(launching.subscribed)

    def define(self, *specs: App | Pod) -> None:
        specs = tuple(
            replace(s, version=V1, version_info=VersionInfo(V1, V1)) if not s.version else s for s in specs
        )
        self.core.state.root = Root(
            apps={one.id: one for one in specs if isinstance(one, App)},
            pods={one.id: one for one in specs if isinstance(one, Pod)},
        )

    def turn(self, do: object = None, *args: object, after: float = 0.0) -> list[Effect]:
        """Do something (`after` some seconds), and all that the core wants to do then."""
        self.now += after
        self.core.begin(self.now)
        for action, subject in self.core.alarms.go_off(self.now):
            action(self.core, subject)
        if do is not None:
            do(self.core, *args)  # type: ignore[operator]
        if self.core.queued:
            launching.settle(self.core)
        effects = self.core.end()
        told = [one for one in effects if not isinstance(one, Store)]
        for one in effects:
            if isinstance(one, Store):
                self.stored = dict(one.changes)
                told += self.core.release(one.ticket)
        return [one for one in told if type(one).__name__ != "Publish"]

    def want(self, spec_id: str, number: int) -> list[Effect]:
        spec = self.core.state.root.run_spec(spec_id)
        assert spec is not None
        return self.turn(life.schedule, spec, number)

    def offer(self, *offers: v1.Offer, after: float = 0.0) -> list[Effect]:
        return self.turn(launching.offered, offers, after=after)

    def become(self, condition: str, *ids: str) -> list[Effect]:
        def change(core: Core) -> None:
            for one in ids:
                instance = core.state.instances[one]
                tasks = tuple(replace(task, condition=condition) for task in instance.tasks)
                life.change(core, instance, tasks)

        return self.turn(change)

    @property
    def instances(self) -> list[Instance]:
        return list(self.core.state.instances.values())


def launched(effects: Iterable[Effect]) -> list[str]:
    return [
        task.task_id.value
        for effect in effects
        if isinstance(effect, Accept)
        for operation in effect.operations
        for task in (
            operation.launch.task_infos
            if operation.launch is not None
            else operation.launch_group.task_group.tasks  # type: ignore[union-attr]
        )
    ]


def of_type(effects: Iterable[Effect], kind: type) -> list[Effect]:
    return [one for one in effects if isinstance(one, kind)]
