"""The history over HTTP: what has been, what is under way, and why a job waits."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from koinon.chronos.history import Output
from koinon.mesos import v1
from tests.unit.chronos.api.conftest import V1, Api

H = "/v1/history"


async def run_often(api: Api, name: str = "a", times: int = 6) -> None:
    """So many runs, ten seconds apart, and all of them recorded."""
    await api.create(name, schedule=f"R{times}//PT10S")
    api.world.run(10 * times)
    await api.recorded()


async def test_runs_come_newest_first_and_in_pages(api: Api) -> None:
    """Each page says where the next begins; the last does not."""
    await run_often(api)
    whole = (await api.get(f"{H}/runs?job=a")).json
    assert (len(whole["runs"]), "before" in whole) == (6, False)
    gathered, before = [], ""
    for _ in range(3):
        page = (await api.get(f"{H}/runs?job=a&limit=2{before}")).json
        gathered += page["runs"]
        before = f"&before={page.get('before', '')}"
    assert gathered == whole["runs"]
    assert [one["due"] for one in gathered] == sorted((one["due"] for one in gathered), reverse=True)
    assert "before" not in page


async def test_run_tells_all_that_is_known(api: Api) -> None:
    """In times, places and how it ended."""
    await run_often(api, times=1)
    [run] = (await api.get(f"{H}/runs")).json["runs"]
    assert {
        "taskId",
        "job",
        "due",
        "launched",
        "started",
        "ended",
        "agentId",
        "durationSeconds",
    } <= run.keys()
    assert (run["state"], run["trigger"], run["attempt"]) == ("succeeded", "schedule", 0)
    assert run["window"] == run["due"]
    assert (await api.get(f"{H}/runs/{run['taskId']}")).json == run


async def test_run_under_way_is_in_the_history(api: Api) -> None:
    """And one that waits for room."""
    api.world.duration_s = lambda job: 100.0
    await api.create("a", in_s=1)
    await api.create("big", in_s=1, cpus=1000)
    api.world.run(5)
    states = {one["job"]: one["state"] for one in (await api.get(f"{H}/runs")).json["runs"]}
    assert states == {"a": "running", "big": "waiting"}
    assert [one["job"] for one in (await api.get(f"{H}/runs?state=waiting,failed")).json["runs"]] == ["big"]
    for one in (await api.get(f"{H}/runs")).json["runs"]:
        assert (await api.get(f"{H}/runs/{one['taskId']}")).json == one


async def test_runs_of_a_time(api: Api) -> None:
    """From, and up to without it; as ISO text or in seconds."""
    await run_often(api)
    dues = [one["due"] for one in (await api.get(f"{H}/runs")).json["runs"]]
    found = (await api.get(f"{H}/runs?since={dues[4]}&until={dues[1]}")).json["runs"]
    assert [one["due"] for one in found] == dues[2:5]
    assert (await api.get(f"{H}/runs?since=0&until=1.5")).json["runs"] == []


async def test_job_page_outlives_its_job(api: Api) -> None:
    """What a deleted job has done is still known."""
    await run_often(api)
    await api.delete(f"{V1}/job/a")
    found = (await api.get(f"{H}/jobs/a")).json
    assert (found["job"], len(found["runs"]), found["seconds"]["count"]) == ("a", 6, 6)
    assert (await api.get(f"{H}/jobs/none")).status == 404


@pytest.mark.parametrize(
    "query",
    ["state=good", "limit=0", "limit=x", "since=tomorrow", "since=-1", "until=1e99", "before=x", "since=nan"],
)
async def test_wrong_question_is_told(api: Api, query: str) -> None:
    """With the parameter that is wrong."""
    answer = await api.get(f"{H}/runs?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.message


async def test_output_is_shown_as_it_was_written(api: Api) -> None:
    """As text with its whole length; as JSON with what is no text replaced."""
    await run_often(api, times=1)
    [run] = api.world.ended_of("a")
    await api.shell.history.record_output(run.id, Output(b"<b>end\n", b"\xff", 1000, 1))
    out = await api.get(f"{H}/runs/{run.id}/stdout")
    assert (out.text, out.headers["X-Size"]) == ("<b>end\n", "1000")
    assert out.headers["Content-Type"].startswith("text/plain")
    assert (await api.get(f"{H}/runs/{run.id}/output")).json["stderr"] == "\N{REPLACEMENT CHARACTER}"
    assert (await api.get(f"{H}/runs/ct:1:0:none:/stdout")).status == 404


# ── why ───────────────────────────────────────────────────────────────────────────────────────────
async def why(api: Api, job: str) -> dict[str, Any]:
    answer = await api.get(f"/v1/koinon/why/{job}")
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


async def codes(api: Api, job: str) -> set[str]:
    return {one["code"] for one in (await why(api, job))["reasons"]}


async def test_why_follows_a_job_through_its_life(api: Api) -> None:
    """Not due, without room, running, to be tried again, failed."""
    api.world.fate = lambda job, attempt: v1.TaskState.TASK_FAILED
    await api.create("a", retries=1)
    await api.create("big", cpus=1000)
    await api.create("child", "a", "big")
    assert await codes(api, "a") == {"not_due"}
    assert await codes(api, "child") == {"parents"}
    api.world.run(10.5)
    assert await codes(api, "a") == {"running", "not_due"}
    assert "cpus needed" in str(await why(api, "big"))
    api.world.run(2)
    assert "retry" in await codes(api, "a")
    await api.recorded()
    assert "The attempt before: Command exited with status 3." in str(await why(api, "a"))
    api.world.run(20)
    assert await codes(api, "a") == {"failed", "not_due"}


async def test_why_knows_how_long_an_agent_out_of_reach_is_waited_for(api: Api) -> None:
    """For ever, unless the job says so."""
    api.world.duration_s = lambda job: 1000.0
    await api.create("a", in_s=1)
    await api.create("b", in_s=1, lostAfterSeconds=600)
    api.world.run(5)
    for agent in list(api.world.agents.values()):
        api.world.master.lose(agent)
    api.world.run(10)
    sentences = {
        job: next(one["sentence"] for one in (await why(api, job))["reasons"] if one["code"] == "unreachable")
        for job in "ab"
    }
    assert sentences["a"].endswith("declared gone.")
    assert sentences["b"].endswith("declared gone, or has been away for 10 min more.")
    [run] = (await api.get(f"{H}/runs?job=b&state=running")).json["runs"]
    assert run["unreachableSince"] > run["started"]


async def test_why_knows_that_no_master_is_there(api: Api) -> None:
    """And that a job is disabled, or at its end."""
    api.world.master.up = False
    api.world.disconnect()
    await api.create("a", in_s=1)
    await api.create("b", disabled=True)
    await api.create("c", schedule="R0/2014-01-01T00:00:00Z/PT60M")
    api.world.run(5)
    assert "no_master" in await codes(api, "a")
    assert await codes(api, "b") == {"disabled"}
    assert "exhausted" in await codes(api, "c")
    assert (await api.get("/v1/koinon/why/none")).status == 404


async def test_disabled_and_enabled_again_keeps_its_place(api: Api) -> None:
    """Nothing else changes by it."""
    await api.create("a", schedule="R/2031-01-31T00:00:00Z/P1M")
    before = (await api.get(f"{V1}/job/a")).json
    assert (await api.post("/v1/koinon/disable/a")).status == 204
    assert (await api.get(f"{V1}/job/a")).json == {**before, "disabled": True, "nextRun": ""}
    for _ in range(2):
        assert (await api.post("/v1/koinon/enable/a")).status == 204
    assert (await api.get(f"{V1}/job/a")).json == before
    await api.create("over", schedule="R0/2014-01-01T00:00:00Z/PT60M", disabled=True)
    assert (await api.post("/v1/koinon/enable/over")).status == 409


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{H}/runs?before=ct:99999999999999999999:0:a:", 400),
        (f"{H}/runs?before=ct:1:9999999999:a:", 400),
        (f"{H}/runs?before=ct:1:0:%00:", 400),
        (f"{H}/runs?job=%00", 400),
        (f"{H}/runs/ct:1:0:%00:", 404),
        (f"{H}/runs/%00/stdout", 404),
        (f"{H}/jobs/%00", 404),
    ],
)
async def test_what_no_database_can_be_asked_for(api: Api, path: str, status: int) -> None:
    """Is the caller's mistake: the history is there."""
    assert (await api.get(path)).status == status


