"""`koinon app`, `plan`, `deploy` and `why /APP`, against Marathon's API over a core in a small world whose time flies."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from koinon.cli import main
from koinon.cli.apps.client import Marathon
from koinon.cli.apps.plan import differences
from koinon.cli.service import Place, place_of
from koinon.marathon import api as rest
from koinon.mesos.v1 import TaskState
from tests.unit.marathon.api.conftest import FakeRuntime
from tests.unit.marathon.world import World

APP = {"id": "/web", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "instances": 2}
POD = {
    "id": "/pod",
    "containers": [
        {"name": "one", "resources": {"cpus": 0.1, "mem": 16}, "exec": {"command": {"shell": "sleep 1"}}}
    ],
}
Koinon = Callable[..., tuple[int, str, str]]


class Background:
    """A Marathon in a thread of its own; each moment a second passes in its world."""

    def __init__(self) -> None:
        self.world = World()
        self.world.run(1)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._started.wait()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(middlewares=[rest.errors])
        app.add_routes(rest.routes(FakeRuntime(self.world)))  # type: ignore[arg-type]
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        while not self._over.is_set():
            self.world.run(1)
            await asyncio.sleep(0.01)
        await runner.cleanup()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()


@pytest.fixture
def marathon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Background]:
    background = Background()
    monkeypatch.setenv("KOINON_MARATHON", background.address)
    monkeypatch.setenv("KOINON_MASTER", "127.0.0.1:1")
    yield background
    background.close()


@pytest.fixture
def koinon(marathon: Background, capfdbinary: pytest.CaptureFixture[bytes]) -> Koinon:
    def run(*argv: str) -> tuple[int, str, str]:
        status = main(argv)
        captured = capfdbinary.readouterr()
        return status, captured.out.decode(), captured.err.decode()

    return run


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(content: Any, name: str = "app.json") -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def deployed(koinon: Koinon, path: str) -> None:
    status, _, error = koinon("deploy", path, "--wait")
    assert (status, error) == (0, "")


# ── plan and deploy ───────────────────────────────────────────────────────────────────────────────
def test_a_plan_tells_what_would_change_and_nothing_is_done(koinon: Koinon, file: Callable[..., str]) -> None:
    status, printed, _ = koinon("plan", file(APP))
    assert (status, printed) == (
        0,
        "+ app /web: create\nsteps:\n  1. StartApplication /web\n  2. ScaleApplication /web\n",
    )
    assert koinon("app", "list", "--json")[1] == "[]\n"
    deployed(koinon, file(APP))
    assert koinon("plan", file(APP))[1] == "nothing changes\n"
    changed = {**APP, "mem": 17, "env": {"A": "b"}, "labels": {"x": "y"}}
    assert koinon("plan", file(changed))[1].splitlines() == [
        "~ app /web: update",
        '    + env: {"A": "b"}',
        '    + labels.x: "y"',
        "    ~ mem: 16 → 17",
        "steps:",
        "  1. RestartApplication /web",
    ]
    told = json.loads(koinon("plan", file({**APP, "instances": 3}), "--json")[1])
    assert [(one["id"], one["change"]) for one in told["changes"]] == [("/web", "scale")]


def test_files_of_all_kinds_make_one_deployment(koinon: Koinon, file: Callable[..., str]) -> None:
    group = {"id": "/team", "apps": [{**APP, "id": "db"}]}
    several = file("id: /web\ncmd: sleep 1000\ncpus: 0.1\nmem: 16\n---\n" + json.dumps(POD), "two.yaml")
    status, printed, error = koinon("deploy", several, file([group], "list.json"), "--wait")
    assert (status, error) == (0, "")
    assert printed.splitlines()[:3] == [
        "+ pod /pod: create",
        "+ app /team/db: create",
        "+ app /web: create",
    ]
    assert printed.endswith("done\n")
    listed = json.loads(koinon("app", "list", "--json")[1])
    assert [(one["id"], one["status"], one["running"], one["instances"]) for one in listed] == [
        ("/pod", "RUNNING", 1, 1),
        ("/team/db", "RUNNING", 2, 2),
        ("/web", "RUNNING", 1, 1),
    ]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("{", "app.json", "is no JSON"),
        ("a: [", "app.yaml", "is neither JSON nor YAML"),
        ("", "app.yaml", "defines nothing"),
        ("[]", "app.json", "defines nothing"),
        ("[7]", "app.json", "must hold objects"),
        ('{"cmd": "x"}', "app.json", "something in it has no id"),
    ],
)
def test_a_file_that_defines_nothing_is_refused(
    koinon: Koinon, file: Callable[..., str], content: str, name: str, said: str
) -> None:
    status, _, error = koinon("deploy", file(content, name))
    assert status == 1
    assert said in error
    assert koinon("deploy", "/not/there")[0] == 1


def test_all_that_is_wrong_with_a_definition_is_told(koinon: Koinon, file: Callable[..., str]) -> None:
    status, _, error = koinon("deploy", file({**APP, "cpus": -1, "instances": "x"}))
    assert status == 1
    assert error.startswith("koinon: Invalid JSON\n  /apps")
    assert "  /apps(0)/instances: " in error


def test_a_lock_is_told_with_the_way_out(koinon: Koinon, file: Callable[..., str]) -> None:
    status, printed, _ = koinon("deploy", file({**APP, "cpus": 999}))
    deployment = printed.splitlines()[-1].removeprefix("deployment ")
    status, _, error = koinon("app", "scale", "web", "3")
    assert (status, f"(deployment {deployment}; --force cancels it)" in error) == (1, True)
    assert f"locked by deployment {deployment}" in koinon("plan", file(APP))[1]
    assert koinon("app", "cancel", deployment, "--wait")[0] == 0
    assert koinon("app", "list", "--json")[1] == "[]\n"


def test_a_deployment_of_which_tasks_fail_is_given_up_and_rolled_back(
    koinon: Koinon, marathon: Background, file: Callable[..., str]
) -> None:
    checked = {**APP, "healthChecks": [{"protocol": "HTTP", "intervalSeconds": 2, "timeoutSeconds": 1}]}
    deployed(koinon, file(checked))
    marathon.world.fate = lambda info: TaskState.TASK_FAILED if "broken" in info.command.value else None  # type: ignore[operator,union-attr]
    broken = file({**checked, "cmd": "broken"})
    status, printed, error = koinon("deploy", broken, "--rollback", "--max-failures", "1")
    assert status == 1
    assert "is given up: 2 tasks failed" in error
    assert "on host-S" in printed
    assert printed.endswith("rolled back\n")
    (listed,) = json.loads(koinon("app", "list", "--json")[1])
    assert (listed["command"], listed["running"]) == ("sleep 1000", 2)


def test_who_waits_no_longer_is_told_why_it_took_so_long(koinon: Koinon, file: Callable[..., str]) -> None:
    status, printed, error = koinon("deploy", file({**APP, "cpus": 999}), "--timeout", "500ms")
    assert status == 1
    assert "it has not ended within 0.5 s" in error
    assert "999 cpus needed" in error
    assert "it goes on; `koinon app cancel" in printed


# ── app ───────────────────────────────────────────────────────────────────────────────────────────
def test_an_app_is_shown_scaled_restarted_rolled_back_and_destroyed(
    koinon: Koinon, file: Callable[..., str]
) -> None:
    deployed(koinon, file(APP))
    shown = koinon("app", "show", "web")[1]
    assert shown.startswith("/web is running: 2 of 2 instances run\n\nTASK ")
    assert '"cmd": "sleep 1000"' in shown
    assert json.loads(koinon("app", "show", "/web", "--json")[1])["tasksRunning"] == 2
    assert koinon("app", "scale", "web", "3", "--wait")[0] == 0
    deployed(koinon, file({**APP, "cmd": "sleep 2000"}))
    assert koinon("app", "restart", "web", "--wait")[0] == 0
    versions = koinon("app", "versions", "web")[1].split()
    assert versions == sorted(versions, reverse=True)
    assert koinon("app", "rollback", "web", versions[-1], "--wait")[0] == 0
    (listed,) = json.loads(koinon("app", "list", "--json")[1])
    assert (listed["command"], listed["instances"]) == ("sleep 1000", 2)
    table = koinon("app", "list")[1].splitlines()
    assert table[0].split() == ["APP", "STATUS", "RUNNING", "HEALTHY", "CPUS", "MEM", "CHANGED", "COMMAND"]
    assert koinon("app", "destroy", "web", "--yes", "--wait")[0] == 0
    status, _, error = koinon("app", "show", "web")
    assert (status, error) == (1, "koinon: Marathon knows no app /web; `koinon app list` lists all\n")


def test_without_a_version_the_last_change_is_undone(koinon: Koinon, file: Callable[..., str]) -> None:
    deployed(koinon, file(APP))
    status, _, error = koinon("app", "rollback", "web")
    assert (status, error) == (1, "koinon: /web has no earlier version\n")
    deployed(koinon, file({**APP, "cmd": "sleep 2000"}))
    koinon("app", "scale", "web", "1", "--wait")
    assert koinon("app", "rollback", "web", "--wait")[0] == 0
    (listed,) = json.loads(koinon("app", "list", "--json")[1])
    assert listed["command"] == "sleep 1000"


def test_a_canary_is_let_go_on(koinon: Koinon, file: Callable[..., str]) -> None:
    canary = {**APP, "labels": {"koinon.canary": "1"}}
    deployed(koinon, file(canary))
    status, printed, _ = koinon("deploy", file({**canary, "mem": 17}), "--wait")
    assert (status, printed.splitlines()[-1]) == (
        0,
        "done: its canaries run; `koinon app go /web` lets it go on",
    )
    assert "`koinon app go /web`" in koinon("why", "/web")[1]
    assert koinon("app", "go", "web")[0] == 0
    status, _, error = koinon("app", "go", "nowhere")
    assert (status, error) == (1, "koinon: /nowhere is not being deployed\n")


def test_pods_are_shown_scaled_and_destroyed_like_apps(koinon: Koinon, file: Callable[..., str]) -> None:
    deployed(koinon, file(POD))
    assert json.loads(koinon("app", "show", "pod")[1])["status"] == "STABLE"
    assert koinon("app", "scale", "pod", "2", "--wait")[0] == 0
    assert len(json.loads(koinon("app", "show", "pod")[1])["instances"]) == 2
    assert koinon("app", "destroy", "pod", "--yes", "--wait")[0] == 0
    assert koinon("app", "list", "--json")[1] == "[]\n"


def test_why_tells_of_apps(koinon: Koinon, file: Callable[..., str]) -> None:
    koinon("deploy", file({**APP, "cpus": 999}))
    status, printed, _ = koinon("why", "/web")
    assert (status, printed.splitlines()[0]) == (0, "app /web is deploying: 0 of 2 instances run")
    assert json.loads(koinon("why", "/web", "--json")[1])["reasons"]
    status, _, error = koinon("why", "/nowhere")
    assert (status, error) == (
        1,
        "koinon: Marathon knows no app or pod /nowhere; `koinon app list` lists all\n",
    )


def test_logs_need_a_task(koinon: Koinon, file: Callable[..., str]) -> None:
    koinon("deploy", file({**APP, "instances": 0}))
    status, _, error = koinon("app", "logs", "web")
    assert (status, "no task of /web runs" in error) == (1, True)
    status, _, error = koinon("app", "logs", "web", "--failed")
    assert (status, error) == (1, "koinon: no task of /web has failed\n")


# ── where Marathon is ─────────────────────────────────────────────────────────────────────────────
def test_the_next_address_is_asked_when_one_is_away(koinon: Koinon, marathon: Background) -> None:
    assert koinon("app", "list", "--json", "--marathon", f"127.0.0.1:1,{marathon.address}")[1] == "[]\n"
    status, _, error = koinon("app", "list", "--marathon", "127.0.0.1:1")
    assert status == 1
    assert error == "koinon: no Marathon at 127.0.0.1:1: it refuses connections; start one with `koinon up`\n"
    status, _, error = koinon("app", "list", "--marathon", "ftp://x")
    assert (status, "must be host:port" in error) == (1, True)


def test_user_and_password_are_taken_from_the_address_and_never_told() -> None:
    place = place_of("http://ann:se:cret@box:80", Marathon)
    assert place == Place("box", 80, "ann:se:cret")
    assert str(place) == "box:80"
    assert str(place_of("[::1]", Marathon)) == "[::1]:8080"


def test_differences_are_told_where_they_are() -> None:
    before = {"a": 1, "b": {"c": [1, 2], "d": 1}, "e": [{"f": 1}], "version": "1"}
    after = {"a": 2, "b": {"c": [1, 2, 3]}, "e": [{"f": 2}], "g": None, "version": "2"}
    assert list(differences(before, after)) == [
        "~ a: 1 → 2",
        "~ b.c: [1, 2] → [1, 2, 3]",
        "- b.d: 1",
        "~ e[0].f: 1 → 2",
        "+ g: null",
    ]
