"""Wrong definitions: each is answered with 400 and a sentence that says where the mistake is and what it is."""

from __future__ import annotations

from typing import Any

import pytest

from koinon.chronos import reading
from koinon.chronos.model import Defaults, Line, Refused
from tests.unit.chronos.asking import HOURLY, NOW, dependent, named, scheduled

#: a ← b ← c
JOBS = named(scheduled("a"), dependent("b", "a"), dependent("c", "b"))


def job(**fields: Any) -> dict[str, Any]:
    """A good scheduled job but for these fields."""
    return {"name": "x", "command": "true", "schedule": HOURLY} | fields


def child(*parents: Any, **fields: Any) -> dict[str, Any]:
    """A good dependent job but for these parents and fields."""
    return {"name": "x", "command": "true", "parents": list(parents)} | fields


def container(**fields: Any) -> dict[str, Any]:
    return job(container={"image": "nginx"} | fields)


def volume(**fields: Any) -> dict[str, Any]:
    return container(volumes=[fields])


#: What is posted as a scheduled job, and what is said.
SCHEDULED: list[tuple[Any, str]] = [
    (job(command="ü" * 70_000), "command must have at most 131071 bytes, not 140000"),
    # ── the body ──
    ([], "a job must be a JSON object, not an array"),
    ("R1//P", "a job must be a JSON object, not 'R1//P'"),
    (None, "a job must be a JSON object, not null"),
    # ── names ──
    ({"command": "true"}, "name is missing"),
    (job(name=None), "name is missing"),
    (job(name=""), "name must be made of letters, digits, '_', '-' and '.', not ''"),
    (job(name="with space"), "name must be made of letters, digits, '_', '-' and '.', not 'with space'"),
    (job(name="a/b"), "name must be made of"),
    (job(name="a:b"), "name must be made of"),
    (job(name="größe"), "name must be made of"),
    (job(name=".."), "name must be made of"),
    (job(name=["x"]), "name must be text, not an array"),
    (job(name="x" * 201), "name must have at most 200 characters, not 201"),
    # ── types ──
    (job(command=["x"]), "command must be text, not an array"),
    (job(command="a\0b"), "command must not hold a NUL character"),
    (job(command="\ud800"), "command is no valid Unicode"),
    (job(shell="maybe"), "shell must be true or false, not 'maybe'"),
    (job(disabled=1), "disabled must be true or false, not 1"),
    (job(arguments="-x"), "arguments must be an array, not '-x'"),
    (job(arguments=[{}]), "arguments[0] must be text, not an object"),
    (job(owner="a@b.c\nBcc: d@e.f"), "owner must be a single line without control characters"),
    (job(runAsUser="a\tb"), "runAsUser must be a single line"),
    (job(lastError="yesterday"), "lastError must be a time in ISO 8601, or empty, not 'yesterday'"),
    (job(lastError="0001-01-01T00:00:00+14:00"), "lastError must be a time in ISO 8601"),
    (job(lastError=5), "lastError must be a time in ISO 8601"),
    (job(successCount=-1), "successCount must be 0 or more, not -1"),
    # ── amounts ──
    (job(cpus="many"), "cpus must be a number, not 'many'"),
    (job(cpus=True), "cpus must be a number, not true"),
    (job(cpus=-1), "cpus must be 0 or more, not -1"),
    (job(cpus=0.0001), "cpus must be 0.001 or more, or 0 for what is usual"),
    (job(cpus="nan"), "cpus must be a number, not 'nan'"),
    (job(cpus="1_000"), "cpus must be a number, not '1_000'"),
    (job(cpus="٣"), "cpus must be a number, not '٣'"),
    (job(mem=10**400), "mem must be at most 1000000000000, not "),
    (job(mem=-(10**400)), "mem must be 0 or more, not "),
    (job(mem="1e999"), "mem must be at most 1000000000000, not "),
    (job(mem=1e13), "mem must be at most 1000000000000, not 10000000000000.0"),
    (job(disk={}), "disk must be a number, not an object"),
    (job(gpus=0.5), "gpus must be a whole number, not 0.5"),
    (job(retries=-1), "retries must be 0 or more, not -1"),
    (job(retries="2.5"), "retries must be a whole number, not '2.5'"),
    (job(retries=2**31), "retries must be at most 2147483647, not 2147483648"),
    (job(maxCompletionTime=-5), "maxCompletionTime must be 0 or more"),
    (job(retryDelaySeconds="soon"), "retryDelaySeconds must be a number, not 'soon'"),
    (job(lostAfterSeconds=0), "lostAfterSeconds must be 0.001 or more, not 0"),
    (job(retryBackoffFactor=0.5), "retryBackoffFactor must be 1 or more, not 0.5"),
    # ── when ──
    (job(schedule="*/5 * * *"), "*/5 * * *"),
    (job(schedule="R5/2030-01-02T00:01:00Z"), "R5/2030-01-02T00:01:00Z"),
    (job(schedule="5/2030-01-02T00:01:00Z/PT1M"), "5/2030-01-02T00:01:00Z/PT1M"),
    (job(schedule="R/tomorrow/PT1M"), "R/tomorrow/PT1M"),
    (job(schedule="R/1969-12-31T00:00:00Z/P1D"), "R/1969-12-31T00:00:00Z/P1D"),
    (job(schedule="R/2030-01-01T00:00:00Z/P"), "R/2030-01-01T00:00:00Z/P"),
    (job(schedule=["R1//P"]), "schedule must be text, not an array"),
    (job(cron="61 * * * *", schedule=None), "61 * * * *"),
    (job(cron="0 9 * * *"), "cron and schedule must not both be given, as they do not say the same"),
    (job(scheduleTimeZone="Mars/Olympus"), "Mars/Olympus"),
    (job(scheduleTimeZone=["UTC"]), "scheduleTimeZone must be text, not an array"),
    (job(parents=["a"]), "schedule and parents must not both be given: a job has one of them"),
    (child("a"), "parents are for dependent jobs, which are posted to …/dependency"),
    (job(epsilon="a minute"), "epsilon must be an ISO 8601 duration like PT60S, not 'a minute'"),
    (job(epsilon=60), "epsilon must be an ISO 8601 duration like PT60S, not 60"),
    (job(missedRuns="some"), "missedRuns must be one of one, all, skip, not 'some'"),
    (job(overlap="wait"), "overlap must be one of skip, queue, allow, not 'wait'"),
    (job(overlap="skip", concurrent=True), "overlap 'skip' contradicts concurrent"),
    (job(overlap="allow", concurrent=False), "overlap 'allow' contradicts concurrent"),
    # ── what ──
    (job(shell=False, command=""), "command is missing, and with shell false it is what is executed"),
    (job(fetch=["http://x/y"]), "fetch[0] must be an object, not 'http://x/y'"),
    (job(fetch=[{"extract": False}]), "fetch[0].uri is missing"),
    (job(fetch=[{"uri": ""}]), "fetch[0].uri must not be empty"),
    (job(uris="http://x/y"), "uris must be an array"),
    (job(uris=["p"], fetch=[{"uri": "q"}]), "uris and fetch must not both be given"),
    (job(environmentVariables={"A": "b"}), "environmentVariables must be an array, not an object"),
    (job(environmentVariables=[{"name": "A"}]), "environmentVariables[0].value is missing"),
    (job(environmentVariables=[{"name": "A=B", "value": ""}]), "environmentVariables[0].name must not hold '='"),
    (job(constraints=["rack"]), "constraints[0] must be an array of attribute, operator and value"),
    (job(constraints=[["rack", "EQUALS"]]), "constraints[0] must be an array of attribute, operator and value"),
    (job(constraints=[["rack", "UNIQUE", ""]]), "constraints[0][1] must be one of EQUALS, LIKE, UNLIKE, not 'UNIQUE'"),
    (job(constraints=[["rack", "LIKE", "("]]), "constraints[0][2] must be a regular expression, not '('"),
    # ── containers ──
    (job(container="nginx"), "container must be an object, not 'nginx'"),
    (job(container={"volumes": [{"containerPath": "x"}]}), "container.image is missing"),
    (container(type="LXC"), "container.type must be one of DOCKER, MESOS, not 'LXC'"),
    (container(network="bridge"), "container.network must be one of BRIDGE, HOST, USER, not 'bridge'"),
    (container(network="USER"), "container.network USER needs a networkName or networkInfos"),
    (container(networkInfos=[{}]), "container.networkInfos[0].name is missing"),
    (
        container(networkInfos=[{"name": "n", "portMappings": [{"hostPort": 70000, "containerPort": 1}]}]),
        "container.networkInfos[0].portMappings[0].hostPort must be at most 65535, not 70000",
    ),
    (container(type="MESOS", parameters=[{"key": "a", "value": "b"}]), "container.parameters are for the type DOCKER only"),
    (container(parameters=[{"key": "a"}]), "container.parameters[0].value is missing"),
    (container(forcePullImage="yes"), "container.forcePullImage must be true or false, not 'yes'"),
    (volume(hostPath="/a"), "container.volumes[0].containerPath is missing"),
    (volume(containerPath="/a", mode="RX"), "container.volumes[0].mode must be one of RO, RW, not 'RX'"),
    (
        volume(containerPath="/a", hostPath="/b", external={"name": "n", "provider": "p"}),
        "container.volumes[0] must have one of hostPath and external, not both",
    ),
    (volume(containerPath="/a", external={"name": "n"}), "container.volumes[0].external.provider is missing"),
]  # fmt: skip

