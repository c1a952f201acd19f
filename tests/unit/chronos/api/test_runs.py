"""Runs over HTTP: by hand, killed, marked, completed by a call; the graph and statistics."""

from __future__ import annotations

from typing import Any

import pytest

from koinon.mesos import v1
from tests.unit.chronos.api.conftest import V0, V1, Api

NEVER: dict[str, Any] = {"schedule": "R0/2014-01-01T00:00:00Z/PT60M"}


async def test_run_by_hand_has_its_arguments(api: Api) -> None:
    """It starts now, whatever the schedule says, disabled or not."""
    await api.create("a", schedule="R/2031-01-01T00:00:00Z/P1D", disabled=True)
    assert (await api.put(f"{V1}/job/a?arguments=-v%20today")).status == 204
    api.world.run(5)
    [run] = api.world.ended_of("a")
    assert (run.state, run.trigger, run.arguments) == ("succeeded", "manual", "-v today")


async def test_kill_ends_what_runs(api: Api) -> None:
    """And nothing is tried again."""
    api.world.duration_s = lambda job: 1000.0
    await api.create("a", in_s=1)
    api.world.run(5)
    assert (await api.delete(f"{V1}/task/kill/a")).status == 204
    api.world.run(5)
    assert api.world.states_of("a") == {"killed": 1}


async def test_all_that_waits_is_dropped(api: Api) -> None:
    """Retries of all jobs; schedules go on. Only the older line had this."""
    api.world.fate = lambda job, attempt: v1.TaskState.TASK_FAILED
    await api.create("a", in_s=1)
    await api.create("b", in_s=1)
    api.world.run(4)
    assert {run.state for run in api.world.core.state.runs.values()} == {"waiting"}
    assert (await api.delete(f"{V1}/task/all")).status == 405
    assert (await api.delete(f"{V0}/task/all")).status == 204
    assert not api.world.core.state.runs
    assert (await api.get(f"{V1}/job/a")).json["nextRun"]


async def test_run_by_hand_names_its_task(api: Api) -> None:
    """So that whoever asked for it can follow it."""
    await api.create("a", **NEVER)
    answers = [await api.put(f"{V1}/job/a") for _ in range(2)]
    api.world.run(10)
    assert [run.id for run in api.world.ended_of("a")] == [one.headers["Chronos-Task-Id"] for one in answers]


@pytest.mark.parametrize("prefix", [V0, V1])
async def test_marked_success_starts_children(api: Api, prefix: str) -> None:
    """The text says whether there is such a job; the status does not."""
    await api.create("a", **NEVER)
    await api.create("b", "a")
    answer = await api.put(f"{prefix}/job/success/a")
    assert (answer.status, answer.text) == (200, "marked job a as successful: true")
    api.world.run(5)
    assert api.world.states_of("b") == {"succeeded": 1}
    answer = await api.put(f"{prefix}/job/success/none")
    assert (answer.status, answer.text) == (200, "marked job none as successful: false")


@pytest.mark.parametrize(("code", "state"), [(0, "succeeded"), ("0", "succeeded"), (1, "failed")])
async def test_call_completes_an_asynchronous_run(api: Api, code: object, state: str) -> None:
    """Its task's end has not."""
    await api.create("a", in_s=1, retries=0, **{"async": True})
    api.world.run(10)
    [run] = api.world.core.state.runs_of("a")
    assert (await api.put(f"{V0}/task/{run.id}", {"statusCode": code})).status == 204
    assert api.world.states_of("a") == {state: 1}
    again = await api.put(f"{V0}/task/{run.id}", {"statusCode": code})
    assert (again.status, "is not running" in again.text) == (400, True)


@pytest.mark.parametrize("body", [{}, [], {"statusCode": "x"}, {"statusCode": True}, {"statusCode": 1.5}])
async def test_completion_must_say_how(api: Api, body: object) -> None:
    """A whole number."""
    answer = await api.put(f"{V0}/task/ct:1:0:a:", body)
    assert (answer.status, "statusCode" in answer.text) == (400, True)


