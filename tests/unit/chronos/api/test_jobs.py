"""Definitions over HTTP: what was posted is shown, and what is wrong is refused in the form of the prefix."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.chronos.api.conftest import V0, V1, Api

LATER = "R/2031-01-01T00:00:00Z/P1D"
OLD = {"name": "old", "command": "true", "epsilon": "PT30M", "owner": "a@b.c", "async": False}


async def test_posted_job_is_in_the_next_answer(api: Api) -> None:
    """Whoever posts a job reads it at once, under both prefixes, alone and in the list."""
    await api.create("a", schedule=LATER)
    for prefix in (V0, V1):
        one = (await api.get(f"{prefix}/job/a")).json
        assert (one["name"], one["command"], one["cpus"]) == ("a", "true", 1)
        assert one["schedule"] == "R/2031-01-01T00:00:00.000Z/P1D"
        assert [job["name"] for job in (await api.get(f"{prefix}/jobs")).json] == ["a"]


async def test_answer_comes_when_the_job_is_durable(api: Api) -> None:
    """A leader that dies right after the answer has promised nothing that is lost."""
    await api.create("a", schedule=LATER)
    api.world.crash()
    api.world.lead()
    assert (await api.get(f"{V1}/job/a")).status == 200


async def test_older_line_creates_and_replaces_by_put_too(api: Api) -> None:
    """Clients of the unversioned API put updates; the versioned one has POST only."""
    assert (await api.put(f"{V0}/iso8601", {**OLD, "schedule": LATER})).status == 204
    assert (await api.put(f"{V0}/iso8601", {**OLD, "schedule": LATER, "command": "false"})).status == 204
    assert (await api.get(f"{V0}/job/old")).json["command"] == "false"
    refused = await api.put(f"{V1}/iso8601", {**OLD, "schedule": LATER})
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")


async def test_job_changes_its_kind(api: Api) -> None:
    """A scheduled job that is posted with parents is a dependent one, and the reverse."""
    await api.create("a", schedule=LATER)
    await api.create("b", schedule=LATER)
    await api.create("b", "a")
    assert (await api.get(f"{V1}/job/b")).json["parents"] == ["a"]
    await api.create("b", schedule=LATER)
    assert "parents" not in (await api.get(f"{V1}/job/b")).json


async def test_search_pages_through_what_matches(api: Api) -> None:
    """Name and command, whatever the case, a page at a time."""
    for number in range(12):
        await api.create(f"Job{number:02}", schedule=LATER, command=f"echo {number % 2}")
    assert len((await api.get(f"{V1}/jobs/search?name=job")).json) == 10
    found = (await api.get(f"{V1}/jobs/search?name=JOB&command=echo%201&offset=4&limit=5")).json
    assert [job["name"] for job in found] == ["Job09", "Job11"]
    assert (await api.get(f"{V1}/jobs/search?limit=x")).status == 400


async def test_summary_tells_what_each_is_at(api: Api) -> None:
    """Fresh and idle, running, successful."""
    api.world.duration_s = lambda job: 5.0
    await api.create("a")
    await api.create("b", "a", disabled=True)

    async def lines() -> list[tuple[str, str]]:
        found = (await api.get(f"{V1}/jobs/summary")).json["jobs"]
        return [(one["status"], one["state"]) for one in found]

    assert await lines() == [("fresh", "idle"), ("fresh", "idle")]
    api.world.run(12)
    assert await lines() == [("fresh", "1 running"), ("fresh", "idle")]
    api.world.run(10)
    assert await lines() == [("success", "idle"), ("fresh", "idle")]


async def test_delete_gives_children_the_schedule(api: Api) -> None:
    """The only parent of a job goes: the job has its schedule."""
    await api.create("a", schedule=LATER)
    await api.create("b", "a")
    assert (await api.delete(f"{V1}/job/a")).status == 204
    assert (await api.get(f"{V1}/job/a")).status == 400
    assert (await api.get(f"{V1}/job/b")).json["schedule"] == "R/2031-01-01T00:00:00.000Z/P1D"


async def test_names_are_taken_from_paths_unquoted(api: Api) -> None:
    """The older line's names have spaces and `#`."""
    body = {**OLD, "name": "my job #1", "schedule": LATER}
    assert (await api.post(f"{V0}/iso8601", body)).status == 204
    assert (await api.get(f"{V0}/job/my%20job%20%231")).json["name"] == "my job #1"
    assert (await api.put(f"{V0}/job/my%20job%20%231")).status == 204
    assert (await api.delete(f"{V0}/job/my%20job%20%231")).status == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/iso8601", {"name": "a b", "command": "x", "schedule": LATER}, 400),
        ("POST", "/iso8601", {"name": "a", "command": "x", "schedule": "R/tomorrow/PT1M"}, 400),
        ("POST", "/iso8601", "{", 400),
        ("POST", "/iso8601", "[" * 100_000, 400),
        ("POST", "/dependency", {"name": "a", "command": "x", "parents": ["none"]}, 400),
        ("GET", "/job/none", None, 400),
        ("PUT", "/job/none", None, 400),
        ("DELETE", "/job/none", None, 400),
        ("DELETE", "/task/kill/none", None, 400),
        ("GET", "/job/stat/none", None, 400),
        ("GET", "/nothing/here", None, 404),
        ("PATCH", "/jobs", None, 405),
    ],
)
async def test_refusal_has_the_form_of_its_line(
    api: Api, method: str, path: str, body: Any, status: int
) -> None:
    """Of the newer one `status` and `message` as JSON, of the older one the bare sentence; and nothing is stored."""
    newer = await api.ask(method, V1 + path, body)
    assert newer.status == status, newer.text
    assert newer.json.keys() == {"status", "message"}
    assert newer.message
    assert "Traceback" not in newer.text
    if path != "/iso8601" or not isinstance(body, dict):  # the lines differ in what they take
        older = await api.ask(method, V0 + path, body)
        assert (older.status, older.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
        assert older.text
    assert (await api.get(f"{V1}/jobs")).json == []


async def test_body_must_be_told_to_be_json(api: Api) -> None:
    """A form is none."""
    answer = await api.ask(
        "POST", f"{V1}/iso8601", "name=a", {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status == 415
    assert answer.json["status"] == "Unsupported Media Type"


async def test_leader_is_told_with_and_without_prefix(api: Api) -> None:
    """Documents say the one, the original has the other."""
    for prefix in ("", V0, V1):
        assert (await api.get(f"{prefix}/leader")).json == {"leader": "127.0.0.1:4400"}
    api.shell.leads = None
    assert (await api.get("/leader")).status == 503


@pytest.mark.parametrize("path", ["/scheduler/jobs/", "//scheduler//jobs", "/v1/scheduler/jobs/?x=1"])
async def test_superfluous_slashes_do_not_matter(api: Api, path: str) -> None:
    """Clients put paths together."""
    await api.create("a", schedule=LATER)
    assert [job["name"] for job in (await api.get(path)).json] == ["a"]
    wrong = await api.get(path.replace("jobs", "bjos"))
    assert wrong.status == 404
