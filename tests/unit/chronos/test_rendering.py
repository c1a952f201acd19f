"""What the API shows of jobs and runs; among it what the Python client and its tests expect."""

from __future__ import annotations

import csv
import json
from typing import Any

import msgspec
import pytest

from koinon.chronos import rendering
from koinon.chronos.model import Job, Line, Percentiles, Refused, Run
from koinon.chronos.model.problems import Unknown
from koinon.chronos.rendering import Activity, Listing, Search, Summary
from tests.unit.chronos.asking import HOURLY, NOW, ask, dependent, named, scheduled

#: As the Python client's own tests post it.
FRESH = ask(
    {
        "name": "myjob",
        "command": "echo 1",
        "owner": "",
        "disabled": False,
        "schedule": "R0/2014-01-01T00:00:00Z/PT60M",
    }
)


# ── one job ──
def test_a_scheduled_job_is_shown_with_all_its_fields() -> None:
    job = msgspec.structs.replace(scheduled(owner="a@b.c"), last_success=NOW, success_count=3)
    assert rendering.render_job(job, "3.x") == {
        "name": "a",
        "command": "true",
        "shell": True,
        "epsilon": "PT60S",
        "async": False,
        "executor": "",
        "executorFlags": "",
        "taskInfoData": "",
        "retries": 2,
        "owner": "a@b.c",
        "ownerName": "",
        "description": "",
        "cpus": 0.1,
        "mem": 128.0,
        "disk": 256.0,
        "gpus": 0,
        "disabled": False,
        "softError": False,
        "dataProcessingJobType": False,
        "fetch": [],
        "uris": [],
        "environmentVariables": [],
        "arguments": [],
        "highPriority": False,
        "runAsUser": "root",
        "concurrent": False,
        "constraints": [],
        "maxCompletionTime": 0.0,
        "successCount": 3,
        "errorCount": 0,
        "errorsSinceLastSuccess": 0,
        "lastSuccess": "2030-01-02T00:00:30.000Z",
        "lastError": "",
        "overlap": "skip",
        "missedRuns": "one",
        "retryBackoffFactor": 1.0,
        "maxRetryDelaySeconds": 3600.0,
        "notifyOnSuccess": False,
        "schedule": "R/2030-01-03T00:00:00.000Z/PT1H",
        "scheduleTimeZone": "",
        "originalSchedule": HOURLY,
        "nextRun": "2030-01-03T00:00:00.000Z",
    }


def shown(job: Job, *fields: str) -> dict[str, Any]:
    found = rendering.render_job(job, "3.x")
    return {field: found.get(field) for field in fields}


def test_a_dependent_job_has_parents_and_no_schedule() -> None:
    found = rendering.render_job(dependent("c", "b", "a"), "3.x")
    assert found["parents"] == ["a", "b"]
    assert not found.keys() & {"schedule", "scheduleTimeZone", "cron", "nextRun"}


def test_what_is_fetched_is_shown_in_both_ways() -> None:
    found = shown(scheduled(uris=["http://x/y"]), "uris", "fetch")
    fetch = {"uri": "http://x/y", "executable": False, "cache": False, "extract": True}
    assert found == {"uris": ["http://x/y"], "fetch": [fetch]}


def test_a_cron_job_shows_its_expression_and_its_next_run() -> None:
    job = ask({"name": "a", "command": "x", "cron": "0 9 * * *"})
    assert shown(job, "cron", "schedule", "nextRun") == {
        "cron": "0 9 * * *",
        "schedule": "0 9 * * *",
        "nextRun": "2030-01-02T09:00:00.000Z",
    }


@pytest.mark.parametrize("job", [scheduled(disabled=True), FRESH])
def test_who_will_not_run_has_no_next_run(job: Job) -> None:
    assert shown(job, "nextRun") == {"nextRun": ""}


def test_ports_of_networks_are_text() -> None:
    infos = [{"name": "n", "portMappings": [{"hostPort": 0, "containerPort": 80, "protocol": "tcp"}]}]
    container = shown(scheduled(container={"image": "i", "networkInfos": infos}), "container")["container"]
    assert container["networkInfos"] == [
        {
            "name": "n",
            "labels": [],
            "portMappings": [{"hostPort": "0", "containerPort": "80", "protocol": "tcp"}],
        }
    ]


def test_the_older_line_names_container_types_in_lower_case() -> None:
    job = scheduled(container={"image": "i"})
    assert [rendering.render_job(job, line)["container"]["type"] for line in ("2.x", "3.x")] == [
        "docker",
        "DOCKER",
    ]


@pytest.mark.parametrize("line", ["2.x", "3.x"])
def test_a_sync_script_finds_its_files_unchanged(line: Line) -> None:
    file: dict[str, Any] = {
        "name": "a",
        "command": "x",
        "owner": "a@b.c",
        "disabled": False,
        "async": False,
        "epsilon": "PT15M",
        "cpus": 1,
        "overlap": "queue",
        "missedRuns": "all",
        "fetch": [{"uri": "u", "executable": True, "cache": False, "extract": False}],
        "cron": "0 9 * * *",
        "scheduleTimeZone": "Europe/Paris",
    }
    found = rendering.render_job(ask(file, line=line), line)
    assert {key: value for key, value in file.items() if found.get(key) != value} == {}


