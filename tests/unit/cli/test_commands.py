"""Commands against a small server that plays master and agent."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from koinon.cli import main
from tests.unit.cli.fake import Fake, serving

RESOURCES = {"cpus": 1.0, "mem": 64.0, "disk": 0, "gpus": 0}
FRAMEWORK = "11aa-0000"
SANDBOX = f"/frameworks/{FRAMEWORK}/executors"


def task(task_id: str, state: str, name: str = "job", executor_id: str = "") -> dict[str, Any]:
    return {
        "id": task_id,
        "name": name,
        "framework_id": FRAMEWORK,
        "executor_id": executor_id,
        "slave_id": "agent-1",
        "state": f"TASK_{state}",
        "role": "*",
        "resources": RESOURCES,
        "statuses": [{"state": f"TASK_{state}", "timestamp": 1000.0}],
    }


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with serving(Fake()) as one:
        agent = {
            "id": "agent-1",
            "hostname": "box",
            "pid": f"slave(1)@{one.address}",
            "port": 5051,
            "active": True,
            "version": "1.11.0",
            "attributes": {"rack": "a"},
            "resources": {**RESOURCES, "cpus": 8.0},
            "used_resources": RESOURCES,
            "registered_time": 1000.0,
        }
        one.answers["/slaves"] = {"slaves": [agent], "recovered_slaves": []}
        monkeypatch.setenv("KOINON_MASTER", one.address)
        yield one


@pytest.fixture
def koinon(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., tuple[int, str, str]]:
    def run(*argv: str) -> tuple[int, str, str]:
        status = main(argv)
        captured = capfdbinary.readouterr()
        return status, captured.out.decode(), captured.err.decode()

    return run


def test_tasks_are_listed_in_aligned_columns_when_piped(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task("one", "RUNNING"), task("another", "FINISHED")]}
    status, out, _ = koinon("tasks", "--all")
    lines = out.splitlines()
    assert (status, len(lines)) == (0, 3)
    assert lines[0].split() == [
        "TASK",
        "NAME",
        "STATE",
        "FRAMEWORK",
        "HOST",
        "ROLE",
        "CPUS",
        "MEM",
        "CHANGED",
    ]
    assert lines[1].split()[:8] == ["one", "job", "RUNNING", FRAMEWORK, "box", "*", "1", "64"]
    assert lines[1].index("RUNNING") == lines[2].index("FINISHED") == lines[0].index("STATE")


def test_ended_tasks_show_only_when_asked_for(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {
        "tasks": [task("one", "RUNNING"), task("two", "FAILED"), task("three", "FINISHED")]
    }

    def listed(*options: str) -> list[str]:
        return [one["id"] for one in json.loads(koinon("tasks", "--json", *options)[1])]

    assert listed() == ["one"]
    assert listed("--all") == ["one", "two", "three"]
    assert listed("--state", "failed") == ["two"]
    assert listed("--framework", "22") == []


def test_agents_show_what_is_used_of_what_they_have(fake: Fake, koinon: Any) -> None:
    (agent,) = json.loads(koinon("agents", "--json")[1])
    assert (agent["id"], agent["state"], agent["cpus_used"], agent["cpus"], agent["address"]) == (
        "agent-1",
        "ACTIVE",
        1,
        8,
        fake.address,
    )
    assert "1/8" in koinon("agents")[1]


def test_agents_that_have_not_come_back_yet_are_awaited(fake: Fake, koinon: Any) -> None:
    awaited = {"id": "agent-2", "hostname": "far", "port": 5051, "attributes": {}}
    fake.answers["/slaves"] = {"slaves": [], "recovered_slaves": [awaited]}
    assert json.loads(koinon("agents", "--json")[1])[0]["state"] == "AWAITED"


def test_ps_shows_what_tasks_use(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task("one", "RUNNING"), task("two", "FINISHED")]}
    fake.answers["/frameworks"] = {"frameworks": [], "completed_frameworks": []}
    used = {
        "cpus_user_time_secs": 15.0,
        "cpus_system_time_secs": 5.0,
        "mem_rss_bytes": 3 << 20,
        "timestamp": 1010.0,
    }
    fake.answers["/monitor/statistics"] = [
        {"framework_id": FRAMEWORK, "executor_id": "one", "statistics": used}
    ]
    (shown,) = json.loads(koinon("ps", "--json")[1])
    assert (shown["id"], shown["cpus_used"], shown["mem_used"]) == ("one", 2.0, 3.0)


def test_logs_print_both_streams_of_a_task_found_by_the_begin_of_its_id(
    fake: Fake, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    fake.answers["/tasks"] = {"tasks": [task("job-1", "FINISHED"), task("other", "RUNNING")]}
    fake.files[f"{SANDBOX}/job-1/runs/latest/stdout"] = b"out\xff\n" + b"x" * 100_000
    fake.files[f"{SANDBOX}/job-1/runs/latest/stderr"] = b"oops\n"
    assert main(["logs", "job"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == b"out\xff\n" + b"x" * 100_000
    assert captured.err == b"oops\n"


def test_cat_prints_every_byte(fake: Fake, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    content = bytes(range(256)) * 1000
    fake.answers["/tasks"] = {"tasks": [task("job-1", "FINISHED")]}
    fake.files[f"{SANDBOX}/job-1/runs/latest/stdout"] = b""
    fake.files[f"{SANDBOX}/job-1/runs/latest/data/all"] = content
    assert main(["cat", "job-1", "data/all"]) == 0
    assert capfdbinary.readouterr().out == content


def test_logs_tail_begins_with_the_last_lines(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task("job-1", "FINISHED")]}
    lines = "".join(f"line {number}\n" for number in range(20_000))
    fake.files[f"{SANDBOX}/job-1/runs/latest/stdout"] = lines.encode()
    fake.files[f"{SANDBOX}/job-1/runs/latest/stderr"] = b"no newline at the end"
    _, out, err = koinon("logs", "job-1", "-n", "2")
    assert (out, err) == ("line 19998\nline 19999\n", "no newline at the end")
    assert koinon("logs", "job-1", "-n", "0")[1] == ""


def test_logs_follow_until_the_task_has_ended(fake: Fake, koinon: Any) -> None:
    running, ended = {"tasks": [task("job-1", "RUNNING")]}, {"tasks": [task("job-1", "FINISHED")]}
    fake.answers["/tasks"] = (running, running, ended)
    fake.files[f"{SANDBOX}/job-1/runs/latest/stdout"] = b"all\n"
    fake.files[f"{SANDBOX}/job-1/runs/latest/stderr"] = b""
    assert koinon("logs", "-f", "job-1") == (0, "all\n", "")


def test_a_task_of_the_default_executor_has_a_folder_of_its_own(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task("job-1", "RUNNING", executor_id="default")]}
    fake.files[f"{SANDBOX}/default/runs/latest/tasks/job-1/stdout"] = b"mine\n"
    assert koinon("cat", "job-1") == (0, "mine\n", "")


def test_ls_lists_the_sandbox(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task("job-1", "RUNNING")]}
    fake.files[f"{SANDBOX}/job-1/runs/latest/stdout"] = b"12345"
    assert koinon("ls", "job-1")[1] == "stdout\n"
    assert koinon("ls", "-l", "job-1")[1].split()[:5] == ["-rw-r--r--", "1", "me", "us", "5"]


def test_why_tells_the_decisions_in_order(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task("job-1", "RUNNING")]}
    fake.answers["/frameworks"] = {"frameworks": [], "completed_frameworks": []}
    fake.answers["/why"] = {
        "decisions": [{"time": 1000.0, "code": "launched", "sentence": "Launched on box."}]
    }
    _, out, _ = koinon("why", "job-1")
    assert re.fullmatch(
        r"task job-1 \(job\) has been running for \d+d on box \(agent agent-1\)", out.splitlines()[0]
    )
    assert out.splitlines()[1].endswith("Launched on box.")
    assert json.loads(koinon("why", "job-1", "--json")[1])["decisions"][0]["code"] == "launched"


def framework(state: str, framework_id: str = FRAMEWORK) -> dict[str, Any]:
    return {
        "id": framework_id,
        "name": "job",
        "user": "me",
        "roles": ["*"],
        "active": state == "ACTIVE",
        "connected": state == "ACTIVE",
        "tasks": [],
        "completed_tasks": [],
        "used_resources": RESOURCES,
        "registered_time": 1000.0,
    }


def ended(state: str, sentence: str) -> dict[str, Any]:
    return {"decisions": [{"time": 1000.0, "code": f"task_{state}", "sentence": sentence}]}


def test_why_of_work_that_is_over_tells_how_its_task_ended(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task("job-1", "FAILED")]}
    fake.answers["/frameworks"] = {"frameworks": [], "completed_frameworks": [framework("COMPLETED")]}
    fake.answers["/why"] = ended(
        "failed", "FAILED, said the executor: Command terminated with signal Killed."
    )
    first, second = koinon("why", "job")[1].splitlines()
    assert re.fullmatch(
        r"task job-1 \(job\) failed \d+d ago on box \(agent agent-1\), exit status 137", first
    )
    assert second.endswith("FAILED, said the executor: Command terminated with signal Killed.")


def test_why_of_several_tasks_tells_each_in_short(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task(f"job-{number:02}", "FINISHED") for number in range(12)]}
    fake.answers["/frameworks"] = {"frameworks": [], "completed_frameworks": [framework("COMPLETED")]}
    fake.answers["/why"] = ended("finished", "FINISHED, said the executor: Command exited with status 0.")
    lines = koinon("why", "job")[1].splitlines()
    assert lines[0] == "12 tasks; the latest 10:"
    assert (len(lines), lines[-1]) == (21, "  FINISHED, said the executor: Command exited with status 0.")
    assert re.match(r"task job-11 finished \d+d ago on box .*, exit status 0$", lines[-2])
    assert len(json.loads(koinon("why", "job", "--json")[1])) == 12


def test_why_of_a_framework_that_waits_tells_its_reasons(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": [task("job-1", "FAILED")]}
    fake.answers["/frameworks"] = {
        "frameworks": [framework("ACTIVE", "22bb-0001")],
        "completed_frameworks": [],
    }
    fake.answers["/why"] = {"decisions": [{"time": 1000.0, "code": "no_agents", "sentence": "None is here."}]}
    lines = koinon("why", "job")[1].splitlines()
    assert lines[0] == "framework 22bb-0001 (job) is active"
    assert lines[1].endswith("None is here.")


def test_why_of_nothing_known_says_where_to_look(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": []}
    fake.answers["/frameworks"] = {"frameworks": [], "completed_frameworks": []}
    assert "knows no task and no framework 'job'; `koinon tasks --all` and" in koinon("why", "job")[2]


def test_listings_of_tasks_say_that_agents_are_still_to_come_back(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {"tasks": []}
    fake.answers["/frameworks"] = {"frameworks": [], "completed_frameworks": []}
    fake.answers["/slaves"]["recovered_slaves"] = [{"id": "agent-2"}]
    fake.calls["GET_MASTER"] = {"get_master": {"elected_time": time.time() - 100}}
    for command in ("ps", "tasks"):
        assert re.fullmatch(
            r"koinon: this master leads for 10\ds; 1 agent has not come back yet, and the tasks there"
            r" are not listed\n",
            koinon(command)[2],
        )


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
            "broke off in the middle of its answer to /slaves",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[",
            "broke off in the middle of its answer",
        ),
        (b"", "closed the connection without an answer to /slaves"),
        (b"SSH-2.0-OpenSSH\r\n", "is no master"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>",
            "is no master: its answer to /slaves is no JSON",
        ),
    ],
)
def test_an_answer_that_is_none_is_told_for_what_it_is(koinon: Any, answer: bytes, sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        status, out, err = koinon("agents", "--master", f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert sentence in err


@pytest.mark.parametrize(
    ("tasks", "sentence"),
    [
        ([], "the master knows no task 'job'; `koinon tasks --all` lists those it remembers"),
        (
            [task("job-1", "RUNNING"), task("job-2", "RUNNING")],
            "'job' may mean job-1, job-2: write more of the id",
        ),
        (
            [task("job", "RUNNING"), {**task("job", "RUNNING"), "framework_id": "22"}],
            f"'job' may mean job of framework {FRAMEWORK}, job of framework 22: give --framework",
        ),
    ],
)
def test_a_task_that_cannot_be_told_is_explained(
    fake: Fake, koinon: Any, tasks: list[dict[str, Any]], sentence: str
) -> None:
    fake.answers["/tasks"] = {"tasks": tasks}
    assert koinon("cat", "job") == (1, "", f"koinon: {sentence}\n")


def test_a_running_task_is_meant_before_one_that_ended(fake: Fake, koinon: Any) -> None:
    fake.answers["/tasks"] = {
        "tasks": [task("a-1", "FINISHED"), task("a-2", "RUNNING"), task("a-3", "FAILED")]
    }
    fake.files[f"{SANDBOX}/a-2/runs/latest/stdout"] = b"two\n"
    assert koinon("cat", "job")[1] == "two\n"


def test_a_standby_master_leads_to_the_leader(
    fake: Fake, koinon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Fake()) as standby:
        standby.redirect = f"//{fake.address}/slaves"
        assert json.loads(koinon("agents", "--json", "--master", standby.address)[1])[0]["id"] == "agent-1"


def test_no_master_is_one_sentence_and_status_1(koinon: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    sentence = f"koinon: no master at {address}: start one with `koinon up`\n"
    for command in (["ps"], ["run", "true"], ["cat", "x"]):
        assert koinon(*command, "--master", address) == (1, "", sentence)


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["run"], "Missing argument 'COMMAND'"),
        (["runn", "true"], "There is no command 'runn'. Did you mean 'run'?"),
        (["run", "true", "--env", "A"], "'A' is not KEY=VALUE"),
        (["run", "true", "--timeout", "soon"], "'soon' is not a duration"),
        (["run", "true", "--instances", "0"], "0 is not in the range x>=1"),
        (["run", "true", "--name", "a/b"], "use letters, digits"),
        (["tasks", "--bogus"], "No such option"),
        (["tasks", "--state", "BOGUS"], "'BOGUS' is no state of a task: STAGING, STARTING, RUNNING, "),
    ],
)
def test_mistakes_in_usage_give_status_2(koinon: Any, argv: list[str], part: str) -> None:
    status, out, err = koinon(*argv)
    assert (status, out) == (2, "")
    assert part in err


def test_help_lists_every_command(koinon: Any) -> None:
    status, out, _ = koinon("--help")
    assert status == 0
    for command in (
        "up",
        "run",
        "ps",
        "agents",
        "frameworks",
        "roles",
        "tasks",
        "logs",
        "cat",
        "ls",
        "why",
        "master",
        "agent",
    ):
        assert f"\n  {command} " in out
