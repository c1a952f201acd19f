"""Repeating intervals: so many times, from a start on, each a period after the one before.

The n-th occurrence is counted from the *first*, not from the one before it. So what starts on January 31 comes each
month on its last day, and what is at 02:30 is so again after the day on which the clock leaves that out.

Periods have two parts. Months and days move on the calendar of a zone, at the same time on the wall; hours, minutes and
seconds are elapsed time. `P1D` is at the same time every day, `PT24H` every 24 hours.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from koinon.chronos.schedules import zones

_DAY = 86_400_000
#: In milliseconds, over the 400 years after which the calendar repeats.
_MONTH = 146_097 * _DAY // 4_800
#: Nothing is due later: shown in any zone it still is in the year 9999.
LATEST = zones.instant(datetime(9999, 12, 30), UTC)


class Period(Struct, frozen=True, gc=False, omit_defaults=True):
    """What lies between two occurrences."""

    months: int = 0
    days: int = 0
    milliseconds: int = 0

    @property
    def length(self) -> int:
        """Milliseconds, on average."""
        return self.months * _MONTH + self.days * _DAY + self.milliseconds


class Repeating(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="repeating"):
    """A repeating interval, and how far it has come."""

    text: str  #: as posted
    start: datetime  #: what the wall showed at the first occurrence
    period: Period
    zone: str = ""  #: as posted
    clock: str = "UTC"  #: whose wall that is: a zone, or an offset
    step: int = 0  #: which occurrence is due next; the first is 0
    remaining: int | None = None  #: how many there are still; None = without end

    @property
    def is_cron(self) -> bool:
        """It is not."""
        return False

    @property
    def due(self) -> float | None:
        """The first occurrence that has not been dealt with; None when there is none any more."""
        return None if self.remaining == 0 else _seconds(self._at(self.step))

    @property
    def shown(self) -> str:
        """The interval that is left, as Chronos shows schedules: its start is what is due next."""
        count = "" if self.remaining is None else self.remaining
        moment = self._at(self.step)
        start = zones.iso(LATEST if moment is None else moment, zones.find(self.clock))
        return f"R{count}/{start}/{self.text.rpartition('/')[2]}"

    def next_due(self, after: float) -> float | None:
        """The first occurrence that has not been dealt with and is later than `after`."""
        due = self.due
        if due is None or due > after:
            return due
        if self.remaining == 1:
            return None
        return _seconds(self._at(self._step_after(zones.whole(after))))

    def due_until(self, now: float, limit: int = 1000) -> list[float]:
        """The occurrences not dealt with up to `now`, the oldest first, at most `limit`."""
        found: list[float] = []
        left = limit if self.remaining is None else min(limit, self.remaining)
        due = self.due
        while len(found) < left and due is not None and due <= now:
            found.append(due)
            due = self.next_due(due)
        return found

    def advanced(self, launch: float) -> Repeating:
        """After what is due has been launched: all that came due until then has been made up for by this one run.

        Only one repetition is used, however many were missed.
        """
        due = self.due
        if due is None:
            return self
        return self._moved(self._step_after(zones.whole(max(due, launch))), used=1)

    def skipped(self, until: float) -> Repeating:
        """With what is due up to `until` given up; each costs a repetition."""
        due = self.due
        if due is None or due > until:
            return self
        step = self._step_after(zones.whole(until))
        return self._moved(step, used=max(step - self.step, 1))

    def placed(self, after: float) -> Repeating:
        """At its first occurrence later than `after`, whether that has been dealt with or not."""
        step = replace(self, step=0)._step_after(zones.whole(after))
        return self if self._at(step) is None else replace(self, step=step)

    def _moved(self, step: int, used: int) -> Repeating:
        remaining = None if self.remaining is None else max(self.remaining - used, 0)
        if self._at(step) is None:  # the calendar ends here
            return replace(self, remaining=0)
        return replace(self, step=step, remaining=remaining)

    def _step_after(self, moment: int) -> int:
        """The first step from the present one on that is later than `moment`."""
        length = self.period.length
        if length == 0:
            return self.step
        # Months and days differ from the average by little, so the guess is at most a few steps wrong.
        guess = (moment - zones.instant(self.start, zones.find(self.clock))) // length + 1
        step = max(guess, self.step)
        while step > self.step and _is_later(self._at(step - 1), moment):
            step -= 1
        while not _is_later(self._at(step), moment):
            step += 1
        return step

    def _at(self, step: int) -> int | None:
        """When the occurrence is; None beyond the end of the calendar."""
        period, zone = self.period, zones.find(self.clock)
        wall: datetime | None = self.start
        if step and (period.months or period.days):
            wall = _moved_on(self.start, period.months * step, period.days * step)
        if wall is None:
            return None
        moment = zones.instant(wall, zone) + period.milliseconds * step
        return moment if moment <= LATEST else None


def _moved_on(wall: datetime, months: int, days: int) -> datetime | None:
    """Months first, to the last day of a month that is too short; then days."""
    if months:
        years, month = divmod(wall.month - 1 + months, 12)
        if wall.year + years > 9999:
            return None
        year, month = wall.year + years, month + 1
        # Only these days are not in every month.
        day = wall.day if wall.day <= 28 else min(wall.day, monthrange(year, month)[1])
        wall = wall.replace(year=year, month=month, day=day)
    try:
        return wall + timedelta(days=days)
    except OverflowError:
        return None


def _is_later(one: int | None, moment: int) -> bool:
    return one is None or one > moment


def _seconds(moment: int | None) -> float | None:
    return None if moment is None else moment / 1000
