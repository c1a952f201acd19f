"""What notices say, to whom."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from koinon.chronos.model import Fetch, Job
from koinon.chronos.notices import Delivery, Mail, Notice, Settings, Webhook, compose, texts

AT = 1_800_000_000.0
JOB = Job(
    name="bills",
    command="make bills > all",
    owner="ann@x.org, bob@x.org",
    retries=2,
    errors_since_last_success=1,
    error_count=3,
    success_count=7,
    last_error=AT,
    fetch=(Fetch("http://x/a"), Fetch("http://x/b")),
)
FAILED = Notice("failed", JOB, AT, task_id="ct:1:2:bills:", attempt=2, message="exited with status 3")

HOOK = Webhook("http://chat/secret")
ALL = Settings("blue", Mail("mx", "chronos@x.org"), HOOK, HOOK, HOOK)


@pytest.mark.parametrize(
    ("notice", "cluster", "subject", "message"),
    [
        (
            FAILED,
            "blue",
            "[blue] [Chronos] job 'bills' failed!",
            "Failed at 2027-01-15T08:00:00.000Z, after 2 retries.\nTask: ct:1:2:bills:\nMessage: exited with status 3",
        ),
        (
            Notice("failed", JOB, AT, task_id="ct:1:0:bills:"),
            "",
            " [Chronos] job 'bills' failed!",
            "Failed at 2027-01-15T08:00:00.000Z, after no retries.\nTask: ct:1:0:bills:",
        ),
        (Notice("deleted", JOB, AT), "blue", "[blue] [Chronos] Your job 'bills' was deleted!", ""),
        (
            Notice("disabled", JOB, AT, task_id="ct:1:1:bills:", message="OOM"),
            "",
            " [Chronos] job 'bills' disabled",
            "Failed at 2027-01-15T08:00:00.000Z, which makes 1 failure since its last success.\n"
            "Task: ct:1:1:bills:\nMessage: OOM",
        ),
        (
            Notice("disabled", JOB, AT, exhausted=True),
            "",
            " [Chronos] job 'bills' disabled",
            "It has run as often as its schedule asked for, and is disabled since 2027-01-15T08:00:00.000Z.",
        ),
        (
            Notice("recovered", JOB, AT, task_id="ct:1:0:bills:"),
            "",
            " [Chronos] job 'bills' succeeded again",
            "Succeeded at 2027-01-15T08:00:00.000Z.\nTask: ct:1:0:bills:",
        ),
        (
            Notice("succeeded", JOB, AT),
            "",
            " [Chronos] job 'bills' succeeded",
            "Succeeded at 2027-01-15T08:00:00.000Z.",
        ),
    ],
)
def test_texts(notice: Notice, cluster: str, subject: str, message: str) -> None:
    assert texts.subject(notice, cluster) == subject
    assert texts.message(notice) == message


def test_a_message_as_long_as_a_log_is_cut() -> None:
    assert len(texts.message(replace(FAILED, message="x" * 100_000))) < 4200


def composed(notice: Notice = FAILED, settings: Settings = ALL) -> list[Delivery]:
    return list(compose(notice, settings))


def test_mails_and_calls_go_to_each_owner_and_chats_hear_of_it_once() -> None:
    assert [(one.channel, one.to) for one in composed()] == [
        ("mail", "ann@x.org"),
        ("mail", "bob@x.org"),
        ("slack", ""),
        ("mattermost", ""),
        ("http", "ann@x.org"),
        ("http", "bob@x.org"),
    ]


def test_without_an_owner_nobody_has_mail_but_programs_and_chats_hear_of_it() -> None:
    nobody = replace(FAILED, job=replace(JOB, owner=" ,"))
    assert [(one.channel, one.to) for one in composed(nobody)] == [
        ("slack", ""),
        ("mattermost", ""),
        ("http", ""),
    ]


def test_nothing_is_sent_where_nothing_is_set() -> None:
    assert composed(settings=Settings("blue")) == []


def test_a_mail_has_one_line_as_its_subject() -> None:
    mail = composed(replace(FAILED, job=replace(JOB, name="a\nBcc: all@x.org")))[0]
    assert mail.subject == "[blue] [Chronos] job 'a Bcc: all@x.org' failed!"


def test_slack_takes_no_mentions_from_jobs() -> None:
    shouting = composed(replace(FAILED, message="<!channel> & all"))
    slack, mattermost = (json.loads(one.body)["text"] for one in shouting[2:4])
    assert slack.endswith("Message: &lt;!channel&gt; &amp; all")
    assert mattermost.endswith("Message: <!channel> & all")
    assert mattermost.startswith("[blue] [Chronos] job 'bills' failed!: Failed at ")


def test_chats_hear_of_deleted_jobs_too() -> None:
    deleted = composed(Notice("deleted", JOB, AT))
    assert json.loads(deleted[2].body) == {"text": "[blue] [Chronos] Your job 'bills' was deleted!"}


CALL: dict[str, Any] = {
    "subject": "[blue] [Chronos] job 'bills' failed!",
    "message": texts.message(FAILED),
    "to": "ann@x.org",
    "event": "failed",
    "taskId": "ct:1:2:bills:",
    "job": "bills",
    "command": "make bills > all",
    "cpus": "0.1",
    "softError": "false",
    "errorCount": "3",
    "errorsSinceLastSuccess": "1",
    "executor": "",
    "executorFlags": "",
    "lastError": "2027-01-15T08:00:00.000Z",
    "lastSuccess": "",
    "mem": "128.0",
    "retries": "2",
    "successCount": "7",
    "uris": "http://x/a,http://x/b",
}


def test_a_call_has_chronos_fields_as_texts() -> None:
    assert json.loads(composed()[4].body) == CALL


def test_a_call_leaves_out_what_is_empty() -> None:
    job = replace(JOB, owner="")
    body = json.loads(composed(Notice("deleted", job, AT))[-1].body)
    assert {"message", "to", "taskId"}.isdisjoint(body)


def test_ids_are_the_same_when_it_is_told_again_and_differ_otherwise() -> None:
    ids = [one.id for one in composed()]
    assert ids == [one.id for one in composed(replace(FAILED, at=AT + 5))]
    others = [FAILED, replace(FAILED, kind="disabled"), replace(FAILED, task_id="ct:2:2:bills:")]
    assert len({one.id for other in others for one in composed(other)}) == 3 * len(ids)


def test_no_password_and_no_secret_url_is_stored() -> None:
    settings = replace(ALL, mail=Mail("mx", "me@x.org", password="hush"))
    assert not any("secret" in repr(one) or "hush" in repr(one) for one in composed(settings=settings))
