"""The worked examples of the reference; what happens at 2030-01-02T00:00:30Z, when all is free."""

import msgspec
import pytest

from koinon.chronos.schedules import Schedule, Wrong, read, resumed
from tests.unit.chronos.schedules.reckoning import at, dues, shown

NOW = at("2030-01-02T00:00:30Z")


@pytest.mark.parametrize(
    ("text", "late", "after", "then"),
    [
        # text, due at once?, shown after that, and when it is due then
        ("R/2030-01-01T00:00:00Z/P1D", True, "R/2030-01-03T00:00:00.000Z/P1D", "2030-01-03T00:00Z"),
        ("R/2030-01-01T12:00:00Z/P1D", True, "R/2030-01-02T12:00:00.000Z/P1D", "2030-01-02T12:00Z"),
        ("R3/2029-12-31T00:00:00Z/P1D", True, "R2/2030-01-03T00:00:00.000Z/P1D", "2030-01-03T00:00Z"),
        ("R1/2029-12-01T00:00:00Z/P1M", True, "R0/2030-02-01T00:00:00.000Z/P1M", None),
        ("R1//P", True, "R0/2030-01-02T00:00:30.000Z/P", None),
        ("R//PT10M", True, "R/2030-01-02T00:10:30.000Z/PT10M", "2030-01-02T00:10:30Z"),
        ("R0/2014-01-01T00:00:00Z/PT60M", False, "R0/2014-01-01T00:00:00.000Z/PT60M", None),
        ("R1/2030-01-02T00:00:30Z/PT24H", True, "R0/2030-01-03T00:00:30.000Z/PT24H", None),
    ],
)
def test_a_start_in_the_past_is_due_at_once_and_uses_one_repetition(
    text: str, late: bool, after: str, then: str | None
) -> None:
    schedule = read(text, now=NOW)
    assert (schedule.due is not None and schedule.due <= NOW) is late
    launched = schedule.advanced(NOW)
    assert (launched.shown, shown(launched.due)) == (after, then)


def test_five_times_a_minute_apart() -> None:
    schedule = read("R5/2030-01-02T00:01:00Z/PT1M", now=NOW)
    assert dues(schedule, 9) == [f"2030-01-02T00:0{minute}Z" for minute in range(1, 6)]


def test_after_the_last_repetition_none_is_due_and_the_text_says_so() -> None:
    schedule = read("R2/2030-01-02T00:01:00Z/PT1M", now=NOW)
    for _ in range(5):
        schedule = schedule.advanced(schedule.due or NOW)
    assert (schedule.remaining, schedule.due, schedule.shown) == (0, None, "R0/2030-01-02T00:03:00.000Z/PT1M")
    assert (schedule.next_due(NOW), schedule.due_until(NOW + 1e6)) == (None, [])


def test_down_for_five_minutes_is_made_up_for_by_one_run() -> None:
    schedule = read("R/2030-01-02T00:01:00Z/PT1M", now=NOW).advanced(at("2030-01-02T00:01:00.020Z"))
    assert shown(schedule.due) == "2030-01-02T00:02Z"
    assert shown(schedule.advanced(at("2030-01-02T00:07:00.250Z")).due) == "2030-01-02T00:08Z"


def test_what_was_missed_can_be_listed_and_made_up_for_one_by_one() -> None:
    schedule = read("R4/2030-01-02T00:01:00Z/PT1M", now=NOW)
    later = at("2030-01-02T00:03:10Z")
    assert [shown(due) for due in schedule.due_until(later)] == dues(schedule, 3)
    assert len(schedule.due_until(later, limit=2)) == 2
    assert len(schedule.due_until(at("2031-01-01T00:00:00Z"))) == 4
    first = schedule.due
    assert first is not None
    assert schedule.advanced(first).shown == "R3/2030-01-02T00:02:00.000Z/PT1M"


@pytest.mark.parametrize("text", ["R1/2030-01-01T00:00:00Z/PT1H", "R1//P"])
def test_after_the_last_one_none_is_due_next(text: str) -> None:
    schedule = read(text, now=NOW)
    assert schedule.due is not None
    assert schedule.next_due(schedule.due - 1) == schedule.due
    assert schedule.next_due(schedule.due) is None
    assert schedule.due_until(NOW) == [schedule.due]


def test_what_was_missed_can_be_given_up_each_for_a_repetition() -> None:
    schedule = read("R4/2030-01-02T00:01:00Z/PT1M", now=NOW)
    assert schedule.skipped(NOW) == schedule
    assert schedule.skipped(at("2030-01-02T00:03:10Z")).shown == "R1/2030-01-02T00:04:00.000Z/PT1M"
    assert schedule.skipped(at("2031-01-01T00:00:00Z")).due is None


def test_a_zero_period_given_up_is_over() -> None:
    assert read("R1//P", now=NOW).skipped(NOW + 1).due is None


def test_launched_before_it_is_due_it_moves_on_all_the_same() -> None:
    schedule = read("R/2030-01-02T00:01:00Z/PT1M", now=NOW)
    assert shown(schedule.advanced(NOW).due) == "2030-01-02T00:02Z"