# ── lists ──
def test_a_listing_is_made_anew_only_for_jobs_that_changed() -> None:
    listing = Listing("3.x")
    first, second = scheduled("a"), scheduled("b")
    before = [listing.one(first), listing.one(second)]
    changed = msgspec.structs.replace(second, owner="x@y.z")
    found = json.loads(b"".join(listing.array([first, changed])))
    assert listing.one(first) is before[0]
    assert [(one["name"], one["owner"]) for one in found] == [("a", ""), ("b", "x@y.z")]


def test_an_empty_listing_is_an_empty_array() -> None:
    assert list(Listing("2.x").array([])) == [b"[]"]


@pytest.mark.parametrize("count", [1, 19, 20, 21, 40, 45])
def test_a_long_listing_comes_in_pieces(count: int) -> None:
    jobs = [scheduled(f"job-{n}") for n in range(count)]
    found = list(Listing("3.x").array(jobs))
    assert [one["name"] for one in json.loads(b"".join(found))] == [job.name for job in jobs]
    assert len(found) == -(-count // 20) + 1


SEARCHED = named(
    scheduled("etl.Load", command="load --all"),
    scheduled("etl.clean", command="CLEAN"),
    scheduled("report", command="load report"),
    scheduled("zzz", command=""),
)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["etl.Load", "etl.clean", "report", "zzz"]),
        ({"name": "ETL"}, ["etl.Load", "etl.clean"]),
        ({"command": "load"}, ["etl.Load", "report"]),
        ({"name": "etl", "command": "load"}, ["etl.Load"]),
        ({"any": "clean"}, ["etl.clean"]),
        ({"any": "repo"}, ["report"]),
        ({"name": "zzz", "any": "report"}, ["report", "zzz"]),
        ({"name": "nobody", "any": ""}, []),
        ({"limit": "2"}, ["etl.Load", "etl.clean"]),
        ({"limit": "2", "offset": "3"}, ["zzz"]),
        ({"limit": "0"}, []),
        ({"offset": "9999999999"}, []),
        ({"limit": ""}, ["etl.Load", "etl.clean", "report", "zzz"]),
    ],
)
def test_jobs_are_found_by_name_and_command(query: dict[str, str], names: list[str]) -> None:
    assert [job.name for job in Search.asked(query).found(SEARCHED)] == names


def test_ten_are_found_unless_more_are_asked_for() -> None:
    jobs = named(*(scheduled(f"job-{n}") for n in range(12)))
    assert len(Search.asked({}).found(jobs)) == 10
    assert len(Search.asked({"limit": "50"}).found(jobs)) == 12


@pytest.mark.parametrize("text", ["-1", "ten", "1.5", "²", "1" * 30])
def test_a_limit_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="limit must be a whole number from 0"):
        Search.asked({"limit": text})


# ── summary and graph ──
def test_the_summary_has_a_line_for_each_job() -> None:
    failed = msgspec.structs.replace(scheduled("b", disabled=True), last_success=5.0, last_error=6.0)
    child = msgspec.structs.replace(dependent("c", "a", "b"), last_success=7.0, last_error=6.0)
    activity = {"b": Activity(queued=True), "c": Activity(running=2, queued=True)}
    page = b"".join(Summary().page([FRESH, failed, child], activity))
    exhausted = "R0/2014-01-01T00:00:00.000Z/PT60M"
    hourly = "R/2030-01-03T00:00:00.000Z/PT1H"
    assert json.loads(page) == {
        "jobs": [
            line("myjob", "fresh", "idle", exhausted, [], False),
            line("b", "failure", "queued", hourly, [], True),
            line("c", "success", "2 running", "", ["a", "b"], False),
        ]
    }


def line(
    name: str, status: str, state: str, schedule: str, parents: list[str], disabled: bool
) -> dict[str, Any]:
    return {
        "name": name,
        "status": status,
        "state": state,
        "schedule": schedule,
        "parents": parents,
        "disabled": disabled,
    }


def test_a_line_of_the_summary_follows_its_job() -> None:
    summary, job = Summary(), scheduled()
    list(summary.page([job], {}))
    changed = msgspec.structs.replace(job, last_error=1.0)
    assert json.loads(b"".join(summary.page([changed], {})))["jobs"][0]["status"] == "failure"


@pytest.mark.parametrize(
    ("success", "error", "status"),
    [
        (None, None, "fresh"),
        (1.0, None, "success"),
        (None, 1.0, "failure"),
        (2.0, 1.0, "success"),
        (1.0, 2.0, "failure"),
        (1.0, 1.0, "failure"),
    ],
)
def test_the_status_is_how_the_last_run_ended(
    success: float | None, error: float | None, status: str
) -> None:
    assert rendering.status(Job("a", last_success=success, last_error=error)) == status


