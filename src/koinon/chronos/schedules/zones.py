"""Time zones by name, and the clocks on their walls.

Wall clock times are datetimes without a zone. Where a wall shows a time twice, the first is meant; a time that it
leaves out is taken as if it had not been set forward yet: 02:30 becomes 03:30. (So Chronos does, by Joda-Time.)
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from koinon.chronos.schedules.wrong import Wrong

#: What Chronos takes these for. Note BST, IST, and those that have daylight saving time though their name has none.
OLD_NAMES = {
    "ACT": "Australia/Darwin",
    "AET": "Australia/Sydney",
    "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo",
    "AST": "America/Anchorage",
    "BET": "America/Sao_Paulo",
    "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare",
    "CNT": "America/St_Johns",
    "CST": "America/Chicago",
    "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa",
    "ECT": "CET",
    "EST": "America/New_York",
    "HST": "Pacific/Honolulu",
    "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MET": "CET",
    "MIT": "Pacific/Apia",
    "MST": "America/Denver",
    "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland",
    "PLT": "Asia/Karachi",
    "PNT": "America/Phoenix",
    "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles",
    "SST": "Pacific/Guadalcanal",
    "VST": "Asia/Ho_Chi_Minh",
}

_OFFSET = re.compile(r"(?:GMT|UTC)?([+-])([0-9]{1,2})(?::?([0-5][0-9]))?")
_NAME = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def check_zone(name: str) -> None:
    """Raises Wrong unless `name` is a time zone; none at all is right, too."""
    if name:
        find(name)


@lru_cache(maxsize=4096)
def find(name: str) -> tzinfo:
    """The zone of a name in the tz database, of an old one of three letters, or of an offset. Raises Wrong."""
    if name in ("UTC", "GMT", "Z"):
        return UTC
    if offset := _OFFSET.fullmatch(name):
        return _fixed(name, *offset.groups())
    # The names that are files of another kind are told by their first letter: `posixrules`, `right/…`, `zone.tab`.
    if _NAME.fullmatch(name) and name != "Factory":
        try:
            return ZoneInfo(OLD_NAMES.get(name, name))
        except (LookupError, ValueError, OSError):
            pass  # OSError: a directory such as `Europe`
    raise Wrong(f'The time zone "{name}" is not known: give a name such as Europe/Paris, or UTC')


def _fixed(name: str, sign: str, hours: str, minutes: str | None) -> tzinfo:
    size = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if size > timedelta(hours=18):
        raise Wrong(f'The time zone "{name}" is further from UTC than any')
    return timezone(-size if sign == "-" else size)


def instant(wall: datetime, zone: tzinfo) -> int:
    """When the wall shows that: milliseconds since the epoch; the second time if `wall.fold` is set."""
    return (wall.replace(tzinfo=zone) - _EPOCH) // _MILLISECOND


def wall_at(moment: int, zone: tzinfo) -> datetime:
    """What the wall shows at a moment, its fold set when it shows that for the second time."""
    return (_EPOCH + timedelta(milliseconds=moment)).astimezone(zone).replace(tzinfo=None)


def iso(moment: int, zone: tzinfo) -> str:
    """`2030-01-03T00:00:00.000+01:00`, or with a `Z`."""
    there = (_EPOCH + timedelta(milliseconds=moment)).astimezone(zone)
    return there.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def transition(before: int, after: int, zone: tzinfo) -> int:
    """The first moment with the offset of `after`, when the clock was set once between the two."""
    new = _offset(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == new:
            after = middle
        else:
            before = middle
    return after


def _offset(moment: int, zone: tzinfo) -> timedelta | None:
    return (_EPOCH + timedelta(milliseconds=moment)).astimezone(zone).utcoffset()


def whole(seconds: float) -> int:
    """The last millisecond that is not after `seconds`."""
    found = round(seconds * 1000)
    return found - 1 if found / 1000 > seconds else found
