"""What GET shows can be posted back: nothing changes by that, not even where the schedule stands."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from koinon.chronos.model import Job, Line, successes_of
from koinon.chronos.rendering import render_job
from tests.unit.chronos.asking import NOW, ask, named, scheduled

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
lines = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=8)
words = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,6}", fullmatch=True)
amounts = st.floats(0.001, 1e6) | st.integers(1, 10**6)
counts = st.integers(0, 10**9)
times = st.floats(0, 4e9).map(lambda at: round(at, 3))


def object_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Each field may be missing."""
    return st.fixed_dictionaries({}, optional=fields)


pairs = st.lists(st.fixed_dictionaries({"key": lines, "value": texts}), max_size=2)
volumes = st.one_of(
    st.fixed_dictionaries(
        {"containerPath": lines}, optional={"hostPath": lines, "mode": st.sampled_from(["RO", "rw"])}
    ),
    st.fixed_dictionaries(
        {
            "containerPath": lines,
            "external": st.fixed_dictionaries(
                {"name": lines, "provider": lines}, optional={"options": pairs}
            ),
        }
    ),
)
ports = st.integers(0, 65535)
mappings = st.fixed_dictionaries(
    {"hostPort": ports, "containerPort": ports}, optional={"protocol": st.sampled_from(["tcp", "udp"])}
)
networks = st.fixed_dictionaries(
    {"name": lines},
    optional={
        "protocol": st.sampled_from(["IPv4", "IPv6"]),
        "labels": pairs,
        "portMappings": st.lists(mappings, max_size=2),
    },
)
containers = st.fixed_dictionaries(
    {"image": lines},
    optional={
        "network": st.sampled_from(["BRIDGE", "HOST"]),
        "networkName": lines,
        "networkInfos": st.lists(networks, max_size=2),
        "volumes": st.lists(volumes, max_size=2),
        "parameters": pairs,
        "forcePullImage": st.booleans(),
    },
)
schedules = st.sampled_from(
    ["R/2030-01-31T09:00:00Z/P1M", "R5//PT10M", "R1//P", "R0/2014-01-01T00:00:00Z/PT60M", "*/5 * * * *"]
)
bodies = object_of(
    command=texts,
    arguments=st.lists(texts, max_size=2),
    executor=texts,
    executorFlags=texts,
    taskInfoData=texts,
    runAsUser=lines,
    environmentVariables=st.lists(
        st.fixed_dictionaries({"name": words, "value": texts}), max_size=2
    ),
    fetch=st.lists(
        st.fixed_dictionaries(
            {"uri": lines},
            optional={"executable": st.booleans(), "extract": st.booleans(), "output_file": lines},
        ),
        max_size=2,
    ),
    container=containers,
    cpus=amounts,
    mem=amounts,
    disk=amounts,
    gpus=st.integers(0, 8),
    constraints=st.lists(st.tuples(lines, st.just("EQUALS"), texts).map(list), max_size=2),
    disabled=st.booleans(),
    highPriority=st.booleans(),
    overlap=st.sampled_from(["skip", "queue", "allow"]),
    missedRuns=st.sampled_from(["one", "all", "skip"]),
    epsilon=st.sampled_from(["PT15M", "P1D"]),
    retries=counts,
    retryDelaySeconds=st.integers(0, 10**6),
    lostAfterSeconds=st.none() | st.integers(1, 10**6),
    retryBackoffFactor=st.floats(1, 100),
    maxCompletionTime=st.integers(0, 10**6),
    softError=st.booleans(),
    dataProcessingJobType=st.booleans(),
    owner=lines,
    ownerName=lines,
    description=texts,
    notifyOnSuccess=st.booleans(),
    successCount=counts,
    errorCount=counts,
)  # fmt: skip
bodies_async = st.tuples(bodies, st.booleans()).map(lambda both: both[0] | {"async": both[1]})


@given(
    bodies_async,
    schedules,
    st.sampled_from(["", "Europe/Paris", "PST"]),
    st.integers(0, 3),
    times | st.none(),
    st.sampled_from(["2.x", "3.x"]),
)
def test_a_scheduled_job_comes_back_the_same(
    body: dict[str, Any], schedule: str, zone: str, launches: int, at: float | None, line: Line
) -> None:
    job = ask({"name": "a", "schedule": schedule, "scheduleTimeZone": zone} | body)
    assert job.schedule is not None
    for launch in range(launches):
        if job.schedule.due is not None:
            advanced = job.schedule.advanced(max(job.schedule.due, NOW) + launch)
            job = msgspec.structs.replace(job, schedule=advanced, last_success=at, last_error=at)
    assert posted_back(job, line, named(job)) == job


@given(bodies_async, st.frozensets(st.sampled_from("pqr"), min_size=1), st.sampled_from(["2.x", "3.x"]))
def test_a_dependent_job_comes_back_the_same(
    body: dict[str, Any], parents: frozenset[str], line: Line
) -> None:
    jobs = named(*(scheduled(name) for name in "pqr"))
    job = ask({"name": "a", "parents": sorted(parents)} | body, jobs)
    job = msgspec.structs.replace(job, successes=successes_of({min(parents): (0, 5)}))
    assert posted_back(job, line, jobs | named(job)) == job


def posted_back(job: Job, line: Line, jobs: dict[str, Job]) -> Job:
    body = msgspec.json.decode(msgspec.json.encode(render_job(job, line)))
    return ask(body, jobs, line=line, now=NOW + 1000)
