"""Cron expressions: what they mean, by clocks that are set, and against a look at every minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from koinon.chronos.schedules import Wrong, read, read_cron, resumed
from tests.unit.chronos.schedules.reckoning import at, dues, shown

NOW = at("2030-01-02T00:00:30Z")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/20 * * * *", ["2030-01-02T00:20Z", "2030-01-02T00:40Z", "2030-01-02T01:00Z"]),
        ("5,10-12 3 * * *", ["2030-01-02T03:05Z", "2030-01-02T03:10Z", "2030-01-02T03:11Z"]),
        ("0 9 * * MON-FRI", ["2030-01-02T09:00Z", "2030-01-03T09:00Z", "2030-01-04T09:00Z", "2030-01-07T09:00Z"]),
        ("0 9 * * 7", ["2030-01-06T09:00Z", "2030-01-13T09:00Z"]),
        ("0 0 13 * FRI", ["2030-01-04T00:00Z", "2030-01-11T00:00Z", "2030-01-13T00:00Z"]),  # either
        ("0 0 L * *", ["2030-01-31T00:00Z", "2030-02-28T00:00Z", "2030-03-31T00:00Z"]),
        ("0 0 LW * *", ["2030-01-31T00:00Z", "2030-02-28T00:00Z", "2030-03-29T00:00Z"]),
        ("0 0 * * 5L", ["2030-01-25T00:00Z", "2030-02-22T00:00Z"]),
        ("0 9-17/4 * * *", ["2030-01-02T09:00Z", "2030-01-02T13:00Z", "2030-01-02T17:00Z"]),
        ("0 0 */2 * MON", ["2030-01-07T00:00Z", "2030-01-21T00:00Z"]),  # both
        ("0 0 29 2 *", ["2032-02-29T00:00Z", "2036-02-29T00:00Z"]),
        ("0 0 31 * *", ["2030-01-31T00:00Z", "2030-03-31T00:00Z", "2030-05-31T00:00Z"]),
        ("0 12 * * MON#1", ["2030-01-07T12:00Z", "2030-02-04T12:00Z"]),
        ("@hourly", ["2030-01-02T01:00Z", "2030-01-02T02:00Z"]),
        ("@daily", ["2030-01-03T00:00Z", "2030-01-04T00:00Z"]),
        ("@Midnight", ["2030-01-03T00:00Z"]),
        ("@weekly", ["2030-01-06T00:00Z"]),
        ("@monthly", ["2030-02-01T00:00Z"]),
        ("@yearly", ["2031-01-01T00:00Z"]),
        ("@annually", ["2031-01-01T00:00Z"]),
        (" 0  0 1 1 * ", ["2031-01-01T00:00Z"]),
    ],
)  # fmt: skip
def test_expressions(text: str, expected: list[str]) -> None:
    assert dues(read_cron(text, now=NOW), len(expected)) == expected


@pytest.mark.parametrize(
    ("zone", "text", "since", "expected"),
    [
        # 02:00 to 03:00 is left out on 2030-03-31. Times of the day in it are made up for at once, and once.
        ("Europe/Paris", "30 2 * * *", "2030-03-30T00:00Z",
         ["2030-03-30T01:30Z", "2030-03-31T01:00Z", "2030-04-01T00:30Z"]),
        ("Europe/Paris", "0,30 2 * * *", "2030-03-30T12:00Z",
         ["2030-03-31T01:00Z", "2030-04-01T00:00Z", "2030-04-01T00:30Z"]),
        ("Europe/Paris", "30 2,3 * * *", "2030-03-30T12:00Z", ["2030-03-31T01:00Z", "2030-03-31T01:30Z"]),
        ("Europe/Paris", "*/30 2 * * *", "2030-03-30T12:00Z", ["2030-04-01T00:00Z", "2030-04-01T00:30Z"]),
        ("Europe/Paris", "*/30 * * * *", "2030-03-31T00:15Z",
         ["2030-03-31T00:30Z", "2030-03-31T01:00Z", "2030-03-31T01:30Z"]),
        # 02:00 to 03:00 comes twice on 2030-10-27. Times of the day in it are meant once.
        ("Europe/Paris", "30 2 * * *", "2030-10-26T12:00Z", ["2030-10-27T00:30Z", "2030-10-28T01:30Z"]),
        ("Europe/Paris", "30 2 * * *", "2030-10-27T00:45Z", ["2030-10-28T01:30Z"]),
        ("Europe/Paris", "30 2 * * *", "2030-10-27T01:15Z", ["2030-10-28T01:30Z"]),
        ("Europe/Paris", "*/30 2 * * *", "2030-10-26T12:00Z",
         ["2030-10-27T00:00Z", "2030-10-27T00:30Z", "2030-10-27T01:00Z", "2030-10-27T01:30Z", "2030-10-28T01:00Z"]),
        ("Europe/Paris", "15 * * * *", "2030-10-26T23:30Z",
         ["2030-10-27T00:15Z", "2030-10-27T01:15Z", "2030-10-27T02:15Z"]),
        ("America/New_York", "30 2 * * *", "2030-03-10T00:00Z", ["2030-03-10T07:00Z", "2030-03-11T06:30Z"]),
        ("America/New_York", "30 1 * * *", "2030-11-03T00:00Z", ["2030-11-03T05:30Z", "2030-11-04T06:30Z"]),
        ("America/New_York", "30 * * * *", "2030-11-03T05:00Z",
         ["2030-11-03T05:30Z", "2030-11-03T06:30Z", "2030-11-03T07:30Z"]),
        ("PST", "0 9 * * *", "2030-03-09T12:00Z", ["2030-03-09T17:00Z", "2030-03-10T16:00Z"]),
        # By half an hour: 01:30 to 02:00 twice on 2030-04-07, 02:00 to 02:30 never on 2030-10-06.
        ("Australia/Lord_Howe", "*/15 1 * * *", "2030-04-06T13:59Z",
         ["2030-04-06T14:00Z", "2030-04-06T14:15Z", "2030-04-06T14:30Z", "2030-04-06T14:45Z",
          "2030-04-06T15:00Z", "2030-04-06T15:15Z", "2030-04-07T14:30Z"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2030-10-05T00:00Z", ["2030-10-05T15:30Z", "2030-10-06T15:15Z"]),
        ("Australia/Lord_Howe", "* 4 * * *", "2030-10-05T15:00Z", ["2030-10-05T17:00Z", "2030-10-05T17:01Z"]),
        ("Asia/Beirut", "0 0 * * *", "2025-03-29T12:00Z", ["2025-03-29T22:00Z", "2025-03-30T21:00Z"]),
        ("Pacific/Apia", "0 10 30 12 *", "2011-12-01T00:00Z", ["2011-12-30T10:00Z", "2012-12-29T20:00Z"]),
    ],
)  # fmt: skip
def test_clocks_that_are_set(zone: str, text: str, since: str, expected: list[str]) -> None:
    assert dues(read_cron(text, zone, now=at(since)), len(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
     "*/0 * * * *", "5-1 * * * *", "a * * * *", "1,,2 * * * *", "-1 * * * *", "@reboot", "@", "0 0 30 2 *", "0 0 31 4 *",
     "0 0 * * MON#6", "0 0 29 2 MON#5/2", "9" * 5000 + " * * * *", "* * * * FRIDAY", "٣ * * * *", "R5 / PT1M P1D x"],
)  # fmt: skip
def test_what_means_nothing_is_refused_in_a_sentence_that_holds_it(text: str) -> None:
    with pytest.raises(Wrong) as refused:
        read_cron(text, now=NOW)
    assert f'"{text}"' in str(refused.value)


@given(st.text(alphabet="0123456789*/,-#LW @MONJA", max_size=24))
@example("0 0 LW/2 * 1L")
@example("L/2 L L/L * *")
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        schedule = read_cron(text, now=NOW)
    except Wrong:
        return
    assert schedule.due is not None
    assert schedule.due > NOW


def test_a_schedule_of_five_words_is_a_cron_expression() -> None:
    assert read("*/20 * * * *", "PST", now=NOW) == read_cron("*/20 * * * *", "PST", now=NOW)
    assert read("@daily", now=NOW).is_cron
    assert not read("R//P1D", now=NOW).is_cron


def test_missed_ones_are_made_up_for_once_or_each_or_not_at_all() -> None:
    schedule = read_cron("*/20 * * * *", now=NOW)
    later = at("2030-01-02T01:00:00Z")
    assert [shown(due) for due in schedule.due_until(later)] == dues(schedule, 3)
    assert len(schedule.due_until(later, limit=2)) == 2
    assert shown(schedule.advanced(later).due) == "2030-01-02T01:20Z"
    assert schedule.skipped(later) == schedule.advanced(later)
    assert schedule.skipped(NOW) == schedule
    assert shown(schedule.next_due(NOW)) == "2030-01-02T00:20Z"
    assert shown(schedule.next_due(later)) == "2030-01-02T01:20Z"
    assert (schedule.remaining, schedule.shown) == (None, "*/20 * * * *")


def test_the_end_of_the_calendar_is_the_end() -> None:
    schedule = read_cron("0 0 1 1 *", now=at("9998-06-01T00:00:00Z"))
    last = schedule.advanced(at("9999-06-01T00:00:00Z"))
    assert (last.due, last.remaining, last.next_due(0), last.due_until(1e12)) == (None, 0, None, [])
    assert last.advanced(0) == last


def test_an_expression_posted_again_keeps_what_is_due() -> None:
    stored = read_cron("*/20 * * * *", now=NOW)
    posted = read_cron("*/20 * * * *", now=NOW + 7200)
    assert resumed(posted, stored) == stored
    other = read_cron("*/20 * * * *", "PST", now=NOW + 7200)
    assert resumed(other, stored) == other


# ── against a look at every minute ────────────────────────────────────────────────────────────────
MINUTE = timedelta(minutes=1)
#: Within a day of when clocks are set, all kinds of it.
SET = [
    ("Europe/Paris", datetime(2030, 3, 31, 1, tzinfo=UTC)),
    ("Europe/Paris", datetime(2030, 10, 27, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2030, 3, 10, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2030, 11, 3, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2030, 4, 6, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2030, 10, 5, 15, 30, tzinfo=UTC)),
    ("Asia/Beirut", datetime(2025, 3, 29, 22, tzinfo=UTC)),
    ("Asia/Beirut", datetime(2025, 10, 25, 21, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2030, 1, 1, 1, tzinfo=UTC)),
]


def numbers(high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A list as the text of a field, and what it means."""
    values = st.frozensets(st.integers(0, high), min_size=1, max_size=4)
    return values.map(lambda some: (",".join(map(str, sorted(some))), some))


