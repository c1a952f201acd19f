"""Moments as tests write them, and runs of schedules as a list of moments."""

from koinon.chronos.schedules import Schedule
from koinon.marathon.model.versions import seconds, stamp


def at(text: str) -> float:
    """`2030-01-02T00:00:30Z`, or without the zone."""
    return seconds(text)


def shown(moment: float | None) -> str | None:
    """As short as `2030-01-02T00:00Z`."""
    return None if moment is None else stamp(moment).replace(":00.000Z", "Z").replace(".000Z", "Z")


def dues(schedule: Schedule, count: int) -> list[str | None]:
    """The next occurrences, each launched when it is due."""
    found = []
    while len(found) < count and schedule.due is not None:
        found.append(shown(schedule.due))
        schedule = schedule.advanced(schedule.due)
    return found
