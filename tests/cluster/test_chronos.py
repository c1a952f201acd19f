"""Jobs as people run them: a nightly chain, compressed to seconds, mailed about, and hit by every kind of death."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from koinon.timestamps import stamp
from tests.cluster.chains import CHAIN, Chain, check, wait_quiet
from tests.cluster.chronoses import NEVER, SESSION_MS, Chronoses, new_chronoses
from tests.cluster.harness import Role, eventually
from tests.cluster.inboxes import Inbox, inbox
from tests.zookeeper import ZooKeeper

__all__ = ["new_chronoses"]

NewChronoses = Callable[..., Chronoses]

#: How often the chain runs while everything dies; a longer run says so in the environment.
CYCLES = int(os.environ.get("KOINON_TEST_CYCLES", "8"))
PERIOD_S = 4


# ── all is well ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.timeout(120)
def test_chain_runs_and_those_who_care_are_told(new_chronoses: NewChronoses, tmp_path: Path) -> None:
    """By mail and by a call; what was written is kept."""
    with inbox() as told:
        chronoses = new_chronoses(
            mail_server=told.mail_address,
            mail_from="chronos@example.com",
            http_notification_url=told.url,
            cluster_name="test",
        )
        chain = Chain(tmp_path)
        for job in chain.jobs("R1//P", owner="ann@example.com,ben@example.com", notifyOnSuccess=True):
            chronoses.post(job)
        [run] = chronoses.wait_ended("report", "succeeded")
        assert run["trigger"] == "parent"
        assert [len(chain.completed(job)) for job in CHAIN] == [1, 1, 1, 1]
        assert chronoses.output(run["taskId"]) == "north 15, south 150\n"

        eventually(lambda: len(told.mails_about("'report' succeeded")) == 2, "both owners have a mail")
        mails = told.mails_about("'report' succeeded")
        assert {mail["To"] for mail in mails} == {"ann@example.com", "ben@example.com"}
        assert mails[0]["Subject"] == "[test] [Chronos] job 'report' succeeded"
        assert run["taskId"] in mails[0].get_content()
        eventually(lambda: len(told.calls_about("'report' succeeded")) == 2, "a call for each owner")
        called = {call["to"] for call in told.calls_about("'report' succeeded")}
        assert called == {"ann@example.com", "ben@example.com"}
        # Its only repetition is over.
        eventually(lambda: told.mails_about("'extract' disabled"), "the end of the schedule is told")
        assert chronoses.job("extract")["disabled"]


@pytest.mark.timeout(120)
def test_failure_is_retried_told_and_forgiven(new_chronoses: NewChronoses, tmp_path: Path) -> None:
    """Three attempts at one due time; children wait; the first success after it is told, too."""
    with inbox() as told:
        chronoses = new_chronoses(
            mail_server=told.mail_address, mail_from="chronos@example.com", http_notification_url=told.url
        )
        good = tmp_path / "good"
        command = f"echo trying >&2; test -e {good}"
        chronoses.post(
            {"name": "a", "command": command, "schedule": "R1//P", "owner": "ann@example.com", "retries": 2}
        )
        chronoses.post({"name": "b", "command": "true", "parents": ["a"]})
        failed = chronoses.wait_ended("a", "failed", 3)
        assert [run["attempt"] for run in failed] == [2, 1, 0]
        assert len({run["due"] for run in failed}) == 1
        assert {run["exitStatus"] for run in failed} == {1}
        eventually(lambda: told.mails_about("'a' failed"), "it is told")
        assert chronoses.job("a")["errorCount"] == 1
        assert chronoses.runs("b") == []
        answer = chronoses.leader().ask(f"/v1/history/runs/{failed[0]['taskId']}/stderr")
        assert answer is not None
        assert answer.body == b"trying\n"

        good.touch()
        chronoses.ask("/v1/scheduler/job/a", "PUT")
        chronoses.wait_ended("b", "succeeded")
        eventually(lambda: told.mails_about("'a' succeeded again"), "that it is well again is told")
        assert len(told.mails_about("'a' failed")) == 1
        assert len(eventually(lambda: told.calls_about("'a' succeeded again"), "by a call, too")) == 1


@pytest.mark.timeout(60)
def test_command_line_leads_through_a_life(new_chronoses: NewChronoses, tmp_path: Path) -> None:
    """Added from a file, run, looked at, killed, disabled, deleted."""
    chronoses = new_chronoses()
    [role] = chronoses.roles

    def koinon(*arguments: str) -> tuple[int, str, str]:
        done = chronoses.cluster.koinon(*arguments, "--chronos", role.address)
        return done.returncode, done.stdout, done.stderr

    path = tmp_path / "jobs.yaml"
    path.write_text(
        f"- name: second\n  command: echo second\n  parents: [first]\n"
        f"- name: first\n  command: echo $0; sleep 0.2\n  schedule: {NEVER}\n"
    )
    assert koinon("job", "add", str(path)) == (0, "first created\nsecond created\n", "")
    status, printed, _ = koinon("job", "run", "first", "--wait")
    assert (status, printed.splitlines()[-1].split()[1]) == (0, "succeeded")
    chronoses.wait_ended("second", "succeeded")
    assert koinon("job", "logs", "second") == (0, "second\n", "")
    assert "first" in koinon("job", "list")[1]
    assert [line.split()[:2] for line in koinon("job", "graph")[1].splitlines()] == [
        ["first", "(success)"],
        ["└─", "second"],
    ]
    assert "succeeded" in koinon("job", "history", "second")[1]
    assert "waits for first" in koinon("why", "second")[1]
    assert koinon("job", "disable", "second")[1] == "second disabled\n"
    assert "It is disabled" in koinon("job", "show", "second")[1]
    assert koinon("job", "enable", "second")[1] == "second enabled\n"
    assert koinon("job", "add", "--name", "slow", "--schedule", NEVER, "sleep", "1000")[0] == 0
    assert koinon("job", "run", "slow")[0] == 0
    eventually(lambda: chronoses.runs("slow", state="running"), "it runs")
    assert koinon("job", "kill", "slow")[0] == 0
    chronoses.wait_ended("slow", "killed")
    assert koinon("job", "delete", "--yes", "first")[1] == "first deleted\n"
    assert "schedule" in chronoses.job("second")
    status, _, said = koinon("job", "show", "first")
    assert (status, "knows no job 'first'" in said) == (1, True)


# ── everything dies ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.timeout(240 + CYCLES * PERIOD_S * 3)
def test_each_window_has_one_completed_start_whoever_dies(
    new_chronoses: NewChronoses, tmp_path: Path, zookeeper: ZooKeeper
) -> None:
    """Chronos's leader, the master and an agent, killed at random moments of all cycles; and a leader that is frozen."""
    dice = random.Random(time.time_ns())
    with inbox() as told:
        chronoses = new_chronoses(
            2,
            agents=2,
            zk=zookeeper.url(),
            mail_server=told.mail_address,
            mail_from="chronos@example.com",
            http_notification_url=told.url,
        )
        chain = Chain(tmp_path)
        start = float(round(time.time()) + 3)
        for job in chain.jobs(f"R{CYCLES}/{stamp(start)}/PT{PERIOD_S}S", owner="ann@example.com"):
            chronoses.post({**job, "notifyOnSuccess": job["name"] == "report"})
        end = start + CYCLES * PERIOD_S
        chronoses.supervise()
        deaths = 0
        while time.time() < end:
            for strike in dice.sample(STRIKES, len(STRIKES)):
                deaths += 1
                time.sleep(dice.uniform(0.2, 3.0))
                for role in chronoses.roles:
                    role.answers()  # it runs, at least
                strike(chronoses, dice)
        wait_quiet(chronoses, CYCLES)
        check(chronoses, chain, CYCLES, start, PERIOD_S)
        _check_told(chronoses, told, deaths)
        _check_kept(chronoses)


