"""Chronos's flags."""

from pathlib import Path

import pytest

from koinon.chronos.flags import CONVENTIONS, PREFIXES, ChronosFlags
from koinon.chronos.notices import Mail, Webhook
from koinon.flags import FlagError, describe, load


def flags(*argv: str, **environ: str) -> ChronosFlags:
    given = ["--master=zk://h:2181/mesos", *argv]
    return load(ChronosFlags, given, environ=environ, prefixes=PREFIXES, conventions=CONVENTIONS)


def test_a_usual_command_line_is_understood() -> None:
    found = flags(
        "--zk_hosts=h1:2181,h2:2181",
        "--zk_auth=ann:secret",
        "--hostname=c1",
        "--failure_retry=1000",
        "--failover_timeout=1200",
        "--disable_after_failures=3",
        "--task_epsilon=90",
        "--revive_offers_for_new_jobs",
        CHRONOS_MESOS_ROLE="batch",
        CHRONOS_JOB_NAME="chronos",
        CHRONOS_RESOURCE_MEM="128.0",
    )
    assert found.zk is not None
    assert (found.zk.hosts, found.zk.path, found.zk.credentials) == (
        "h1:2181,h2:2181",
        "/chronos/state",
        "ann:secret",
    )
    assert (found.failure_retry, found.failover_timeout, found.mesos_role) == (1.0, 1200.0, "batch")
    assert (found.http_port, found.defaults().epsilon) == (4400, "PT90S")
    assert "secret" not in str(describe(found))


@pytest.mark.parametrize("given", ["zk://h1:1,h2:2/mesos", "zk://h1:1,h2:2", "h1:1,h2:2"])
def test_hosts_come_in_every_form(given: str) -> None:
    found = flags(f"--zk_hosts={given}", "--zk_path=/a/b/").zk
    assert found is not None
    assert (found.hosts, found.path) == ("h1:1,h2:2", "/a/b")


def test_a_password_in_hosts_is_used_and_not_shown() -> None:
    found = flags("--zk_hosts=zk://ann:secret@h:1/x")
    assert found.zk is not None
    assert found.zk.credentials == "ann:secret"
    assert "secret" not in str(describe(found))


def test_who_gives_a_secret_authenticates(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s\n")
    at = f"--mesos_authentication_secret_file={tmp_path}/secret"
    assert flags("--work_dir=/x", "--mesos_authentication_principal=p", at).credential() == ("p", "s")
    assert flags("--work_dir=/x", "--mesos_authentication_principal=p").credential() is None


def test_runs_are_remembered_beside_the_jobs_unless_told_otherwise() -> None:
    assert flags("--work_dir=/x").history_url == "/x/history.db"
    assert flags("--zk_hosts=h").history_url.endswith("/chronos/history.db")
    assert flags("--work_dir=/x", "--history=postgresql://h/d").history_url == "postgresql://h/d"


def test_notices_go_where_flags_say() -> None:
    found = flags(
        "--work_dir=/x",
        "--cluster_name=prod",
        "--mail_server=[::1]:2525",
        "--mail_from=c@x.org",
        "--mail_user=c",
        "--mail_password=p",
        "--slack_url=https://slack/x",
        "--http_notification_url=http://h/x",
        "--http_notification_credentials=ann:pw",
    ).notices()
    assert found.cluster == "prod"
    assert found.mail == Mail(host="::1", port=2525, sender="c@x.org", user="c", password="p")
    assert (found.slack, found.mattermost) == (Webhook("https://slack/x"), None)
    assert found.http == Webhook("http://h/x", "ann", "pw")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--zk_hosts is required (or --work_dir, to keep everything on this machine)"),
        (["--zk_hosts=h", "--zk_path=/"], "--zk_path needs a path: /chronos/state"),
        (["--work_dir=/x", "--mail_server=h:25"], "--mail_server needs --mail_from"),
        (["--work_dir=/x", "--mail_server=h:x", "--mail_from=a@b"], "--mail_server must be host:port"),
        (["--work_dir=/x", "--slack_url=slack.com"], "--slack_url must be an http:// or https:// URL"),
        (["--work_dir=/x", "--slack_url=https:///x"], "--slack_url must be an http:// or https:// URL"),
        (["--work_dir=/x", "--slack_url=http://h:port/x"], "--slack_url must be an http:// or https:// URL"),
        (["--work_dir=/x", "--cassandra_contact_points=h"], "runs are kept in the database of --history"),
        (["--work_dir=/x", "--https_port=1"], "there is no HTTPS yet"),
        (["--work_dir=/x", "--mesos_task_cpu=0"], "--mesos_task_cpu must be more than nothing"),
        (["--work_dir=/x", "--disable_after_failures=-1"], "must not be less than nothing"),
        (["--work_dir=/x", "--mesos_rol=a"], "unknown flag --mesos_rol; did you mean --mesos_role?"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(argv: list[str], sentence: str) -> None:
    with pytest.raises(FlagError) as error:
        flags(*argv)
    assert sentence in str(error.value)
