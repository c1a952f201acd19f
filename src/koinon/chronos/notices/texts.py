"""What a notice says. The subjects are Chronos's own, which people have filters for."""

from __future__ import annotations

from koinon.chronos.notices.notice import Notice
from koinon.timestamps import stamp

#: Mesos's messages may hold whole logs.
_MESSAGE_MAX = 4000

_SUBJECTS = {
    "deleted": "Your job '{}' was deleted!",
    "disabled": "job '{}' disabled",
    "failed": "job '{}' failed!",
    "recovered": "job '{}' succeeded again",
    "succeeded": "job '{}' succeeded",
}


def subject(notice: Notice, cluster: str) -> str:
    """One line. Without a cluster's name it begins with a blank, as it always did."""
    prefix = f"[{cluster}]" if cluster else ""
    return f"{prefix} [Chronos] {_SUBJECTS[notice.kind].format(notice.job.name)}"


def message(notice: Notice) -> str:
    """Some lines; empty when the subject says it all."""
    job, at = notice.job, stamp(notice.at)
    match notice.kind:
        case "deleted":
            return ""
        case "disabled" if notice.exhausted:
            lines = [f"It has run as often as its schedule asked for, and is disabled since {at}."]
        case "disabled":
            count = job.errors_since_last_success
            lines = [f"Failed at {at}, which makes {_times(count, 'failure')} since its last success."]
        case "failed":
            lines = [f"Failed at {at}, after {_times(notice.attempt, 'retry', 'retries')}."]
        case "recovered" | "succeeded":
            lines = [f"Succeeded at {at}."]
    if notice.task_id:
        lines.append(f"Task: {notice.task_id}")
    if notice.message:
        lines.append(f"Message: {_shortened(notice.message)}")
    return "\n".join(lines)


def _times(count: int, one: str, more: str = "") -> str:
    return f"{count or 'no'} {one if count == 1 else more or one + 's'}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MESSAGE_MAX else text[: _MESSAGE_MAX - 1] + "…"