#: What is posted as a dependent job, and what is said.
DEPENDENT: list[tuple[Any, str]] = [
    (child(), "parents is missing: a dependent job needs one or more"),
    (job(), "parents is missing: a dependent job needs one or more"),
    (child("a", schedule=HOURLY), "schedule and parents must not both be given"),
    (child(parents="a"), "parents must be an array, not 'a'"),
    (child({}), "parents[0] must be text, not an object"),
    (child(""), "parents[0] must not be empty"),
    (child("a", "nobody"), "parents must be jobs, and 'nobody' is none"),
    (child("p", "q"), "parents must be jobs, and 'p', 'q' are none"),
    (child(*"pqrst"), "parents must be jobs, and 'p', 'q', 'r', 's', 't' are none"),
    (
        child(*"pqrstuv"),
        "parents must be jobs, and 'p', 'q', 'r', 's', 't' and 2 more are none",
    ),
    (child("x"), "parents must not make a circle: x → x"),
    (child("c", name="b"), "parents must not make a circle: b → c → b"),
    (child("c", name="a"), "parents must not make a circle: a → b → c → a"),
]


def refused(asked: reading.Asked, body: Any, line: Line = "3.x") -> Refused:
    with pytest.raises(Refused) as caught:
        reading.job(body, asked=asked, line=line, jobs=JOBS, defaults=Defaults(), now=NOW)
    return caught.value


