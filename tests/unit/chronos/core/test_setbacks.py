"""Schedules when the clock is set: whatever it shows, no slot runs twice, and in the end each has its run at its time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from koinon.chronos import schedules
from koinon.chronos.core import setbacks
from koinon.chronos.core.config import Config
from koinon.chronos.core.context import Core
from koinon.chronos.model import Job, Lapse, ids
from tests.unit.chronos.core.world import START_S, Place

MINUTE_S = 60.0
EVERY_MINUTE = (
    schedules.read("R/2030-03-17T17:46:00Z/PT1M", now=START_S),
    schedules.read_cron("* * * * *", now=START_S),
)


class Machine:
    """Launches what is due, as late as it may be."""

    def __init__(self, schedule: schedules.Schedule) -> None:
        self.job = Job("a", schedule=schedule)
        self.core = Core(Config(), Place)
        self.launched: list[float] = []

    def shows(self, wall: float) -> None:
        self.core.begin(0.0, wall)
        while True:
            self.job = job = setbacks.reconsidered(self.core, self.job)
            assert setbacks.reconsidered(self.core, job) is job
            schedule = job.schedule
            assert schedule is not None
            assert schedule.due is not None
            if schedule.due > wall:
                return
            self.launched.append(schedule.due)
            slot_ms = ids.milliseconds(schedule.due)
            job = setbacks.with_slot_run(job, slot_ms)
            following = schedule.next_due(schedule.due)
            if following is not None and following <= wall:
                job = setbacks.with_lapse(job, slot_ms, self.core.wall_ms)
            self.job = replace(job, schedule=schedule.advanced(wall))


minutes = st.integers(0, 20) | st.integers(0, 6_000_000)


@pytest.mark.parametrize("schedule", EVERY_MINUTE)
@settings(max_examples=60, deadline=None)
@given(walls=st.lists(minutes, max_size=6), last=st.integers(0, 20))
def test_no_slot_runs_twice_and_each_that_comes_runs(
    schedule: schedules.Schedule, walls: list[int], last: int
) -> None:
    begin = schedule.due
    assert begin is not None
    machine = Machine(schedule)
    for wall in walls:
        for passed_s in (1.0, 70.0):
            machine.shows(begin + wall * MINUTE_S + passed_s)
    for later in range(25):
        machine.shows(begin + (last + later) * MINUTE_S + 1.0)
    assert len(machine.launched) == len(set(machine.launched))
    to_come = {begin + (last + later) * MINUTE_S for later in range(1, 25)}
    if len(walls) <= 3:  # after many such things short lapses are forgotten
        assert to_come <= set(machine.launched)


def test_of_many_lapses_the_longest_are_kept() -> None:
    job = Job("a", schedule=EVERY_MINUTE[0])
    for n in range(100):
        job = setbacks.with_lapse(job, n * 1000, n * 1000 + (900 if n == 10 else 100))
    assert Lapse(10_000, 10_900) in job.lapses
    assert len(job.lapses) <= 10


def test_repetitions_that_ran_ahead_are_used() -> None:
    machine = Machine(schedules.read("R4/2030-03-17T17:46:00Z/PT1M", now=START_S))
    begin = machine.job.schedule.due  # type: ignore[union-attr]
    assert begin is not None
    machine.shows(begin + 1.0)
    machine.shows(begin + 600.0)
    machine.shows(begin + 60.0)
    assert machine.job.schedule is not None
    assert (machine.job.schedule.due, machine.job.schedule.remaining) == (begin + 120.0, 2)
