"""Bad days: everything may go wrong at any moment, laws hold all the time, and in the end all is as it was wanted."""

from __future__ import annotations

from random import Random

import pytest

from koinon.marathon.core import Refused, records
from koinon.marathon.core import events as ev
from koinon.marathon.core.state import State
from koinon.marathon.model import App, Pod
from koinon.marathon.model.app import (
    ExecCommand,
    HealthCheck,
    PortDefinition,
    ReadinessCheck,
    UnreachableStrategy,
    UpgradeStrategy,
)
from koinon.marathon.model.pod import Exec, PodContainer, Scaling
from koinon.mesos.v1 import TaskState as T
from tests.unit.marathon.world import World

_PATHS = ("/a", "/b", "/g/c", "/g/d")


class Chaos:
    """A world in which people change their minds and things break."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(agents=4, seed=seed)
        self.world.watch = self.check
        self.ill: set[str] = set()  #: commands that never pass a check
        self.world.probe = lambda probe: self.random.random() < 0.97

    # ── laws ──────────────────────────────────────────────────────────────────────────────────────
    def check(self) -> None:
        """After each event."""
        self.world.core.check()
        self._check_records()

    def _check_records(self) -> None:
        """What is stored, with what is on its way there, is what is known."""
        state, stored = self.world.core.state, State()
        records.load(stored, self.world.written)
        assert stored.root == state.root
        assert stored.instances == state.instances
        assert stored.deployments == state.deployments
        assert stored.failures == state.failures
        assert stored.changes == state.changes
        assert stored.history == state.history
        assert stored.framework_id == state.framework_id

    # ── what people do ────────────────────────────────────────────────────────────────────────────
    def spec(self, path: str) -> App | Pod:
        draw = self.random
        if path == "/g/d":
            shell = Exec(ExecCommand(shell=draw.choice(("one", "two"))))
            return Pod(
                path,
                containers=(PodContainer("a", exec=shell), PodContainer("b", exec=shell)),
                scaling=Scaling(instances=draw.randrange(4)),
            )
        more: dict[str, object] = {}
        if draw.random() < 0.5:
            more["health_checks"] = (HealthCheck(interval_seconds=5, grace_period_seconds=10),)
        if draw.random() < 0.2:
            more["readiness_checks"] = (ReadinessCheck(interval_seconds=5, timeout_seconds=2),)
        if draw.random() < 0.3:
            more["labels"] = {"koinon.canary": "1", "koinon.canary-seconds": "20"}
        if draw.random() < 0.5:
            seconds = draw.randrange(100)
            more["unreachable_strategy"] = UnreachableStrategy(seconds, seconds + draw.randrange(200))
        return App(
            path,
            cmd=draw.choice(("one", "two", "three")),
            instances=draw.randrange(6),
            cpus=0.1,
            mem=1,
            port_definitions=(PortDefinition(name="http-api"),),
            backoff_seconds=1,
            upgrade_strategy=UpgradeStrategy(draw.choice((0.0, 0.5, 1.0)), draw.choice((0.0, 0.5, 1.0))),
            kill_selection=draw.choice(("YOUNGEST_FIRST", "OLDEST_FIRST")),
            dependencies=("/a",) if path == "/b" and "/a" in self.world.core.root.apps else (),
            **more,  # type: ignore[arg-type]
        )

    def change(self) -> None:
        world, draw = self.world, self.random
        deployments = list(world.core.state.deployments)
        instances = sorted(world.core.state.instances)
        paths = draw.sample(_PATHS, draw.choice((1, 1, 1, 2)))
        force = draw.random() < 0.5
        try:
            match draw.randrange(8):
                case 0 | 1 | 2:
                    world.deploy(*map(self.spec, paths), force=force)
                case 3:
                    specs = [one for path in paths if (one := world.core.root.run_spec(path))]
                    world.deploy(restart=frozenset(one.id for one in specs), force=force)
                case 4:
                    world.deploy(remove=[path for path in paths if path != "/a"], force=force)
                case 5 if deployments:
                    world.cancel(draw.choice(deployments), force=draw.random() < 0.3)
                case 6 if deployments:
                    world.continue_(draw.choice(deployments))
                case 7 if instances:
                    wipe = draw.random() < 0.5
                    world.tell(ev.KillInstances(frozenset(draw.sample(instances, 1)), wipe=wipe))
        except Refused as refused:
            if refused.status not in (403, 404, 409):
                raise

    # ── what breaks ───────────────────────────────────────────────────────────────────────────────
    def fault(self) -> None:
        world, draw = self.world, self.random
        agent = draw.choice(list(world.agents.values()))
        match draw.randrange(9):
            case 0 if agent.reachable:
                world.lose(agent.id)
            case 1 | 2 if not agent.reachable:
                world.find(agent.id)
            case 3 | 4 if world.tasks:
                task = world.tasks[draw.choice(sorted(world.tasks))]
                ends = [T.TASK_FAILED, T.TASK_KILLED, T.TASK_GONE_BY_OPERATOR]
                if not task.id.startswith(
                    "g_d"
                ):  # a container of a pod may finish: the pod goes on without it
                    ends.append(T.TASK_FINISHED)
                world.fail(task, draw.choice(ends))
            case 5:
                world.lead()
            case 6:
                if world.subscribed:
                    world.disconnect()
                else:
                    world.subscribe()
            case 7:
                world.refuse_launches = not world.refuse_launches
            case 8:
                self.gossip()

    def gossip(self) -> None:
        """Something is said of a task that is not so, or not any more, or of one that there never was."""
        world, draw = self.world, self.random
        known = sorted({*world.core.state.tasks, *(task.id for task in world.ended), *world.tasks})
        task_id = draw.choice([*known, "a.instance-nobody._app.1", "somebody-else"])
        status = world._status(task_id, draw.choice(list(T)), "S0", healthy=draw.choice((None, True, False)))
        world.tell(ev.Updated(status))
        world.tell(ev.Probed(f"health/{draw.choice([*world.core.state.instances, 'x'])}/1/0", passed=False))
        world.tell(ev.Probed(f"ready/{draw.choice([*world.core.state.instances, 'x'])}/1", passed=True))

    # ── the play ──────────────────────────────────────────────────────────────────────────────────
    def play(self, acts: int = 60) -> None:
        """Bad days, then a good one."""
        world, draw = self.world, self.random
        for _ in range(acts):
            world.storing_s = draw.choice((0.0, 0.0, 0.01, 2.0))
            (self.change if draw.random() < 0.6 else self.fault)()
            world.run(draw.choice((0.0, 0.1, 1.0, 10.0, 60.0)))
        self._heal()
        world.until(lambda: not world.core.state.deployments, 3_000)
        world.run(1_000)
        self._demand_order()

    def _heal(self) -> None:
        world = self.world
        world.storing_s = 0.0
        world.refuse_launches = False
        world.probe = lambda probe: True
        for agent in world.agents.values():
            if not agent.reachable:
                world.find(agent.id)
        if not world.subscribed:
            world.subscribe()
        for deployment in list(world.core.state.deployments.values()):
            if deployment.canaries_since:
                world.continue_(deployment.id)

    def _demand_order(self) -> None:
        world = self.world
        known = set(world.core.state.tasks)
        for spec in world.core.root.run_specs():
            per_instance = len(spec.containers) if isinstance(spec, Pod) else 1
            running = world.running(spec.id)
            assert len(running) == spec.instances * per_instance, world.story()
            assert {task.id for task in running} <= known
        assert set(world.tasks) <= known, f"tasks of nobody: {set(world.tasks) - known}"
        assert all(one.condition == "Running" for one in world.core.state.instances.values()), world.story()
        assert not world.core.state.kills_sent
        assert not world.core.state.readiness


@pytest.mark.parametrize("seed", range(25))
def test_services_come_back_and_records_say_what_is(seed: int) -> None:
    Chaos(seed).play()