@pytest.mark.parametrize(("body", "said"), SCHEDULED)
def test_a_wrong_scheduled_job_is_refused_with_a_sentence(body: Any, said: str) -> None:
    why = refused("iso8601", body)
    assert why.status == 400
    assert said in why.message


@pytest.mark.parametrize(("body", "said"), DEPENDENT)
def test_a_wrong_dependent_job_is_refused_with_a_sentence(body: Any, said: str) -> None:
    why = refused("dependency", body)
    assert why.status == 400
    assert said in why.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "x", "command": "true"}, "schedule is missing"),
        ({"name": "x", "schedule": HOURLY}, "command is missing"),
        (job(name=" x"), "name must be made of letters, digits, '_', '-', '.', '#' and spaces within"),
        (job(name="a\tb"), "name must be made of"),
    ],
)
def test_the_older_line_asks_for_more(body: Any, said: str) -> None:
    assert said in refused("iso8601", body, "2.x").message


def test_all_problems_are_told_at_once_after_the_name() -> None:
    why = refused("iso8601", job(cpus="x", retries=-1, container={"image": "i", "type": "LXC"}))
    assert why.message == (
        "job 'x': cpus must be a number, not 'x'; retries must be 0 or more, not -1; "
        "container.type must be one of DOCKER, MESOS, not 'LXC'"
    )


@pytest.mark.parametrize("content", [b"", b"{", b"{'name': 1}", b"\xff", b'{"cpus": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match="the body is no JSON") as caught:
        reading.body(content)
    assert caught.value.status == 400
