"""An unmodified third-party client: the PyPI package `chronos-python` against a real Chronos, master and agent.

Every method of its ChronosClient is called, with both of the API's prefixes.
"""

import gc
import time
import warnings

import pytest

from tests.cluster.chronoses import NEVER, Chronoses, new_chronoses
from tests.cluster.harness import eventually

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import chronos

#: It leaves its connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

__all__ = ["new_chronoses"]

STATS = ("99th", "98th", "95th", "75th", "median", "mean")
#: A job that never ran.
NO_STAT = {
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


@pytest.fixture(autouse=True)
def collected():
    """What a test leaves is collected while warnings about it are still expected."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def chronoses(cluster):
    found = Chronoses(cluster)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(params=["v1", None], ids=["v1", "unversioned"])
def client(chronoses, request):
    """One whose jobs are deleted at the end."""
    found = chronos.connect(chronoses.roles[0].address, scheduler_api_version=request.param)
    yield found
    for job in found.list():
        found.delete(job["name"])


def definition(name="sleeper", **more):
    """With all that the client wants to be said; `async` only for the older line, but it never forgets to ask again."""
    made = {
        "name": name,
        "command": "exec sleep 1000",
        "owner": "me@example.com",
        "disabled": False,
        "async": False,
        "schedule": NEVER,
        **more,
    }
    return {key: value for key, value in made.items() if value is not None}


def summary(client, name):
    """Its line of the graph: `[status, state]`."""
    lines = [line.split(",") for line in client.scheduler_graph().splitlines()]
    return next(line[2:] for line in lines if line[:2] == ["node", name])


def test_added_job_is_listed_at_once(client):
    """Without the pause that clients make for the sake of the original."""
    assert client.list() == []
    assert client.add(definition()) is None
    [job] = client.list()
    assert (job["name"], job["command"], job["owner"]) == ("sleeper", "exec sleep 1000", "me@example.com")


def test_job_is_updated_and_deleted(client):
    """An update is a POST under the one prefix, and a PUT under the other."""
    client.add(definition())
    assert client.update(definition(command="true", cpus=0.2)) is None
    [job] = client.list()
    assert (job["command"], job["cpus"]) == ("true", 0.2)
    assert client.delete("sleeper") is None
    assert client.list() == []


def test_jobs_are_found(client):
    """By parts of their names and commands."""
    client.add(definition("one", command="echo first"))
    client.add(definition("two", command="echo second"))

    def names(**asked):
        return [job["name"] for job in client.search(**asked)]

    assert names(name="ON") == ["one"]
    assert names(command="echo") == ["one", "two"]
    assert names(name="t", command="first") == []


def test_dependent_job_runs_after_its_parent(client):
    """Run by hand, the parent starts it."""
    client.add(definition("first", command="true"))
    client.add(definition("second", command="true", schedule=None, parents=["first"]))
    assert client.scheduler_graph().splitlines() == [
        "node,first,fresh,idle",
        "node,second,fresh,idle",
        "link,first,second",
    ]
    assert client.run("first") is None
    eventually(lambda: summary(client, "second") == ["success", "idle"], "the second has succeeded", 20)
    eventually(lambda: client.job_stat("second")["histogram"]["count"], "the history has it")


def test_tasks_are_killed(client):
    """And the job stays."""
    client.add(definition())
    client.run("sleeper")
    eventually(lambda: summary(client, "sleeper") == ["fresh", "1 running"], "it runs", 20)
    task = client.job_stat("sleeper")["taskStatHistory"][0]  # it knows what was deleted, too
    assert task["status"] in ("Idle", "Running")
    assert client.delete_tasks("sleeper") is None
    eventually(lambda: summary(client, "sleeper") == ["fresh", "idle"], "it runs no more", 20)
    assert client.list()[0]["errorCount"] == 0


def test_statistics_of_fresh_jobs(client, chronoses):
    """All zero, and of each job."""
    name = f"fresh-{time.monotonic_ns()}"  # the history remembers jobs of before
    client.add(definition(name))
    assert client.job_stat(name) == NO_STAT
    for stat in STATS:
        assert getattr(client, f"scheduler_stat_{stat}")() == [{"jobNameLabel": name, "time": 0.0}]


def test_metrics_have_version_and_gauges(client):
    """They have no prefix."""
    found = client.metrics()
    assert {"version", "gauges"} <= found.keys()


def test_second_server_is_asked_when_the_first_is_not_there(client, chronoses):
    """A list of servers is a list."""
    several = chronos.connect(["127.0.0.1:1", chronoses.roles[0].address])
    assert several.list() == []


def test_refusals_are_errors(client):
    """Of Chronos's, and of the client's own."""
    for call in (client.run, client.delete, client.delete_tasks, client.job_stat):
        with pytest.raises(chronos.ChronosAPIError):
            call("none")
    with pytest.raises(chronos.ChronosAPIError):
        client.add(definition(schedule="R/tomorrow/PT1M"))
    with pytest.raises(chronos.MissingFieldError):
        client.add({"name": "incomplete"})
    with pytest.raises(chronos.OneOfViolationError):
        client.add(definition(parents=["a"]))
    assert client.list() == []


def test_name_with_spaces_is_of_the_older_line(client):
    """The versioned API refuses it."""
    job = definition("my job #1")
    if client.scheduler_api_version is not None:
        with pytest.raises(chronos.ChronosAPIError):
            client.add(job)
        return
    client.add(job)
    assert client.job_stat("my job #1") == NO_STAT
    assert client.run("my job #1") is None
    assert client.delete("my job #1") is None


def test_wrong_password_is_told(new_chronoses):
    """With credentials, the client gives them."""
    chronoses = new_chronoses(http_credentials="ann:secret")
    [role] = chronoses.roles
    assert chronos.connect(role.address, username="ann", password="secret").list() == []
    with pytest.raises(chronos.ChronosAPIError):  # into which it turns its own UnauthorizedError
        chronos.connect(role.address, username="ann", password="wrong").list()
