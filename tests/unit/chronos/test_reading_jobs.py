"""Definitions and the jobs they become: what is left out, what is said in other ways, what stays when one is replaced."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from koinon.chronos.model import Container, Fetch, Job, Volume, successes_of
from koinon.chronos.model.job import EnvironmentVariable, NetworkInfo, PortMapping
from koinon.chronos.schedules import read, read_cron
from tests.unit.chronos.asking import HOURLY, NOW, ask, dependent, named, scheduled


def read_field(attribute: str, **fields: Any) -> Any:
    """What an attribute is in a job with these fields."""
    return getattr(scheduled(**fields), attribute)


def test_what_is_left_out_is_filled_in() -> None:
    assert ask({"name": "a", "schedule": HOURLY}, cpus=0.5, mem=64.0, disk=32.0, user="web") == Job(
        "a",
        schedule=read(HOURLY, now=NOW),
        cpus=0.5,
        mem=64.0,
        disk=32.0,
        run_as_user="web",
        created_ms=round(NOW * 1000),
    )


#: Fields as they may be sent, an attribute, and what it becomes.
READ: list[tuple[dict[str, Any], str, Any]] = [
    # ── scalars as text, and text as scalars ──
    ({"cpus": "0.5"}, "cpus", 0.5),
    ({"mem": "512"}, "mem", 512.0),
    ({"retries": "3"}, "retries", 3),
    ({"retries": 3.0}, "retries", 3),
    ({"disabled": "true"}, "disabled", True),
    ({"shell": "False"}, "shell", False),
    ({"command": 5}, "command", "5"),
    ({"arguments": [1, True, "x"]}, "arguments", ("1", "true", "x")),
    # ── null is left out, 0 means what is usual ──
    ({"retries": None}, "retries", 2),
    ({"arguments": [None, "x", None]}, "arguments", ("x",)),
    ({"container": None}, "container", None),
    ({"scheduleTimeZone": None}, "disabled", False),
    ({"cpus": 0, "mem": "0"}, "cpus", 0.1),
    ({"runAsUser": ""}, "run_as_user", "root"),
    ({"epsilon": ""}, "epsilon", "PT60S"),
    ({"epsilon": "PT15M"}, "epsilon", "PT15M"),
    # ── other names and ways ──
    ({"dataJob": True}, "data_processing_job_type", True),
    ({"concurrent": True}, "overlap", "allow"),
    ({"concurrent": False}, "overlap", "skip"),
    ({"concurrent": False, "overlap": "queue"}, "overlap", "queue"),
    ({"overlap": "Allow", "concurrent": True}, "concurrent", True),
    ({"async": True}, "asynchronous", True),
    ({"uris": ["http://x/y"]}, "fetch", (Fetch("http://x/y"),)),
    ({"uris": ["u"], "fetch": [{"uri": "u", "cache": True}]}, "fetch", (Fetch("u", cache=True),)),
    ({"uris": [], "fetch": [{"uri": "u", "output_file": "v"}]}, "fetch", (Fetch("u", output_file="v"),)),
    # ── the rest ──
    ({"constraints": [["rack", "like", "a.*"]]}, "constraints", (("rack", "LIKE", "a.*"),)),
    ({"constraints": [["rack", "EQUALS", "("]]}, "constraints", (("rack", "EQUALS", "("),)),
    ({"lastSuccess": "2030-01-02T00:00:30.500Z"}, "last_success", NOW + 0.5),
    ({"lastSuccess": "2030-01-02T01:00:30+01:00"}, "last_success", NOW),
    ({"lastError": ""}, "last_error", None),
    ({"owner": "a@b.c, d@e.f,"}, "owners", ("a@b.c", "d@e.f")),
    (
        {"environmentVariables": [{"name": "A", "value": 1}]},
        "environment_variables",
        (EnvironmentVariable("A", "1"),),
    ),
    ({"unknown": [1]}, "name", "a"),
]


@pytest.mark.parametrize(("fields", "attribute", "value"), READ)
def test_fields_are_read_as_they_are_meant(fields: dict[str, Any], attribute: str, value: Any) -> None:
    found = read_field(attribute, **fields)
    if attribute == "constraints":
        found = tuple(msgspec.structs.astuple(one) for one in found)
    assert found == value


def test_a_container_is_read() -> None:
    found = read_field(
        "container",
        container={
            "type": "mesos",
            "image": "nginx",
            "network": "USER",
            "networkInfos": [{"name": "n", "portMappings": [{"hostPort": "0", "containerPort": 80}]}],
            "volumes": [{"containerPath": "/a", "hostPath": "/b", "mode": "ro"}],
            "forcePullImage": "true",
        },
    )
    assert found == Container(
        "nginx",
        type="MESOS",
        network="USER",
        network_infos=(NetworkInfo("n", port_mappings=(PortMapping(0, 80),)),),
        volumes=(Volume("/a", host_path="/b", mode="RO"),),
        force_pull_image=True,
    )


@pytest.mark.parametrize("value", [{}, {"type": "DOCKER", "image": ""}, {"network": "HOST", "volumes": []}])
def test_a_container_that_says_nothing_is_none(value: dict[str, Any]) -> None:
    assert read_field("container", container=value) is None


def test_whether_archives_are_extracted_by_themselves_depends_on_the_line() -> None:
    body = {"name": "a", "command": "x", "schedule": HOURLY, "fetch": [{"uri": "u"}]}
    assert [ask(body, line=line).fetch[0].extract for line in ("2.x", "3.x")] == [False, True]


# ── names ──
def test_the_older_line_takes_names_with_spaces() -> None:
    body = {"name": "job with #1", "command": "x", "schedule": HOURLY}
    assert ask(body, line="2.x").name == "job with #1"


def test_a_job_with_an_old_name_can_be_changed_under_the_newer_prefix() -> None:
    old = ask({"name": "a b", "command": "x", "schedule": HOURLY}, line="2.x")
    assert ask({"name": "a b", "command": "y", "schedule": HOURLY}, named(old)).command == "y"


# ── when ──
def test_a_job_that_says_neither_when_nor_after_whom_runs_once_now() -> None:
    schedule = ask({"name": "a", "command": "x"}).schedule
    assert schedule is not None
    assert (schedule.due, schedule.remaining) == (NOW, 1)


@pytest.mark.parametrize("field", ["cron", "schedule"])
def test_a_cron_expression_stands_in_either_field(field: str) -> None:
    job = ask({"name": "a", "command": "x", field: "0 9 * * *", "scheduleTimeZone": "Europe/Paris"})
    assert job.schedule == read_cron("0 9 * * *", "Europe/Paris", now=NOW)


def test_empty_fields_of_the_other_kind_do_not_matter() -> None:
    jobs = named(scheduled("p"))
    assert ask({"name": "a", "schedule": HOURLY, "parents": []}, jobs).is_scheduled
    assert ask({"name": "a", "schedule": "", "parents": ["p"]}, jobs).is_dependent


def test_parents_stay_in_their_order_each_once() -> None:
    """Tools that keep jobs in files compare what they find with that."""
    jobs = named(scheduled("p"), scheduled("q"))
    assert ask({"name": "a", "parents": ["q", "p", "q"]}, jobs).parents == ("q", "p")


# ── replacing ──
REMEMBERED = {
    "success_count": 5,
    "error_count": 2,
    "errors_since_last_success": 1,
    "last_success": 10.0,
    "last_error": 20.0,
}


def test_what_is_remembered_of_runs_stays_when_a_job_is_replaced() -> None:
    old = msgspec.structs.replace(scheduled(owner="a@b.c"), **REMEMBERED)
    new = ask({"name": "a", "command": "other", "schedule": HOURLY}, named(old))
    assert new == msgspec.structs.replace(old, owner="", command="other")


def test_what_a_client_sends_of_it_counts() -> None:
    old = msgspec.structs.replace(scheduled(), **REMEMBERED)
    new = ask({"name": "a", "schedule": HOURLY, "errorCount": 0, "lastError": ""}, named(old))
    assert (new.error_count, new.last_error, new.success_count) == (0, None, 5)


def test_a_schedule_that_is_sent_again_keeps_its_place() -> None:
    first = scheduled(schedule="R/2030-01-01T00:00:00Z/P1D")
    assert first.schedule is not None
    launched = msgspec.structs.replace(first, schedule=first.schedule.advanced(NOW))
    again = ask({"name": "a", "schedule": "R/2030-01-01T00:00:00Z/P1D"}, named(launched))
    assert again.schedule == launched.schedule


def test_a_schedule_that_is_exhausted_begins_again_when_it_is_sent_again() -> None:
    first = scheduled(schedule="R1//P")
    assert first.schedule is not None
    done = msgspec.structs.replace(first, schedule=first.schedule.advanced(NOW), disabled=True)
    again = ask({"name": "a", "schedule": "R1//P"}, named(done), now=NOW + 60)
    assert again.schedule is not None
    assert (again.schedule.due, again.disabled) == (NOW + 60, False)


def test_a_schedule_in_another_zone_is_another_one() -> None:
    old = scheduled()
    new = ask({"name": "a", "schedule": HOURLY, "scheduleTimeZone": "America/New_York"}, named(old))
    assert new.schedule == read(HOURLY, "America/New_York", now=NOW)


def test_a_job_can_change_its_kind() -> None:
    parent, old = scheduled("p"), scheduled("a")
    now_dependent = ask({"name": "a", "parents": ["p"]}, named(parent, old))
    assert (now_dependent.schedule, now_dependent.parents) == (None, ("p",))
    again = ask({"name": "a", "schedule": HOURLY}, named(parent, now_dependent))
    assert (again.parents, again.schedule) == ((), old.schedule)


def test_an_update_in_the_middle_of_a_cycle_remembers_what_the_parents_have_done() -> None:
    old = dependent("c", "p", "q", successes=successes_of({"p": (1, 2), "q": (1,)}))
    jobs = named(scheduled("p"), scheduled("q"), scheduled("r"), old)
    new = ask({"name": "c", "parents": ["r", "p"]}, jobs)
    assert (new.parents, new.unused) == (("r", "p"), {"p": (1, 2)})
