"""The laws that the partition tests judge by can be broken: each story here breaks one, and only that one."""

from pathlib import Path
from typing import Any

import pytest

from tests.partitions import laws
from tests.partitions.history import History

REGISTERED = {
    "who": "agent-1",
    "what": "Registered",
    "agent": "S1",
    "master": "m1",
    "cluster": "c",
    "epoch": 1,
}


def story(*entries: tuple[float, str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Agent and framework with the first master, then these: at, who, what, further fields."""
    begin = [
        {"at": 0.0, **REGISTERED},
        {"at": 0.1, "who": "sdk", "what": "subscribed", "framework": "f1", "master": "m1"},
        {"at": 0.1, "who": "pymesos", "what": "subscribed", "framework": "f2", "master": "m1"},
    ]
    return begin + [{"at": at, "who": who, "what": what, **fields} for at, who, what, fields in entries]


def offer(offer_id: str, *ports: tuple[int, int]) -> dict[str, Any]:
    return {"offer": offer_id, "agent": "S1", "ports": ports}


def accepted(task: str, kind: str = "short") -> dict[str, Any]:
    return {"offer": "o1", "task": task, "kind": kind, "agent": "S1", "port": 1}


def update(task: str, state: str, **fields: str) -> dict[str, Any]:
    return {"task": task, "state": f"TASK_{state}", **fields}


LIFE = (
    (1.0, "sdk", "offer", offer("o1", (1, 9))),
    (1.1, "sdk", "accepted", accepted("t")),
    (1.2, "sdk", "update", update("t", "STARTING")),
    (1.3, "sdk", "update", update("t", "RUNNING")),
)
FINISHED = (2.0, "sdk", "update", update("t", "FINISHED"))
RAN = "start 1.2\nend 1.9\n"


def broken(
    tmp_path: Path, entries: list[dict[str, Any]], steps: str | None = RAN, **options: Any
) -> set[str]:
    if steps is not None:
        (tmp_path / "t").write_text(steps)
    return {line.partition(":")[0] for line in laws.broken(History(entries, tmp_path, **options))}


def test_a_quiet_life_breaks_nothing(tmp_path: Path) -> None:
    assert broken(tmp_path, story(*LIFE, FINISHED)) == set()


def test_a_leader_heard_after_the_next_one_has_begun(tmp_path: Path) -> None:
    takeover = (3.0, "agent-1", "Registered", {"agent": "S1", "master": "m2", "cluster": "c", "epoch": 2})
    late = (4.0, "sdk", "update", update("t", "FINISHED"))
    assert broken(tmp_path, story(*LIFE, takeover, late)) == {"one_leader_acts"}
    assert broken(tmp_path, story(*LIFE, takeover, late), ended={"m1": 3.2}) == {"one_leader_acts"}
    # It was said before.
    assert broken(tmp_path, story(*LIFE, takeover, late), ended={"m1": 2.9}) == set()
    moved = (3.5, "sdk", "subscribed", {"framework": "f1", "master": "m2"})
    assert broken(tmp_path, story(*LIFE, takeover, moved, late)) == set()


def test_a_leader_that_acts_after_the_next_one_has_begun_though_nobody_hears_it(tmp_path: Path) -> None:
    begins = (3.0, "master-2", "acts", {"cluster": "c", "epoch": 2})
    late = (3.01, "master-1", "acts", {"cluster": "c", "epoch": 1})
    assert broken(tmp_path, story(*LIFE, FINISHED, begins, late)) == {"one_leader_acts"}
    assert broken(tmp_path, story(*LIFE, FINISHED, late, begins)) == {"one_leader_acts"}
    early = (2.99, "master-1", "acts", {"cluster": "c", "epoch": 1})
    assert broken(tmp_path, story(*LIFE, FINISHED, early, begins)) == set()


def test_epochs_of_a_cluster_that_was_begun_anew_are_others(tmp_path: Path) -> None:
    anew = (3.0, "master-2", "acts", {"cluster": "d", "epoch": 1})
    late = (3.01, "master-1", "acts", {"cluster": "c", "epoch": 1})
    assert broken(tmp_path, story(*LIFE, FINISHED, anew)) == set()
    assert broken(tmp_path, story(*LIFE, FINISHED, anew, late)) == {"one_leader_acts"}


def test_two_masters_of_one_epoch(tmp_path: Path) -> None:
    other = (1.5, "agent-2", "Registered", {"agent": "S2", "master": "m2", "cluster": "c", "epoch": 1})
    assert broken(tmp_path, story(*LIFE, other, FINISHED)) == {"one_leader_acts"}


def test_resources_offered_to_two_at_a_time(tmp_path: Path) -> None:
    first = (3.0, "sdk", "offer", offer("o2", (10, 19)))
    second = (3.1, "pymesos", "offer", offer("o3", (15, 20)))
    end = (4.0, "sdk", "declined", {"offer": "o2"})
    assert broken(tmp_path, story(*LIFE, FINISHED, first, second, end)) == {"nothing_is_offered_twice"}
    apart = (3.1, "pymesos", "offer", offer("o3", (20, 29)))
    assert broken(tmp_path, story(*LIFE, FINISHED, first, apart, end)) == set()
    given_back = (3.05, "sdk", "declined", {"offer": "o2"})
    assert broken(tmp_path, story(*LIFE, FINISHED, first, given_back, second)) == set()
    soon = (3.15, "sdk", "declined", {"offer": "o2"})
    assert broken(tmp_path, story(*LIFE, FINISHED, first, second, soon)) == {"nothing_is_offered_twice"}
    taken_back = (3.15, "sdk", "rescinded", {"offer": "o2"})
    assert broken(tmp_path, story(*LIFE, FINISHED, first, second, taken_back)) == set()
    crossed = (3.16, "sdk", "rescinded", {"offer": "o2"})
    assert broken(tmp_path, story(*LIFE, FINISHED, first, second, soon, crossed)) == set()


def test_offers_of_a_leader_that_was_followed_are_void(tmp_path: Path) -> None:
    first = (3.0, "sdk", "offer", offer("o2", (10, 19)))
    takeover = (3.5, "agent-1", "Registered", {"agent": "S1", "master": "m2", "cluster": "c", "epoch": 2})
    moved = (3.6, "pymesos", "subscribed", {"framework": "f2", "master": "m2"})
    second = (3.7, "pymesos", "offer", offer("o3", (10, 19)))
    assert broken(tmp_path, story(*LIFE, FINISHED, first, takeover, moved, second)) == set()


@pytest.mark.parametrize("steps", ["start 1.2\nstart 1.5\nend 1.9\n", "start 1.2\ndouble\nend 1.9\n"])
def test_a_task_that_ran_twice_or_held_what_another_one_held(tmp_path: Path, steps: str) -> None:
    assert broken(tmp_path, story(*LIFE, FINISHED), steps) == {"nothing_is_used_twice"}


@pytest.mark.parametrize(
    ("kind", "end", "steps"),
    [
        ("short", None, RAN),
        ("short", "FINISHED", "start 1.2\n"),
        ("short", "FAILED", RAN),
        ("bad", "FINISHED", RAN),
        ("long", "KILLED", "start 1.2\n"),  # nobody asked for it
        ("short", "DROPPED", "start 1.2\n"),
        ("short", "GONE", RAN),
        ("short", "UNKNOWN", "start 1.2\n"),
    ],
)
def test_an_end_that_did_not_happen(tmp_path: Path, kind: str, end: str | None, steps: str) -> None:
    life = [
        (1.0, "sdk", "offer", offer("o1", (1, 9))),
        (1.1, "sdk", "accepted", accepted("t", kind)),
    ]
    if end is not None:
        life.append((2.0, "sdk", "update", update("t", end)))
    assert broken(tmp_path, story(*life), steps) == {"every_task_is_accounted_for"}


def test_a_task_that_never_came_to_an_agent_may_be_dropped(tmp_path: Path) -> None:
    dropped = (2.0, "sdk", "update", update("t", "DROPPED"))
    assert broken(tmp_path, story(*LIFE[:2], dropped), None) == set()


@pytest.mark.parametrize(
    "states", [("RUNNING", "STARTING", "FINISHED"), ("FINISHED", "RUNNING"), ("FINISHED", "FAILED")]
)
def test_states_in_an_impossible_order(tmp_path: Path, states: tuple[str, ...]) -> None:
    heard = [(2.0 + at, "sdk", "update", update("t", state)) for at, state in enumerate(states)]
    assert broken(tmp_path, story(*LIFE, *heard)) == {"histories_are_truthful"}


def test_the_same_end_told_again_is_no_lie(tmp_path: Path) -> None:
    assert broken(tmp_path, story(*LIFE, FINISHED, FINISHED)) == set()


def test_news_of_a_task_that_had_ended_before(tmp_path: Path) -> None:
    stray = (3.0, "sdk", "update", update("earlier", "RUNNING"))
    assert broken(tmp_path, story(*LIFE, FINISHED, stray)) == {"histories_are_truthful"}


def test_an_agent_given_up_that_nobody_cut_off(tmp_path: Path) -> None:
    away = (1.5, "sdk", "update", update("t", "UNREACHABLE", reason="REASON_AGENT_REMOVED"))
    told = story(*LIFE, away, FINISHED)
    assert broken(tmp_path, told) == {"nobody_is_given_up_who_is_there"}
    assert broken(tmp_path, told, agents_cut=frozenset({"agent-1"})) == set()
    failure = story(*LIFE, (1.5, "sdk", "failure", {"agent": "S1"}), FINISHED)
    assert broken(tmp_path, failure) == {"nobody_is_given_up_who_is_there"}