def _kill_master(chronoses: Chronoses, dice: random.Random) -> None:
    _kill(chronoses.cluster.master, dice)


def _kill_agent(chronoses: Chronoses, dice: random.Random) -> None:
    _kill(dice.choice(chronoses.cluster.agents), dice)


def _kill_leader(chronoses: Chronoses, dice: random.Random) -> None:
    _kill(chronoses.leader(), dice)


def _freeze_leader(chronoses: Chronoses, dice: random.Random) -> None:
    """For a moment, or for so long that another one leads when it wakes."""
    pid = chronoses.leader().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(dice.uniform(0.1, 1.5 * SESSION_MS / 1000))
    finally:
        os.kill(pid, signal.SIGCONT)


STRIKES = (_kill_master, _kill_agent, _kill_leader, _freeze_leader)


def _kill(role: Role, dice: random.Random) -> None:
    role.kill()
    time.sleep(dice.uniform(0.0, 1.0))
    role.start()


def _check_told(chronoses: Chronoses, told: Inbox, deaths: int) -> None:
    """Of each report there is a mail and a call: another one only if somebody died while it was sent."""
    reports = {run["taskId"] for run in chronoses.runs("report", state="succeeded")}

    def mails() -> str:
        return "".join(mail.get_content() for mail in told.mails_about("'report' succeeded"))

    def calls() -> str:
        return "".join(call["message"] for call in told.calls_about("'report' succeeded"))

    for texts in (mails, calls):
        eventually(lambda texts=texts: all(one in texts() for one in reports), "all reports are told", 20)
        repeated = sum(texts().count(one) - 1 for one in reports)
        assert repeated <= deaths, f"{repeated} came again, and {deaths} died"


def _check_kept(chronoses: Chronoses) -> None:
    """What each report has written is in the history."""
    for run in chronoses.runs("report", state="succeeded"):
        output = eventually(
            lambda run=run: chronoses.output(run["taskId"]), f"the output of {run['taskId']} is kept", 40
        )
        assert output == "north 15, south 150\n"
