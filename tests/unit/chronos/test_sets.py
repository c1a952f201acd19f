"""The jobs as a whole: circles are never closed, and whoever goes leaves a sound set behind."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.chronos import reading
from koinon.chronos.model import Job, Refused, successes_of
from tests.unit.chronos.asking import ask, dependent, named, scheduled

Windows = dict[str, tuple[int, ...]]


def after_deletion(jobs: dict[str, Job], name: str) -> dict[str, Job]:
    deletion = reading.deleted(jobs, name)
    assert deletion.job == jobs[name]
    return {key: job for key, job in jobs.items() if key != name} | named(*deletion.changed)


def test_who_is_not_there_cannot_be_deleted() -> None:
    with pytest.raises(Refused, match="job 'x' not found") as caught:
        reading.deleted({}, "x")
    assert caught.value.status == 400


def test_children_of_a_dependent_job_get_its_parents() -> None:
    jobs = named(scheduled("a"), scheduled("b"), dependent("middle", "a", "b"), dependent("c", "middle", "a"))
    assert after_deletion(jobs, "middle")["c"].parents == ("a", "b")


@pytest.mark.parametrize(
    ("known", "waiting", "inherited"),
    [
        ({"middle": (1, 2), "z": (1,)}, {}, {"a": (1, 2), "b": (1, 2), "z": (1,)}),
        ({"z": (1,)}, {}, {"z": (1,)}),
        ({}, {}, {}),
        ({"middle": (1,)}, {"a": (2, 3)}, {"a": (1, 2, 3), "b": (1,)}),
    ],
)
def test_what_a_dependent_job_waited_for_has_happened_if_it_succeeded(
    known: Windows, waiting: Windows, inherited: Windows
) -> None:
    jobs = named(
        *(scheduled(name) for name in "abz"),
        dependent("middle", "a", "b", successes=successes_of(waiting)),
        dependent("c", "middle", "z", successes=successes_of(known)),
    )
    assert after_deletion(jobs, "middle")["c"].unused == inherited


def test_a_child_with_other_parents_only_loses_the_one_that_goes() -> None:
    child = dependent("c", "a", "b", successes=successes_of({"a": (1,)}), owner_name="me")
    assert after_deletion(named(scheduled("a"), scheduled("b"), child), "a")["c"] == (
        msgspec.structs.replace(child, parents=("b",), successes=())
    )


def test_an_only_child_of_a_scheduled_job_takes_its_schedule_and_keeps_all_its_fields() -> None:
    child = ask(
        {
            "name": "c",
            "command": "true",
            "parents": ["a"],
            "ownerName": "me",
            "description": "d",
            "container": {"image": "i"},
            "environmentVariables": [{"name": "A", "value": "b"}],
            "constraints": [["rack", "EQUALS", "1"]],
            "concurrent": True,
        },
        named(scheduled("a")),
    )
    parent = scheduled("a", scheduleTimeZone="Europe/Paris")
    found = after_deletion(named(parent, child), "a")["c"]
    assert found == msgspec.structs.replace(child, parents=(), schedule=parent.schedule)


def test_a_child_that_did_not_run_as_its_parent_was_disabled_does_not_start_now() -> None:
    jobs = named(scheduled("a", disabled=True), dependent("c", "a"))
    assert after_deletion(jobs, "a")["c"].disabled


def test_a_circle_is_named_the_way_it_runs() -> None:
    jobs = named(scheduled("a"), dependent("b", "a"), dependent("c", "b"), dependent("d", "c", "a"))
    assert reading.cycle(jobs, "b", ["a", "d"]) == ("b", "c", "d", "b")
    assert reading.cycle(jobs, "d", ["a", "b"]) == ()


def test_a_long_chain_is_followed_to_its_end() -> None:
    chain = [scheduled("0"), *(dependent(str(n), str(n - 1)) for n in range(1, 20_000))]
    assert len(reading.cycle(named(*chain), "0", ["19999"])) == 20_001


def is_sound(jobs: dict[str, Job]) -> bool:
    """By taking away whoever waits for nobody, until nothing is left."""
    left = {name: set(job.parents) for name, job in jobs.items()}
    while free := [name for name, parents in left.items() if not parents & left.keys()]:
        for name in free:
            del left[name]
    return not left and all(parent in jobs for job in jobs.values() for parent in job.parents)


names = st.sampled_from("abcdef")
steps = st.lists(
    st.tuples(st.just("post"), names, st.frozensets(names, max_size=3))
    | st.tuples(st.just("delete"), names, st.just(frozenset())),
    max_size=25,
)


@given(steps)
def test_whatever_is_posted_and_deleted_the_set_stays_sound(
    steps: list[tuple[str, str, frozenset[str]]],
) -> None:
    jobs: dict[str, Job] = {}
    for verb, name, parents in steps:
        with contextlib.suppress(Refused):
            if verb == "delete":
                jobs = after_deletion(jobs, name)
            elif parents:
                jobs[name] = ask({"name": name, "parents": sorted(parents)}, jobs)
            else:
                jobs[name] = scheduled(name)
        assert is_sound(jobs)
        assert all(job.is_scheduled != job.is_dependent for job in jobs.values())
        assert all(job.unused.keys() <= set(job.parents) for job in jobs.values())
