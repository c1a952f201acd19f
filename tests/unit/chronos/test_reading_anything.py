"""Whatever JSON is sent: it is read, or refused with 400 and a sentence. Nothing else is raised."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from koinon.chronos import reading, rendering
from koinon.chronos.model import Defaults, Job, Line, Refused
from tests.unit.chronos.asking import HOURLY, NOW, dependent, named, scheduled

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.sampled_from([10**400, -(10**4000), 1e308])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "..", "a", "a b", "R1//P", "R/", "* * * * *", "UTC", "0", "1e999", "MESOS", "P1D"])
    | st.text(max_size=5)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

PAIR = {"key": "a", "value": "b"}
JOB: dict[str, Any] = {
    "name": "x",
    "command": "true",
    "arguments": ["a"],
    "schedule": HOURLY,
    "scheduleTimeZone": "Europe/Paris",
    "parents": ["a"],
    "epsilon": "PT60S",
    "cpus": 1,
    "retries": 2,
    "overlap": "queue",
    "concurrent": False,
    "missedRuns": "all",
    "lastError": "2030-01-01T00:00:00.000Z",
    "owner": "a@b.c",
    "uris": ["u"],
    "fetch": [{"uri": "u", "output_file": "v"}],
    "environmentVariables": [{"name": "A", "value": "b"}],
    "constraints": [["rack", "LIKE", "a"]],
    "container": {
        "image": "i",
        "network": "USER",
        "networkInfos": [
            {"name": "n", "labels": [PAIR], "portMappings": [{"hostPort": 1, "containerPort": 2}]}
        ],
        "volumes": [
            {"containerPath": "a", "external": {"name": "n", "provider": "p", "options": [PAIR]}},
            {"containerPath": "a", "hostPath": "b", "mode": "RO"},
        ],
        "parameters": [PAIR],
    },
}
JOBS = named(scheduled("a"), dependent("b", "a"))


def places(value: Any) -> list[list[Any]]:
    """The way to every value inside."""
    if isinstance(value, dict):
        inner = [[key, *way] for key, one in value.items() for way in places(one)]
    elif isinstance(value, list):
        inner = [[at, *way] for at, one in enumerate(value) for way in places(one)]
    else:
        inner = []
    return [[], *inner]


@st.composite
def bodies(draw: st.DrawFn) -> Any:
    """A good body of one kind but for what stands at up to three places."""
    body: Any = copy.deepcopy(JOB)
    body.pop(draw(st.sampled_from(["schedule", "parents"])))
    for way in draw(st.lists(st.sampled_from(places(body)), max_size=3)):
        value = draw(anything)
        if not way:
            return value
        holder = body
        try:
            for step in way[:-1]:
                holder = holder[step]
            holder[way[-1]] = value
        except (TypeError, KeyError, IndexError):  # an earlier change took that place away
            continue
    return body


def outcome(ask: Callable[[], Any]) -> Any:
    """What came of it, were it a refusal."""
    try:
        return ask()
    except Refused as why:
        return why


@given(bodies(), st.sampled_from(["iso8601", "dependency"]), st.sampled_from(["2.x", "3.x"]))
@example(JOB | {"parents": None, "retries": 10**400}, "iso8601", "3.x")
@example(JOB | {"parents": None, "name": "\ud800"}, "iso8601", "3.x")
def test_a_body_is_read_or_refused_with_a_sentence(body: Any, asked: reading.Asked, line: Line) -> None:
    job = outcome(lambda: reading.job(body, asked=asked, line=line, jobs=JOBS, defaults=Defaults(), now=NOW))
    if isinstance(job, Refused):
        assert job.status == 400
        assert job.message
        assert rendering.refusal(job, line).body
        return
    assert job.is_scheduled != job.is_dependent
    stored = msgspec.json.encode(job)
    assert msgspec.json.decode(stored, type=Job) == job
    msgspec.json.encode(rendering.render_job(job, line))


@given(st.binary(max_size=30))
def test_any_bytes_are_json_or_refused(content: bytes) -> None:
    found = outcome(lambda: reading.body(content))
    assert not isinstance(found, Refused) or found.status == 400


@pytest.mark.parametrize("asked", ["iso8601", "dependency"])
def test_the_body_that_the_others_are_made_of_is_good(asked: reading.Asked) -> None:
    without = "parents" if asked == "iso8601" else "schedule"
    body = {key: value for key, value in JOB.items() if key != without}
    reading.job(body, asked=asked, line="3.x", jobs=JOBS, defaults=Defaults(), now=NOW)
