"""Leaders that come and go, masters that come and go, and what is kept of former versions."""

from __future__ import annotations

import pytest

from koinon.marathon.core import Config, Refused
from koinon.marathon.core import events as ev
from koinon.marathon.model import App
from koinon.marathon.model.app import (
    UpgradeStrategy,
)
from tests.unit.marathon.services import commands, web
from tests.unit.marathon.world import World


# ── leaders and masters ───────────────────────────────────────────────────────────────────────────
def test_new_leader_knows_the_same(running: World) -> None:
    before = running.core.state
    running.lead()
    after = running.core.state
    assert after.root == before.root
    assert after.instances == before.instances
    assert after.history == before.history
    assert after.changes == before.changes
    assert after.counts == before.counts
    running.run(100)
    assert len(running.running("/web")) == 3
    assert all(one.incarnation == 1 for one in running.instances("/web"))


def test_new_leader_goes_on_with_an_upgrade_after_each_write(running: World) -> None:
    app = web("two", upgrade_strategy=UpgradeStrategy(1, 0))
    running.deploy(app)
    written = 0

    def watch() -> None:
        nonlocal written
        if len(running.store) + sum(map(len, running.store.values())) != written:
            written = len(running.store) + sum(map(len, running.store.values()))
            if running.generation < 30:
                running.at(0.0, running._in_generation(running.lead))

    running.watch = watch
    running.settle()
    assert commands(running) == ["two"] * 3
    assert running.generation > 10


def test_framework_id_that_is_lost_ends_the_process(running: World) -> None:
    del running.store["framework"]
    running.lead()
    assert running.resigned is not None
    assert running.resigned.status == 108


def test_everything_is_refused_before_the_store_is_read() -> None:
    world = World()
    from koinon.marathon.core import Marathon

    with pytest.raises(Refused) as refused:
        Marathon(Config(), seed=1).handle(ev.ClockTicked(), world.now)
    assert refused.value.status == 503


def test_what_happened_while_no_master_was_there_is_asked_for(running: World) -> None:
    running.disconnect()
    victim = running.running("/web")[0]
    del running.tasks[victim.id]
    running.run(60)
    running.subscribe()
    running.run(30)
    assert len(running.running("/web")) == 3
    assert [one["master"] for one in running.published("scheduler_reregistered_event")] == ["master:5050"]
    assert len(running.published("scheduler_disconnected_event")) == 1


# ── versions ──────────────────────────────────────────────────────────────────────────────────────
def test_former_versions_of_apps_and_of_the_root_are_kept_as_far_as_wanted() -> None:
    world = World(config=Config(max_versions=3))
    roots = []
    for number in range(6):
        world.deploy(web(f"cmd-{number}"))
        world.settle()
        roots.append(world.core.root)
    state = world.core.state
    assert [state.definition("/web", one).cmd for one in state.versions_of("/web")] == [
        "cmd-5",
        "cmd-4",
        "cmd-3",
        "cmd-2",
    ]  # type: ignore[union-attr]
    assert state.root_at(roots[3].version) == roots[3]
    assert state.root_at(roots[0].version) is None
    world.lead()
    assert world.core.state.root_at(roots[3].version) == roots[3]


def test_versions_of_a_former_life_are_not_shown(running: World) -> None:
    running.deploy(remove=["/web"])
    running.settle()
    removed = running.core.root.version
    before = running.core.state.root_at(min(running.core.state.changes))
    assert before is not None
    assert "/web" in before.apps
    running.deploy(web("two"))
    running.settle()
    assert [one > removed for one in running.core.state.versions_of("/web")] == [True]


def test_groups_above_a_change_get_its_version(world: World) -> None:
    world.deploy(App("/a/b/app", cmd="x"))
    world.settle()
    first = world.core.root
    world.deploy(App("/c/app", cmd="x"))
    world.settle()
    second = world.core.root
    assert {path: group.version for path, group in second.groups.items()} == {
        "/": second.version,
        "/a": first.version,
        "/a/b": first.version,
        "/c": second.version,
    }


def test_answers_that_tell_nothing_new_change_nothing(running: World) -> None:
    running.run(20)
    before = dict(running.store)
    running.events.clear()
    running.disconnect()
    running.subscribe()
    running.run(10)
    assert running.store == before
    assert not running.published("status_update_event")
