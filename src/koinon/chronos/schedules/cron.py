"""Cron expressions: five fields, in which minute, hour, day, month and day of the week have to agree.

As in Debian's cron: a job with a `*` in its minute or hour goes by every minute that the wall shows, also by those it
shows twice. All others are meant to run once a day or so. Those run once when their time comes twice, and right after
the clock has been set forward past their time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache

from cronsim import CronSim, CronSimError
from msgspec import Struct
from msgspec.structs import replace

from koinon.chronos.schedules import zones
from koinon.chronos.schedules.wrong import Wrong

#: A day that does not come for so long never comes.
_YEARS = 50
NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class Cron(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="cron"):
    """A cron expression, and which of its occurrences is due."""

    text: str  #: as posted
    pending: int | None  #: milliseconds since the epoch; None: there is none any more
    zone: str = ""  #: as posted; UTC if empty

    @property
    def is_cron(self) -> bool:
        """It is."""
        return True

    @property
    def remaining(self) -> int | None:
        """How many occurrences there are still: None = without end."""
        return 0 if self.pending is None else None

    @property
    def due(self) -> float | None:
        """The first occurrence that has not been dealt with; None when there is none any more."""
        return None if self.pending is None else self.pending / 1000

    @property
    def shown(self) -> str:
        """The expression."""
        return self.text

    def next_due(self, after: float) -> float | None:
        """The first occurrence that has not been dealt with and is later than `after`."""
        return self.skipped(after).due

    def due_until(self, now: float, limit: int = 1000) -> list[float]:
        """The occurrences not dealt with up to `now`, the oldest first, at most `limit`."""
        found: list[float] = []
        due = self.due
        while len(found) < limit and due is not None and due <= now:
            found.append(due)
            due = self.next_due(due)
        return found

    def advanced(self, launch: float) -> Cron:
        """After what is due has been launched, which makes up for all that came due until then."""
        return self if self.due is None else self.skipped(max(self.due, launch))

    def skipped(self, until: float) -> Cron:
        """With what is due up to `until` given up."""
        if self.due is None or self.due > until:
            return self
        return replace(self, pending=following(self.text, self.zone, zones.whole(until)))

    def placed(self, after: float) -> Cron:
        """At its first occurrence later than `after`, whether that has been dealt with or not."""
        return replace(self, pending=following(self.text, self.zone, zones.whole(after)))


def following(text: str, zone: str, after: int) -> int | None:
    """The first occurrence later than `after`; None if there is none in 50 years. Raises Wrong."""
    times, place = _parsed(text), zones.find(zone or "UTC")
    wall = zones.wall_at(after, place)
    found = _first(times, wall, place, after)
    if times.day_by_day:
        return found
    # While the wall shows an hour for the first time, what it shows again comes before what it has not shown yet.
    again = zones.instant(wall.replace(fold=1), place)
    if again <= after:
        return found
    back = zones.transition(after, again, place)
    if found is not None and found < back:
        return found
    return _first(times, zones.wall_at(back, place) - timedelta(seconds=1), place, back - 1)


class _Times:
    """What an expression says about wall clocks."""

    def __init__(self, fields: str) -> None:
        """Raises CronSimError."""
        self._read = read = CronSim(fields, datetime(2000, 1, 1))
        self._hours, self._minutes = sorted(read.hours), sorted(read.minutes)
        minute, hour = fields.split()[:2]
        #: Whether it is about times of the day rather than about minutes.
        self.day_by_day = not minute.startswith("*") and not hour.startswith("*")

    def after(self, wall: datetime) -> Iterator[datetime]:
        """All of them later than `wall`, in the next 50 years. Raises OverflowError at the end of the calendar."""
        day, first = wall.date(), (wall.hour, wall.minute + 1)
        while day.year <= wall.year + _YEARS:
            if day.month not in self._read.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            else:
                if self._read.match_day(day):
                    yield from self._of_day(day, first)
                day += timedelta(days=1)
            first = (0, 0)

    def _of_day(self, day: date, first: tuple[int, int]) -> Iterator[datetime]:
        for hour in self._hours:
            for minute in self._minutes if hour >= first[0] else ():
                if (hour, minute) >= first:
                    yield datetime(day.year, day.month, day.day, hour, minute)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> _Times:
    fields = NAMED.get(text.strip().lower(), text)
    if len(fields.split()) != 5:
        raise Wrong(
            f'The cron expression "{text}" cannot be read: it needs five fields, minute hour day month weekday'
        )
    try:
        return _Times(fields)
    except (CronSimError, ValueError) as error:
        raise Wrong(f'The cron expression "{text}" cannot be read: {str(error).lower()}') from None


def _first(times: _Times, wall: datetime, zone: tzinfo, after: int) -> int | None:
    """The first moment later than `after` at which the wall shows one of the times later than `wall`."""
    try:
        for shown in times.after(wall):
            for moment in _moments(shown, zone, times.day_by_day):
                if moment > after:
                    return moment
    except OverflowError:
        pass  # the calendar ends in 9999
    return None


def _moments(wall: datetime, zone: tzinfo, day_by_day: bool) -> list[int]:
    """When the wall shows that, in order."""
    first = zones.instant(wall, zone)
    second = zones.instant(wall.replace(fold=1), zone)
    if first == second:
        return [first]
    if first < second:  # twice
        return [first] if day_by_day else [first, second]
    # Never. Read by the clock of before it is too late by what the clock was set, by that of after too early.
    return [zones.transition(second, first, zone)] if day_by_day else []
