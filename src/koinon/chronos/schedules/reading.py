"""Reading schedules: `R[n]/[start]/period`, or a cron expression."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TypeAlias

from koinon.chronos.schedules import cron, zones
from koinon.chronos.schedules.cron import Cron
from koinon.chronos.schedules.repeating import LATEST, Period, Repeating
from koinon.chronos.schedules.wrong import Wrong

Schedule: TypeAlias = Repeating | Cron

_INTERVAL = re.compile(r"R([0-9]{0,18})/(.*)/(P.*)")
_START = re.compile(
    r"[0-9]{4}(-[0-9]{2}-[0-9]{2}|[0-9]{4})"
    r"(T[0-9]{2}(:?[0-9]{2}(:?[0-9]{2}([.,][0-9]+)?)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
# Nine digits: enough for anything, and few enough to count with.
_PERIOD = re.compile(
    r"P(?:([0-9]{1,9})Y)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})W)?(?:([0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})(?:[.,]([0-9]{1,9}))?S)?)?"
)
#: The first start that is taken, a second after the epoch: earlier ones are more likely mistakes.
EARLIEST = 1000


def read(text: str, zone: str = "", *, now: float) -> Schedule:
    """The schedule that `text` is, by the walls of `zone` if that is given; one without a start starts `now`.

    Raises Wrong.
    """
    if text.startswith("@") or (len(text.split()) > 1 and not text.startswith("R")):
        return read_cron(text, zone, now=now)
    interval = _INTERVAL.fullmatch(text)
    if interval is None:
        raise _wrong(text, 'it has to be like "R5/2030-01-01T00:00:00Z/P1D": repetitions, start, period')
    times, begin, every = interval.groups()
    period = _period(every)
    if period is None:
        raise _wrong(text, f'"{every}" is no ISO 8601 duration')
    remaining = int(times) if times else None
    if period.length == 0 and remaining not in (0, 1):
        raise _wrong(text, "with a period of zero it can only run once, as R1")
    start, clock = _start(text, begin, zone, now)
    return Repeating(text, start, period, zone=zone, clock=clock, remaining=remaining)


def read_cron(text: str, zone: str = "", *, now: float) -> Cron:
    """The schedule of a cron expression, of which the first occurrence after `now` is due. Raises Wrong."""
    pending = cron.following(text, zone, zones.whole(now))
    if pending is None:
        raise Wrong(f'The cron expression "{text}" is for a day that never comes')
    return Cron(text, pending, zone=zone)


def read_period(text: str) -> Period:
    """An ISO 8601 duration. Raises Wrong."""
    found = _period(text)
    if found is None:
        raise Wrong(f'"{text}" is no ISO 8601 duration')
    return found


def resumed(posted: Schedule, stored: Schedule) -> Schedule:
    """What becomes of a job's schedule when its definition is posted again.

    Who sends back what was shown means no change: where the stored schedule came from is not lost then, which its
    text does not tell (the 31st, for one that is at the 28th).
    """
    unchanged = posted.zone == stored.zone and posted.text == stored.shown
    return stored if unchanged else posted


def _start(text: str, begin: str, zone: str, now: float) -> tuple[datetime, str]:
    """What the wall shows at the start, and whose wall."""
    if begin == "":
        clock = zone or "UTC"
        wall = zones.wall_at(zones.whole(now), zones.find(clock))
    else:
        read = _date(text, begin)
        # The zone wins over an offset: the fields are what its walls show.
        clock = zone or _offset(read)
        wall = read.replace(tzinfo=None, microsecond=read.microsecond // 1000 * 1000)
    moment = zones.instant(wall, zones.find(clock))
    if moment < EARLIEST:
        raise _wrong(text, "it starts before 1970-01-01T00:00:01Z")
    if moment > LATEST:
        raise _wrong(text, "it starts after the end of the calendar")
    return wall, clock


def _date(text: str, begin: str) -> datetime:
    try:
        if _START.fullmatch(begin):
            return datetime.fromisoformat(begin)
    except ValueError:
        pass
    raise _wrong(text, f'"{begin}" is no ISO 8601 date and time')


def _offset(read: datetime) -> str:
    offset = read.strftime("%z")
    return "UTC" if read.tzinfo in (None, UTC) else f"{offset[:3]}:{offset[3:5]}"


def _period(text: str) -> Period | None:
    found = _PERIOD.fullmatch(text)
    if found is None:
        return None
    fraction = (found[8] or "").ljust(3, "0")[:3]
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:7])
    return Period(
        months=12 * years + months,
        days=7 * weeks + days,
        milliseconds=((hours * 60 + minutes) * 60 + seconds) * 1000 + int(fraction),
    )


def _wrong(text: str, why: str) -> Wrong:
    return Wrong(f'The schedule "{text}" cannot be read: {why}')