async def test_progress_counts_elements(api: Api) -> None:
    """Of data processing jobs, while they run."""
    api.world.duration_s = lambda job: 100.0
    await api.create("a", in_s=1, dataProcessingJobType=True)
    await api.create("b", in_s=1)
    api.world.run(5)
    [run], [other] = api.world.core.state.runs_of("a"), api.world.core.state.runs_of("b")
    path = f"{V1}/job/a/task/{run.id}/progress"
    for more in (3, 4):
        assert (await api.post(path, {"numAdditionalElementsProcessed": more})).status == 204
    assert (await api.get(f"{V1}/job/stat/a")).json["taskStatHistory"][0]["numElementsProcessed"] == 7
    for wrong, body in (
        (path, {"numAdditionalElementsProcessed": -1}),
        (path, {}),
        (f"{V1}/job/a/task/{other.id}/progress", {"numAdditionalElementsProcessed": 1}),
        (f"{V1}/job/b/task/{other.id}/progress", {"numAdditionalElementsProcessed": 1}),
        (f"{V1}/job/a/task/nonsense/progress", {"numAdditionalElementsProcessed": 1}),
        (f"{V1}/job/a/task/ct:1:0:a:/progress", {"numAdditionalElementsProcessed": 1}),
    ):
        assert (await api.post(wrong, body)).status == 400, wrong


async def test_graph_of_a_chain(api: Api) -> None:
    """As lines, and for Graphviz."""
    await api.create("a", **NEVER)
    await api.create("b", "a")
    csv = await api.get(f"{V1}/graph/csv")
    assert csv.text.splitlines() == ["node,a,fresh,idle", "node,b,fresh,idle", "link,a,b"]
    dot = await api.get(f"{V1}/graph/dot")
    assert "1 -> 2" in dot.text
    assert {csv.headers["Content-Type"], dot.headers["Content-Type"]} == {"text/plain; charset=utf-8"}


async def test_statistics_of_a_fresh_job_are_zero(api: Api) -> None:
    """Clients compare with this."""
    await api.create("a", **NEVER)
    for name in ("99thPercentile", "98thPercentile", "95thPercentile", "75thPercentile", "median", "mean"):
        assert (await api.get(f"{V1}/stats/{name}")).json == [{"jobNameLabel": "a", "time": 0.0}]
    assert (await api.get(f"{V1}/stats/other")).json == []
    assert (await api.get(f"{V1}/job/stat/a")).json == {
        "histogram": {
            "75thPercentile": 0.0,
            "95thPercentile": 0.0,
            "98thPercentile": 0.0,
            "99thPercentile": 0.0,
            "median": 0.0,
            "mean": 0.0,
            "count": 0,
        },
        "taskStatHistory": [],
    }


async def test_job_stat_tells_of_the_newest_runs(api: Api) -> None:
    """Those of the history and the one that runs."""
    await api.create("a", schedule="R/2030-03-17T17:46:50Z/PT10S")
    api.world.run(70)
    api.world.duration_s = lambda job: 7.0
    api.world.run(10)
    await api.recorded()
    stat = (await api.get(f"{V1}/job/stat/a")).json
    assert stat["histogram"]["count"] >= 6
    assert len(stat["taskStatHistory"]) == 5
    assert (stat["taskStatHistory"][0]["status"], stat["taskStatHistory"][0]["endTime"]) == ("Running", "N/A")
    assert {one["status"] for one in stat["taskStatHistory"][1:]} == {"Success"}
    ids = [one["taskId"] for one in stat["taskStatHistory"]]
    assert ids == sorted(ids, reverse=True)


@pytest.mark.parametrize("arguments", ["%00", "a%00b"])
async def test_arguments_that_no_process_can_have_are_refused(api: Api, arguments: str) -> None:
    """Else each attempt would fail at its agent."""
    await api.create("a")
    answer = await api.put(f"{V1}/job/a?arguments={arguments}")
    assert (answer.status, answer.message) == (400, "arguments must not hold a NUL character")
    assert "a" not in api.world.core.state.queued
