"""Garbage collection of sandboxes: by age, by the state of the disk, and whatever a task has left there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from koinon.agent import collector as collecting
from koinon.agent import sandbox
from koinon.agent.collector import Collector, max_age_s, used_part
from tests.unit.agent.test_sandbox import run_of

WEEK_S = 7 * 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(collecting, "time", clock)
    return clock


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The used part of the disk, to be set."""
    used = [0.4]
    monkeypatch.setattr(collecting, "used_part", lambda path: used[0])
    return used  # type: ignore[return-value]


def collector(work_dir: Path, *live: str) -> Collector:
    return Collector(work_dir, delay_s=WEEK_S, headroom=0.1, live=lambda: live)


@pytest.mark.parametrize(
    ("used", "age_s"), [(0.0, 0.9 * WEEK_S), (0.4, 0.5 * WEEK_S), (0.9, 0.0), (0.95, 0.0)]
)
def test_the_fuller_the_disk_the_younger_they_go(used, age_s):
    assert max_age_s(WEEK_S, 0.1, used) == pytest.approx(age_s)


def test_the_used_part_of_a_disk(tmp_path):
    assert 0 < used_part(tmp_path) < 1


async def test_a_sandbox_goes_when_its_time_has_come(tmp_path, clock, disk):
    old, new = run_of(tmp_path, "old", "e1"), run_of(tmp_path, "new", "e2")
    found = collector(tmp_path)
    found.add(str(old))
    clock.now += 3600
    found.add(str(new))
    clock.now += WEEK_S / 2 - 1800
    await found.collect()
    assert (old.exists(), new.exists()) == (False, True)
    assert (found.pending, found.succeeded, found.failed) == (1, 1, 0)
    assert found.max_age_s == pytest.approx(WEEK_S / 2)
    assert not old.parents[1].exists(), "what is left empty goes, too"


async def test_an_old_agents_directory_goes_with_its_last_sandbox(tmp_path, clock, disk):
    old = run_of(tmp_path, "old", agent_id="S0")
    new = run_of(tmp_path, "new", agent_id="S1")
    found = collector(tmp_path)
    for run in (old, new):
        found.add(str(run))
    clock.now += WEEK_S
    await found.collect()
    assert sorted(one.name for one in (tmp_path / "slaves").iterdir()) == ["S1", "latest"]
    assert list((tmp_path / "slaves/latest/frameworks").iterdir()) == []


async def test_a_sandbox_inside_of_another_goes_when_its_time_has_come(tmp_path, clock, disk):
    run = run_of(tmp_path, "live")
    for name in ("ended", "going"):
        sandbox.prepare_nested(str(run / "containers" / name), str(run), None)
    sandbox.prepare_standalone(str(tmp_path / "containers/alone"), None)
    found = collector(tmp_path, "live")
    found.add(str(run / "containers/ended"), str(run))
    found.add(str(tmp_path / "containers/alone"), "")
    clock.now += WEEK_S
    await found.collect()
    assert [one.name for one in (run / "containers").iterdir()] == ["going"]
    assert list((tmp_path / "containers").iterdir()) == []
    assert (found.succeeded, found.failed) == (2, 0)


async def test_a_sandbox_that_went_with_the_one_around_it_is_no_failure(tmp_path, clock, disk):
    run = run_of(tmp_path, "c")
    sandbox.prepare_nested(str(run / "containers/n"), str(run), None)
    found = collector(tmp_path)
    found.add(str(run))
    clock.now += 1
    found.add(str(run / "containers/n"), str(run))
    clock.now += WEEK_S
    await found.collect()
    assert (run.exists(), found.failed, found.pending) == (False, 0, 0)


async def test_a_sandbox_that_was_removed_and_made_again_stays(tmp_path, clock, disk):
    run = run_of(tmp_path, "live")
    inner = run / "containers/n/containers/m"
    sandbox.prepare_nested(str(inner), str(run), None)
    found = collector(tmp_path, "live")
    found.add(str(inner), str(run))
    found.add(str(run / "containers/n"), str(run))
    found.drop(str(run / "containers/n"))
    clock.now += WEEK_S
    await found.collect()
    assert inner.exists()


async def test_a_link_on_the_way_to_a_sandbox_leads_nowhere(tmp_path, clock, disk):
    precious = tmp_path / "precious"
    (precious / "n").mkdir(parents=True)
    os.utime(precious / "n", (0, 0))
    run = run_of(tmp_path, "live")
    sandbox.prepare_nested(str(run / "containers/n"), str(run), None)
    found = collector(tmp_path, "live")
    found.add(str(run / "containers/n"), str(run))
    (run / "containers").rename(run / "moved")
    (run / "containers").symlink_to(precious)
    found.add(str(run / "containers/n"), str(run))
    clock.now += WEEK_S
    await found.collect()
    assert (precious / "n").stat().st_mtime == 0
    assert sandbox.inner(str(run)) == []