GRAPH = [dependent("report", "left", "right"), scheduled("source"), dependent("left", "source"), dependent("right", "source")]  # fmt: skip


def test_the_graph_as_csv_has_nodes_and_links() -> None:
    assert rendering.csv(GRAPH, {"left": Activity(running=1)}) == (
        "node,left,fresh,1 running\n"
        "node,report,fresh,idle\n"
        "node,right,fresh,idle\n"
        "node,source,fresh,idle\n"
        "link,source,left\n"
        "link,left,report\n"
        "link,right,report\n"
        "link,source,right\n"
    )


def test_two_fresh_jobs_are_two_rows_for_the_python_client() -> None:
    other = msgspec.structs.replace(FRESH, name="myotherjob")
    assert len(list(csv.reader(rendering.csv([FRESH, other], {}).splitlines()))) == 2


def test_the_graph_as_dot_has_numbers_with_labels() -> None:
    assert rendering.dot(GRAPH) == (
        "digraph G {\n"
        '  1 [ label="left" ];\n'
        '  2 [ label="report" ];\n'
        '  3 [ label="right" ];\n'
        '  4 [ label="source" ];\n'
        "  4 -> 1;\n"
        "  1 -> 2;\n"
        "  3 -> 2;\n"
        "  4 -> 3;\n"
        "}\n"
    )


# ── statistics ──
NAMES = ["75thPercentile", "95thPercentile", "98thPercentile", "99thPercentile", "median", "mean"]


@pytest.mark.parametrize("percentile", NAMES)
def test_a_job_without_runs_has_times_of_zero(percentile: str) -> None:
    assert rendering.times(percentile, [FRESH], {}) == [{"jobNameLabel": "myjob", "time": 0.0}]


def test_times_are_the_longest_first() -> None:
    known = {"b": Percentiles(1, median=2.5), "c": Percentiles(1, median=7.0), "gone": Percentiles(1)}
    assert rendering.times("median", [scheduled(name) for name in "acbd"], known) == [
        {"jobNameLabel": "c", "time": 7.0},
        {"jobNameLabel": "b", "time": 2.5},
        {"jobNameLabel": "a", "time": 0.0},
        {"jobNameLabel": "d", "time": 0.0},
    ]


def test_an_unknown_percentile_has_no_times() -> None:
    assert rendering.times("50thPercentile", [FRESH], {}) == []


def test_a_fresh_job_has_a_histogram_of_zeros_for_the_python_client() -> None:
    found = rendering.job_stat(FRESH, Percentiles(), [])
    assert json.loads(msgspec.json.encode(found)) == {
        "histogram": dict.fromkeys(NAMES, 0.0) | {"count": 0},
        "taskStatHistory": [],
    }


def test_a_histogram_is_in_milliseconds() -> None:
    found = rendering.job_stat(FRESH, Percentiles.of([1.0, 2.0, 6.0]), [])["histogram"]
    assert (found["count"], found["mean"], found["median"], found["75thPercentile"]) == (3, 3000, 2000, 4000)


def test_the_history_shows_runs_that_came_to_have_a_task() -> None:
    due_ms = int(NOW * 1000)
    ran = Run(
        "a", due_ms, state="succeeded", launched=NOW, started=NOW + 1, ended=NOW + 93_785, agent_id="S1"
    )
    failed = Run("a", due_ms, 1, state="failed", launched=NOW, ended=NOW + 60)
    runs = [
        Run("a", due_ms, state="waiting"),
        Run("a", due_ms, state="skipped", ended=NOW),
        Run("a", due_ms, state="killed", ended=NOW),
        Run("a", due_ms, state="launching", launched=NOW),
        Run("a", due_ms, state="running", launched=NOW, started=NOW, elements_processed=7),
        failed,
        ran,
    ]
    job = scheduled(dataProcessingJobType=True)
    found = rendering.job_stat(job, Percentiles(), runs)["taskStatHistory"]
    assert [(one["status"], one["endTime"], one.get("duration")) for one in found] == [
        ("Idle", "N/A", None),
        ("Running", "N/A", None),
        ("Fail", "01/02/30 00:01:30", "1m0s"),
        ("Success", "01/03/30 02:03:35", "1d2h3m4s"),
    ]
    assert found[1]["numElementsProcessed"] == 7
    assert found[3] == {
        "taskId": "ct:1893542430000:0:a:",
        "jobName": "a",
        "slaveId": "S1",
        "startTime": "01/02/30 00:00:31",
        "endTime": "01/03/30 02:03:35",
        "status": "Success",
        "duration": "1d2h3m4s",
        "numElementsProcessed": 0,
    }


# ── refusals ──
def test_a_refusal_has_the_form_of_its_line() -> None:
    unknown = Unknown("x")
    assert rendering.refusal(unknown, "2.x") == (400, "text/plain", b"job 'x' not found")
    status, kind, body = rendering.refusal(unknown, "3.x")
    assert (status, kind) == (400, "application/json")
    assert json.loads(body) == {"status": "Bad Request", "message": "job 'x' not found"}