async def test_statistics_are_of_the_job_that_there_is(api: Api) -> None:
    """Not of one of that name that was deleted, nor of the years before it was posted."""
    past = {"name": "a", "command": "true", "schedule": "R1/2001-01-01T00:00:00Z/P1D"}
    for _ in range(2):
        assert (await api.post(f"{V1}/iso8601", past)).status == 204
        assert (await api.get(f"{V1}/job/stat/a")).json["taskStatHistory"] == []
        api.world.run(10)
        await api.recorded()
        stat = (await api.get(f"{V1}/job/stat/a")).json
        assert (stat["histogram"]["count"], len(stat["taskStatHistory"])) == (1, 1)
        assert 0 <= stat["histogram"]["mean"] <= 10_000
        assert (await api.get(f"{V1}/stats/median")).json[0]["time"] <= 10
        assert (await api.get(f"{H}/jobs/a")).json["seconds"]["count"] == 1
        await api.delete(f"{V1}/job/a")
        api.world.run(10)


async def test_why_knows_of_a_history_that_is_away(api: Api) -> None:
    """As soon as it should have had the runs."""
    await run_often(api, times=1)
    [run] = api.world.history.values()
    ended = api.world.core.state.ended
    ended[run.id] = replace(run, ended=api.world.now - 59.0)
    assert "history" not in await codes(api, "a")
    ended[run.id] = replace(run, ended=api.world.now - 61.0)
    assert "One ended run of it waits for the history, the first for 61 s" in str(await why(api, "a"))