@pytest.mark.parametrize(
    ("text", "zone", "first"),
    [
        ("R/2014-10-10T18:32:00Z/PT60M", "PST", "2014-10-11T01:32Z"),  # Pacific daylight time, on that day
        ("R/2014-10-10T18:32:00+05:00/PT60M", "PST", "2014-10-11T01:32Z"),
        ("R/2030-01-01T00:00:00/P1D", "BST", "2029-12-31T18:00Z"),  # Bangladesh
        ("R/2030-01-01T00:00:00/P1D", "GMT+5", "2029-12-31T19:00Z"),
        ("R/2030-01-01T00:00:00/P1D", "-03:30", "2030-01-01T03:30Z"),
        ("R/2030-01-01T00:00:00+05:30/P1D", "", "2029-12-31T18:30Z"),
        ("R/2030-01-01T00:00:00-01/P1D", "", "2030-01-01T01:00Z"),
        ("R/2030-01-01T00:00:00/P1D", "", "2030-01-01T00:00Z"),
        ("R/2030-01-01/P1D", "", "2030-01-01T00:00Z"),
        ("R/2030-01-01/P1D", "Asia/Tokyo", "2029-12-31T15:00Z"),
        ("R/20140101T00:00:00Z/P1D", "", "2014-01-01T00:00Z"),
        ("R/20140101T0130/P1D", "", "2014-01-01T01:30Z"),
        ("R/2030-01-01T00:00:00.1239Z/P1D", "", "2030-01-01T00:00:00.123Z"),
    ],
)
def test_starts(text: str, zone: str, first: str) -> None:
    assert shown(read(text, zone, now=NOW).due) == first


@pytest.mark.parametrize(
    ("period", "second"),
    [
        ("PT24H", "2030-01-02T00:00Z"),
        ("P1W", "2030-01-08T00:00Z"),
        ("P1Y2M3W4DT5H6M7.089S", "2031-03-26T05:06:07.089Z"),
        ("PT0,5S", "2030-01-01T00:00:00.500Z"),
        ("PT90M", "2030-01-01T01:30Z"),
        ("P0DT1S", "2030-01-01T00:00:01Z"),
    ],
)
def test_periods(period: str, second: str) -> None:
    assert dues(read(f"R/2030-01-01T00:00:00Z/{period}", now=NOW), 2)[1] == second


@pytest.mark.parametrize(
    "text",
    [
        "",
        "R",
        "null",
        "R5/2030-01-02T00:01:00Z",
        "5/2030-01-02T00:01:00Z/PT1M",
        "R/tomorrow/PT1M",
        "R-1/2030-01-02T00:01:00Z/PT1M",
        "R1.5/2030-01-02T00:01:00Z/PT1M",
        "r5/2030-01-02T00:01:00Z/PT1M",
        " R5/2030-01-02T00:01:00Z/PT1M",
        "R5/2030-01-02T00:01:00Z/PT1M\n",
        "R5/2030-01-02T00:01:00Z/2030-01-03T00:00:00Z",
        "R5/2030-02-30T00:00:00Z/PT1M",
        "R5/2030-01-02T25:00:00Z/PT1M",
        "R5/2030-01-02 00:01:00Z/PT1M",
        "R5/2030-W01-2/PT1M",
        "R5/2030-01-02T00:01:00+99:00/PT1M",
        "R5/1969-12-31T00:00:00Z/P1D",
        "R0/1970-01-01T00:00:00Z/P1D",
        "R/9999-12-31T00:00:00Z/P1D",
        "R/2030-01-02T00:01:00Z/P",
        "R/2030-01-02T00:01:00Z/PT0S",
        "R2//P",
        "R//PT",
        "R//P1DT",
        "R//P1H",
        "R//PT1D",
        "R//P-1D",
        "R//P1.5D",
        "R//PT1M/PT1M",
        "R//P1D1M",
        "R//P9999999999D",
        "R٣//P1D",
        "R" + "9" * 5000 + "//P1D",
    ],
)
def test_what_is_none_is_refused_in_a_sentence_that_holds_it(text: str) -> None:
    with pytest.raises(Wrong) as refused:
        read(text, now=NOW)
    assert f'"{text}"' in str(refused.value)


def test_the_end_of_the_calendar_is_the_end() -> None:
    schedule = read("R/9990-01-01T00:00:00Z/P4Y", "Pacific/Kiritimati", now=NOW)
    assert dues(schedule, 9) == ["9989-12-31T10:00Z", "9993-12-31T10:00Z", "9997-12-31T10:00Z"]
    assert read("R//P999999999Y", now=NOW).advanced(NOW).due is None
    assert read("R//PT999999999H", now=NOW).advanced(NOW).due is None


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("R5/2030-01-31T02:30:00.250Z/P1M", "Europe/Paris"),
        ("R//PT10M", ""),
        ("R0/2014-01-01/P", "PST"),
        ("*/5 9-17 * * MON-FRI", "Europe/Paris"),
    ],
)
def test_schedules_are_stored_as_json(text: str, zone: str) -> None:
    schedule = read(text, zone, now=NOW).advanced(NOW)
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule


def test_what_is_shown_means_what_is_left() -> None:
    schedule = read("R5/2030-01-15T09:00:00/P1M", "Europe/Paris", now=NOW)
    while schedule.due is not None:
        again = read(schedule.shown, schedule.zone, now=NOW)
        assert dues(again, 9) == dues(schedule, 9)
        schedule = schedule.advanced(schedule.due)


def test_what_is_shown_when_posted_again_does_not_lose_the_last_day_of_the_month() -> None:
    january = read("R/2030-01-31T00:00:00Z/P1M", now=NOW)
    february = january.advanced(at("2030-01-31T00:00:00Z"))
    assert february.shown == "R/2030-02-28T00:00:00.000Z/P1M"
    assert resumed(read(february.shown, now=NOW), february) == february
    for text, zone in (("R/2030-02-28T00:00:00Z/P2M", ""), (february.shown, "PST"), (january.text, "")):
        posted = read(text, zone, now=NOW)
        assert resumed(posted, february) == posted
