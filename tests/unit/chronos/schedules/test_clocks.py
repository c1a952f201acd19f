"""What becomes of schedules when clocks are set, at the end of months, and on February 29."""

import pytest

from koinon.chronos.schedules import Wrong, check_zone, read
from tests.unit.chronos.schedules.reckoning import at, dues

NOW = at("2029-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("zone", "start", "period", "expected"),
    [
        # Set forward on 2030-03-31 at 02:00, to 03:00; back on 2030-10-27 at 03:00, to 02:00.
        (
            "Europe/Paris",
            "2030-03-30T09:00:00Z",
            "P1D",
            ["2030-03-30T08:00Z", "2030-03-31T07:00Z", "2030-04-01T07:00Z"],
        ),
        (
            "Europe/Paris",
            "2030-03-30T02:30:00",
            "P1D",  # 03:30 on the day that leaves 02:30 out, and 02:30 again on the next
            ["2030-03-30T01:30Z", "2030-03-31T01:30Z", "2030-04-01T00:30Z"],
        ),
        (
            "Europe/Paris",
            "2030-10-26T02:30:00",
            "P1D",  # the first of two
            ["2030-10-26T00:30Z", "2030-10-27T00:30Z", "2030-10-28T01:30Z"],
        ),
        (
            "Europe/Paris",
            "2030-03-30T09:00:00",
            "PT24H",
            ["2030-03-30T08:00Z", "2030-03-31T08:00Z", "2030-04-01T08:00Z"],
        ),
        (
            "Europe/Paris",
            "2030-10-27T00:30:00",
            "PT1H",
            ["2030-10-26T22:30Z", "2030-10-26T23:30Z", "2030-10-27T00:30Z", "2030-10-27T01:30Z"],
        ),
        (
            "Europe/Paris",
            "2030-03-30T20:00:00",
            "P1DT6H",  # the days at the same time on the wall, then six hours more of each
            ["2030-03-30T19:00Z", "2030-04-01T00:00Z", "2030-04-02T06:00Z"],
        ),
        ("", "2030-03-30T09:00:00+01:00", "P1D", ["2030-03-30T08:00Z", "2030-03-31T08:00Z"]),
        # Forward on 2030-03-10 at 02:00, back on 2030-11-03 at 02:00.
        (
            "America/New_York",
            "2030-03-09T02:00:00",
            "P1D",
            ["2030-03-09T07:00Z", "2030-03-10T07:00Z", "2030-03-11T06:00Z"],
        ),
        (
            "America/New_York",
            "2030-11-02T01:59:00",
            "P1D",
            ["2030-11-02T05:59Z", "2030-11-03T05:59Z", "2030-11-04T06:59Z"],
        ),
        (
            "America/New_York",
            "2030-02-10T02:15:00",
            "P4W",
            ["2030-02-10T07:15Z", "2030-03-10T07:15Z", "2030-04-07T06:15Z"],
        ),
        ("EST", "2030-07-01T00:00:00", "P1D", ["2030-07-01T04:00Z"]),
        # By half an hour: back on 2030-04-07 at 02:00, to 01:30; forward on 2030-10-06 at 02:00, to 02:30.
        (
            "Australia/Lord_Howe",
            "2030-04-06T01:45:00",
            "P1D",
            ["2030-04-05T14:45Z", "2030-04-06T14:45Z", "2030-04-07T15:15Z"],
        ),
        (
            "Australia/Lord_Howe",
            "2030-10-05T02:15:00",
            "P1D",
            ["2030-10-04T15:45Z", "2030-10-05T15:45Z", "2030-10-06T15:15Z"],
        ),
        # Sets its clock at midnight.
        (
            "Asia/Beirut",
            "2025-03-29T00:00:00",
            "P1D",
            ["2025-03-28T22:00Z", "2025-03-29T22:00Z", "2025-03-30T21:00Z"],
        ),
        # Had no 2011-12-30: what was due then would be so at the same time as what is due on the 31st, and comes once.
        (
            "Pacific/Apia",
            "2011-12-28T10:00:00",
            "P1D",
            ["2011-12-28T20:00Z", "2011-12-29T20:00Z", "2011-12-30T20:00Z", "2011-12-31T20:00Z"],
        ),
    ],
)
def test_clocks_that_are_set(zone: str, start: str, period: str, expected: list[str]) -> None:
    assert dues(read(f"R/{start}/{period}", zone, now=NOW), len(expected)) == expected


@pytest.mark.parametrize(
    ("start", "period", "expected"),
    [
        (
            "2030-01-31",
            "P1M",
            ["2030-01-31", "2030-02-28", "2030-03-31", "2030-04-30", "2030-05-31", "2030-06-30"],
        ),
        ("2032-01-30", "P1M", ["2032-01-30", "2032-02-29", "2032-03-30"]),
        ("2030-11-30", "P3M", ["2030-11-30", "2031-02-28", "2031-05-30", "2031-08-30"]),
        ("2031-12-31", "P2M", ["2031-12-31", "2032-02-29", "2032-04-30"]),
        (
            "2028-02-29",
            "P1Y",
            ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"],
        ),
        ("2096-02-29", "P4Y", ["2096-02-29", "2100-02-28", "2104-02-29"]),
        ("2032-02-28", "P1D", ["2032-02-28", "2032-02-29", "2032-03-01"]),
        ("2030-01-31", "P1M1D", ["2030-01-31", "2030-03-01", "2030-04-02"]),
        ("2030-12-31", "P1M", ["2030-12-31", "2031-01-31", "2031-02-28"]),
        ("2030-01-15", "P13M", ["2030-01-15", "2031-02-15", "2032-03-15"]),
    ],
)
def test_months_that_are_too_short(start: str, period: str, expected: list[str]) -> None:
    schedule = read(f"R/{start}T00:00:00Z/{period}", now=NOW)
    assert dues(schedule, len(expected)) == [f"{day}T00:00Z" for day in expected]


def test_missed_months_are_made_up_for_at_once_and_the_last_day_stays_the_last() -> None:
    schedule = read("R/2030-01-31T06:00:00Z/P1M", now=NOW).advanced(at("2030-06-12T00:00:00Z"))
    assert schedule.shown == "R/2030-06-30T06:00:00.000Z/P1M"
    assert dues(schedule, 2) == ["2030-06-30T06:00Z", "2030-07-31T06:00Z"]


@pytest.mark.parametrize(
    "name", ["", "UTC", "GMT", "Europe/Paris", "America/Argentina/Buenos_Aires", "PST", "EST5EDT", "Etc/GMT+5",
     "GMT-03:30", "+05:45", "-11", "+0530", "MIT", "ECT"],
)  # fmt: skip
def test_zones_that_are_known(name: str) -> None:
    check_zone(name)


@pytest.mark.parametrize(
    "name", ["null", "Europe", "Europe/", "Europe/Atlantis", "europe/paris", "PDT", "../etc/passwd", "/etc/localtime",
     "localtime", "posixrules", "right/Europe/Paris", "zone.tab", "+25:00", "GMT+", "Europe/Paris\0", " UTC", "Factory",
     "Europe/../UTC", "A" * 5000],
)  # fmt: skip
def test_zones_that_are_not_known_are_refused_by_name(name: str) -> None:
    with pytest.raises(Wrong) as refused:
        check_zone(name)
    assert f'"{name}"' in str(refused.value)
    with pytest.raises(Wrong):
        read("R//PT1M", name, now=NOW)
    with pytest.raises(Wrong):
        read("* * * * *", name, now=NOW)