def steps(high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """Every so many, and what that means."""
    sizes = st.sampled_from([1, 5, 15, 20])
    return sizes.map(lambda size: (f"*/{size}" if size > 1 else "*", frozenset(range(0, high + 1, size))))


@given(
    st.sampled_from(SET),
    st.integers(-36 * 60, 12 * 60),
    steps(59) | numbers(59),
    numbers(4) | numbers(23) | steps(23),  # clocks are set in the first hours of days
    st.sampled_from([("*", frozenset(range(7))), ("6", frozenset({6})), ("0,1", frozenset({0, 1}))]),
)
def test_the_next_is_the_first_minute_that_fits(
    place: tuple[str, datetime],
    minutes: int,
    minute: tuple[str, frozenset[int]],
    hour: tuple[str, frozenset[int]],
    weekday: tuple[str, frozenset[int]],
) -> None:
    zone, moment = ZoneInfo(place[0]), place[1]
    text = f"{minute[0]} {hour[0]} * * {weekday[0]}"

    def fits(wall: datetime) -> bool:
        return wall.minute in minute[1] and wall.hour in hour[1] and wall.isoweekday() % 7 in weekday[1]

    since = moment + minutes * MINUTE
    found = read_cron(text, place[0], now=since.timestamp()).due
    by_minute = minute[0].startswith("*") or hour[0].startswith("*")
    last = since.astimezone(zone)
    for count in range(1, 60 * 60):
        now = (since + count * MINUTE).astimezone(zone)
        walls = [now.replace(tzinfo=None)]
        if not by_minute:
            skipped = int((walls[0] - last.replace(tzinfo=None)) / MINUTE) - 1
            walls = [walls[0] - back * MINUTE for back in range(max(skipped, 0) + 1)] if not now.fold else []
        if any(fits(wall) for wall in walls):
            assert shown(found) == shown(now.timestamp()), text
            return
        last = now
    assert found is not None
    assert found > last.timestamp()
