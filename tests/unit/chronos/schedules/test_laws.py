"""What holds of repeating intervals over decades, whatever they are; and what asking costs."""

import gc
import time
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.chronos.schedules import Repeating, Schedule, read
from tests.unit.chronos.schedules.reckoning import at

ZONES = [
    "",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Pacific/Apia",
    "UTC",
    "-03:30",
]
YEAR = 365.2425 * 86400
NOW = at("2030-01-02T00:00:30Z")

starts = st.datetimes(datetime(1971, 1, 1), datetime(2060, 12, 31)).map(
    lambda wall: wall.replace(microsecond=0)
)
periods = st.one_of(
    st.sampled_from(["P1D", "P1W", "P1M", "P3M", "P1Y", "PT1H", "PT24H", "P1DT6H", "P1M1D", "P13M"]),
    st.builds(
        "P{}Y{}M{}W{}DT{}H{}M{}S".format,
        st.integers(0, 2),
        st.integers(0, 15),
        st.integers(0, 3),
        st.integers(0, 40),
        st.integers(0, 30),
        st.integers(0, 90),
        st.integers(1, 90),
    ),
)


@st.composite
def intervals(draw: st.DrawFn, count: str = "") -> Repeating:
    """Any of them, in one of these zones."""
    text = f"R{count}/{draw(starts).isoformat()}/{draw(periods)}"
    found = read(text, draw(st.sampled_from(ZONES)), now=0.0)
    assert isinstance(found, Repeating)
    return found


@given(intervals(), st.floats(0, 40 * YEAR))
def test_the_next_due_is_the_first_one_later_than_asked(schedule: Repeating, wait: float) -> None:
    start = schedule.due
    assert start is not None
    after = start + wait
    found = schedule.next_due(after)
    assert found is not None
    assert found > after
    # Walking there from well before finds the same one, and nothing between.
    near: Schedule = schedule.advanced(max(start, after - 3 * schedule.period.length / 1000))
    if near.due is not None and near.due <= after:
        between = near.due_until(after)
        assert between == sorted(set(between))
        assert near.next_due(between[-1]) == found


@given(intervals(), st.lists(st.floats(0, 10 * YEAR), min_size=1, max_size=4))
def test_it_does_not_matter_in_how_many_steps_time_went_by(schedule: Repeating, waits: list[float]) -> None:
    start = schedule.due
    assert start is not None
    moments = sorted(start + wait for wait in waits)
    stepwise = schedule
    for moment in moments:
        due = stepwise.due
        assert due is not None
        stepwise = stepwise.advanced(moment) if due <= moment else stepwise
    assert stepwise.due == schedule.next_due(moments[-1])


@given(intervals(count="9"), st.floats(0, 10 * YEAR))
def test_a_launch_costs_one_repetition_and_one_given_up_one_each(schedule: Repeating, wait: float) -> None:
    start = schedule.due
    assert start is not None
    assert schedule.advanced(start + wait).remaining == 8
    missed = len(schedule.due_until(start + wait))
    left = schedule.skipped(start + wait).remaining
    assert left is not None
    # Where a zone left out a whole day, two of its occurrences are one moment.
    assert 9 - missed - left in ((0, 1) if schedule.zone == "Pacific/Apia" else (0,))


@given(intervals())
def test_on_the_wall_a_daily_time_stays_but_where_the_clock_leaves_it_out(schedule: Repeating) -> None:
    if schedule.period.milliseconds:
        return
    zone: tzinfo = ZoneInfo(schedule.zone) if "/" in schedule.zone else UTC
    if schedule.zone == "-03:30":
        return
    due = schedule.due
    for _ in range(60):
        assert due is not None
        wall = datetime.fromtimestamp(due, zone)
        wanted = wall.replace(hour=schedule.start.hour, minute=schedule.start.minute, fold=0)
        if wall != wanted:  # the wall never shows what is wanted
            assert wanted.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wanted.replace(tzinfo=None)
        due = schedule.next_due(due)


@given(starts, st.integers(1, 30), st.sampled_from(ZONES))
def test_elapsed_time_does_not_look_at_clocks(start: datetime, hours: int, zone: str) -> None:
    schedule = read(f"R/{start.isoformat()}/PT{hours}H", zone, now=0.0)
    first = schedule.due
    assert first is not None
    later = schedule.next_due(first + 20 * YEAR)
    assert later is not None
    assert (later - first) % (hours * 3600) == 0


@given(starts, st.integers(1, 60))
def test_months_end_on_their_last_day_at_most(start: datetime, months: int) -> None:
    schedule = read(f"R/{start.isoformat()}Z/P{months}M", now=0.0)
    due = schedule.due
    for step in range(1, 25):
        assert due is not None
        due = schedule.next_due(due)
        assert due is not None
        found = datetime.fromtimestamp(due, UTC)
        assert (found.year * 12 + found.month) - (start.year * 12 + start.month) == step * months
        assert found.day == start.day or (found + timedelta(days=1)).day == 1
        assert found.time() == start.time()


@pytest.mark.parametrize("whole", ["advanced", "next_due"])
def test_the_next_of_fifty_thousand_is_known_soon(whole: str) -> None:
    kinds = [
        ("R/2014-01-01T00:00:00Z/PT10M", ""),
        ("R/2014-01-31T02:30:00/P1M", "Europe/Paris"),
        ("R9/2029-01-01T09:00:00/P1D", "America/New_York"),
        ("R/2014-01-01T00:00:00+02:00/P1DT6H", ""),
        ("*/5 * * * *", "Europe/Paris"),
    ]
    schedules = [read(*kinds[number % len(kinds)], now=NOW - number) for number in range(50_000)]
    gc.collect()
    began = time.process_time()
    for schedule in schedules:
        getattr(schedule, whole)(NOW)
    # 0.6 s on a quiet machine. The rest is for a busy one: what went step by step would take minutes.
    assert time.process_time() - began < 3