async def test_what_agents_before_us_left_inside_of_others_is_found_if_it_is_wanted(tmp_path, disk):
    run = run_of(tmp_path, "live")
    sandbox.prepare_nested(str(run / "containers/n"), str(run), None)
    os.utime(run / "containers/n", (0, 0))
    found = collector(tmp_path, "live")
    found.nested = lambda: [(str(run / "containers/n"), str(run))]
    running = asyncio.ensure_future(found.run(3600))
    async with asyncio.timeout(10):
        while (run / "containers/n").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    assert run.exists()


async def test_a_full_disk_takes_all_that_has_ended_but_nothing_that_lives(tmp_path, clock, disk):
    ended, live = run_of(tmp_path, "ended", "e1"), run_of(tmp_path, "live", "e2")
    found = collector(tmp_path, "live")
    found.add(str(ended))
    found.add(str(live))
    disk[0] = 0.93
    clock.now += 1
    await found.collect()
    assert (ended.exists(), live.exists()) == (False, True)


async def test_what_agents_before_us_left_is_found(tmp_path, disk):
    left = run_of(tmp_path, "left")
    os.utime(left, (0, 0))
    found = collector(tmp_path)
    running = asyncio.ensure_future(found.run(3600))
    async with asyncio.timeout(10):
        while left.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    assert (tmp_path / "slaves").is_dir()


async def test_more_than_can_be_remembered_go_all_the_same_and_in_their_order(
    tmp_path, clock, disk, monkeypatch
):
    monkeypatch.setattr(collecting, "_REMEMBERED", 2)
    found, runs = collector(tmp_path, "live"), []
    for age in range(7, 0, -1):
        runs.append(run_of(tmp_path, f"c{age}", f"e{age}"))
        found.add(str(runs[-1]))
        os.utime(runs[-1], (clock.now - age * 3600,) * 2)
    live = run_of(tmp_path, "live", "e")
    os.utime(live, (0, 0))
    assert found.pending == 7
    clock.now += WEEK_S / 2 - 3.5 * 3600
    await found.collect()
    # The first two count from when they were added; the others by what is on disk, once those are gone.
    assert [run.exists() for run in runs] == [True] * 7
    clock.now += 3.5 * 3600
    await found.collect()
    assert [run.exists() for run in runs] == [False] * 7
    assert live.exists()
    assert found.pending == 0


async def test_the_end_of_a_sandbox_is_known_to_the_agent_after_us(tmp_path):
    run = run_of(tmp_path, "c")
    os.utime(run, (0, 0))
    collector(tmp_path).add(str(run))
    assert time.time() - run.stat().st_mtime < 60


async def test_a_sandbox_that_was_never_made_is_not_waited_for(tmp_path):
    found = collector(tmp_path)
    found.add(str(tmp_path / "slaves/S/frameworks/F/executors/e/runs/none"))
    assert found.pending == 0


async def test_links_out_of_a_sandbox_are_removed_and_not_followed(tmp_path, clock, disk):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    run = run_of(tmp_path, "c")
    (run / "link").symlink_to(precious)
    (run / "-rf").mkdir()
    found = collector(tmp_path)
    found.add(str(run))
    clock.now += WEEK_S
    await found.collect()
    assert not run.exists()
    assert (precious / "file").read_text() == "kept"


async def test_directories_nested_ever_so_deeply_are_removed(tmp_path, clock, disk):
    run = run_of(tmp_path, "c")
    folder = os.open(run, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    found = collector(tmp_path)
    found.add(str(run))
    clock.now += WEEK_S
    await found.collect()
    assert not run.exists()
    assert found.succeeded == 1


async def test_a_removal_that_fails_is_counted_and_tried_again(tmp_path, clock, disk, monkeypatch):
    run = run_of(tmp_path, "c")
    found = collector(tmp_path)
    found.add(str(run))
    clock.now += WEEK_S

    def refuse(run: Path) -> None:
        raise OSError("Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(collecting.sandbox, "remove", refuse)
        await found.collect()
    assert (found.failed, found.pending) == (1, 1)
    clock.now += WEEK_S
    await found.collect()
    assert (found.succeeded, run.exists()) == (1, False)
