"""For which window a child starts, and what is left then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from koinon.chronos import schedules
from koinon.chronos.core.state import State
from koinon.chronos.core.windows import ANY, missing_parents, next_start, with_success
from koinon.chronos.model import Job, successes_of
from koinon.chronos.model.job import MissedRuns

HOURLY = schedules.read("R/2030-01-01T00:00:00Z/PT1H", now=0.0)
Windows = dict[str, tuple[int, ...]]


def state(*, several: bool = False) -> State:
    """Two chains down to a and b, from one schedule or from two."""
    made = State()
    for name in ("root", "other"):
        made.put_job(Job(name, schedule=HOURLY))
    made.put_job(Job("a", parents=("root",)))
    made.put_job(Job("middle", parents=("other" if several else "root",)))
    made.put_job(Job("b", parents=("middle",)))
    return made


def child(unused: Windows, missed_runs: MissedRuns = "one") -> Job:
    return Job("c", parents=("a", "b"), missed_runs=missed_runs, successes=successes_of(unused))


@pytest.mark.parametrize(
    ("missed_runs", "unused", "window", "left"),
    [
        ("one", {"a": (1, 2)}, None, {}),
        ("one", {"a": (1, 2), "b": (3,)}, None, {}),
        ("one", {"a": (1, 2), "b": (1,)}, 1, {"a": (2,)}),
        ("one", {"a": (1, 2, 4), "b": (1, 2, 3)}, 2, {"a": (4,), "b": (3,)}),
        ("skip", {"a": (1, 2), "b": (2, 1)}, 2, {}),
        ("all", {"a": (1, 2), "b": (3,)}, None, {}),
        ("all", {"a": (2, 1), "b": (1, 2, 3)}, 1, {"a": (2,), "b": (2, 3)}),
        # By hand: it stands in for what is missing, and for nothing else.
        ("one", {"a": (0,), "b": (0,)}, 0, {}),
        ("one", {"a": (0, 1), "b": (0,)}, 0, {"a": (1,)}),
        ("one", {"a": (1, 2), "b": (0, 1)}, 1, {"a": (2,)}),
        ("one", {"a": (1, 2), "b": (0,)}, 2, {}),
        ("all", {"a": (1, 2), "b": (0, 0)}, 1, {"a": (2,), "b": (0,)}),
        ("all", {"a": (1, 2), "b": (0, 2)}, 2, {"a": (1,), "b": (0,)}),
    ],
)
def test_windows_of_one_schedule(
    missed_runs: MissedRuns, unused: Windows, window: int | None, left: Windows
) -> None:
    start = next_start(state(), child(unused, missed_runs))
    assert (start and start.window_ms, start and start.job.unused) == (
        window,
        None if window is None else left,
    )


@pytest.mark.parametrize(
    ("missed_runs", "unused", "left"),
    [
        ("one", {"a": (1,)}, None),
        ("one", {"a": (1, 2), "b": (3,)}, {}),
        ("all", {"a": (1, 2, 4), "b": (3, 0)}, {"a": (2, 4), "b": (0,)}),
    ],
)
def test_windows_of_several_schedules_are_not_comparable(
    missed_runs: MissedRuns, unused: Windows, left: Windows | None
) -> None:
    start = next_start(state(several=True), child(unused, missed_runs))
    assert (start and start.job.unused) == left
    assert start is None or start.window_ms == ANY


def test_a_window_that_was_helped_by_hand_is_over_also_when_the_parent_succeeds_late() -> None:
    start = next_start(state(), child({"a": (5,), "b": (0,)}))
    assert start is not None
    assert with_success(start.job, "b", 5) == start.job
    assert with_success(start.job, "b", 6).unused == {"b": (6,)}


@pytest.mark.parametrize(
    ("several", "unused", "missing"),
    [
        (False, {}, (0, ["a", "b"])),
        (False, {"a": (1, 2)}, (2, ["b"])),
        (False, {"a": (1,), "b": (2,)}, (2, ["a"])),
        (False, {"a": (1,), "b": (1,)}, (0, [])),
        (True, {"a": (1,)}, (0, ["b"])),
    ],
)
def test_whom_it_waits_for(several: bool, unused: Windows, missing: tuple[int, list[str]]) -> None:
    assert missing_parents(state(several=several), child(unused)) == missing


def test_who_descends_from_whom_is_found_anew_when_parents_change() -> None:
    jobs = state()
    job = child({"a": (1,), "b": (2,)})
    assert next_start(jobs, job) is None
    jobs.put_job(Job("middle", parents=("other",)))
    assert next_start(jobs, job) is not None


def test_what_is_kept_of_a_parent_is_bounded() -> None:
    job = child({})
    for window in range(1, 1000):
        job = with_success(job, "a", window)
    assert job.unused == {"a": tuple(range(900, 1000))}


news = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6)), unique=True, max_size=12)


@given(news, st.lists(st.booleans(), min_size=12, max_size=12))
def test_in_whatever_order_parents_succeed_each_whole_window_has_one_start(
    told: list[tuple[str, int]], starts_then: list[bool]
) -> None:
    every, newest = child({}, "all"), child({}, "one")
    of_every: list[int] = []
    of_newest: list[int] = []
    for (parent, window), starts in zip(told, starts_then, strict=False):
        every, newest = with_success(every, parent, window), with_success(newest, parent, window)
        if starts:
            every, newest = _start(every, of_every), _start(newest, of_newest)
    while (before := every) != (every := _start(every, of_every)):
        assert before.successes
    newest = _start(newest, of_newest)
    whole = {window for _, window in told if {("a", window), ("b", window)} <= set(told)}
    assert sorted(of_every) == sorted(whole)
    assert len(of_newest) == len(set(of_newest))
    assert set(of_newest) <= whole
    assert bool(of_newest) == bool(whole)
    assert _start(replace(newest), []) == newest


def _start(job: Job, started: list[int]) -> Job:
    start = next_start(state(), job)
    if start is None:
        return job
    started.append(start.window_ms)
    return start.job
