"""When jobs are due: ISO 8601 repeating intervals, and cron expressions as an extension.

A *schedule* is a value: what was posted, and how far it has come. Its *occurrences* are the moments it names; the
first of them that has not been dealt with is *due*. Nothing here knows what time it is: `now` comes in.

    read ─▶ Schedule ──launched──▶ advanced ─▶ Schedule ──launched──▶ …  until `due` is None

Times are seconds since the epoch, always whole milliseconds.
"""

from koinon.chronos.schedules.cron import Cron
from koinon.chronos.schedules.reading import Schedule, read, read_cron, read_period, resumed
from koinon.chronos.schedules.repeating import Period, Repeating
from koinon.chronos.schedules.wrong import Wrong
from koinon.chronos.schedules.zones import check_zone

__all__ = [
    "Cron",
    "Period",
    "Repeating",
    "Schedule",
    "Wrong",
    "check_zone",
    "read",
    "read_cron",
    "read_period",
    "resumed",
]
