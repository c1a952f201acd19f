"""One message to one address, complete, as it is stored until it was taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from koinon.chronos.notices import texts
from koinon.chronos.notices.notice import Notice
from koinon.chronos.notices.settings import Settings
from koinon.timestamps import stamp

Channel = Literal["mail", "slack", "mattermost", "http"]

#: Slack reads these as the beginning of a mention or a link.
_FOR_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """It knows no password and no URL: those are the operator's, and may change while it waits."""

    id: str
    channel: Channel
    at: float  #: when it happened
    to: str = ""
    subject: str = ""  #: of a mail
    body: str = ""  #: the text of a mail, the JSON of a call


def compose(notice: Notice, settings: Settings) -> Iterator[Delivery]:
    """All messages about `notice`: mails and calls go to each owner of the job, chats hear of it once."""
    subject, message = texts.subject(notice, settings.cluster), texts.message(notice)
    if settings.mail is not None:
        for owner in dict.fromkeys(notice.job.owners):
            # A line of its own would be a header of its own.
            line = " ".join(subject.split())
            yield Delivery(_id(notice, "mail", owner), "mail", notice.at, owner, line, message)
    said = f"{subject}: {message}" if message else subject
    if settings.slack is not None:
        body = _json({"text": said.translate(_FOR_SLACK)})
        yield Delivery(_id(notice, "slack"), "slack", notice.at, body=body)
    if settings.mattermost is not None:
        yield Delivery(_id(notice, "mattermost"), "mattermost", notice.at, body=_json({"text": said}))
    if settings.http is not None:
        for owner in dict.fromkeys(notice.job.owners) or ("",):
            body = _json(_call(notice, owner, subject, message))
            yield Delivery(_id(notice, "http", owner), "http", notice.at, owner, body=body)


def _id(notice: Notice, channel: Channel, to: str = "") -> str:
    """Short and of plain letters, as it becomes a key and part of a header."""
    return hashlib.blake2b(
        "\0".join((notice.id, channel, to)).encode(errors="replace"), digest_size=16
    ).hexdigest()


def _call(notice: Notice, owner: str, subject: str, message: str) -> dict[str, str]:
    """Chronos's fields, all of them texts; `event` and `taskId` are ours."""
    job = notice.job
    told = {"subject": subject, "message": message, "to": owner}
    return {
        **{name: text for name, text in told.items() if text},
        "event": notice.kind,
        **({"taskId": notice.task_id} if notice.task_id else {}),
        "job": job.name,
        "command": job.command,
        "cpus": _text(job.cpus),
        "softError": _text(job.soft_error),
        "errorCount": _text(job.error_count),
        "errorsSinceLastSuccess": _text(job.errors_since_last_success),
        "executor": job.executor,
        "executorFlags": job.executor_flags,
        "lastError": _time(job.last_error),
        "lastSuccess": _time(job.last_success),
        "mem": _text(float(job.mem)),
        "retries": _text(job.retries),
        "successCount": _text(job.success_count),
        "uris": ",".join(one.uri for one in job.fetch),
    }


def _text(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _time(at: float | None) -> str:
    return "" if at is None else stamp(at)


def _json(fields: dict[str, Any]) -> str:
    return msgspec.json.encode(fields).decode()
