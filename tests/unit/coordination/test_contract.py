"""What every kind of coordination keeps to: on one machine, and in a real ZooKeeper."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from koinon.coordination import StoreError
from tests.unit.coordination.kinds import Candidate, Embedded, InZooKeeper, Kind, following
from tests.zookeeper import ZooKeeper


@pytest.fixture(params=["embedded", "zookeeper"])
async def kind(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kind]:
    found: Kind
    if request.param == "embedded":
        found = Embedded(tmp_path / "place")
    else:
        zookeeper: ZooKeeper = request.getfixturevalue("zookeeper")
        found = InZooKeeper(zookeeper.url())
    yield found
    await found.close()


async def reopened(kind: Kind) -> dict[str, bytes]:
    store = await kind.open_store()
    try:
        return store.load()
    finally:
        await store.close()


# ── stores ────────────────────────────────────────────────────────────────────────────────────────
async def test_committed_values_are_there_after_reopening(kind: Kind) -> None:
    store = await kind.open_store()
    await store.commit([("agents/a", b"1"), ("agents/b", b"2")])
    await store.commit([("agents/a", None), ("agents/c", b"\x00\xff"), ("never/there", None)])
    await store.close()
    assert await reopened(kind) == {"agents/b": b"2", "agents/c": b"\x00\xff"}


async def test_load_takes_exactly_the_keys_below_its_prefix_in_order(kind: Kind) -> None:
    store = await kind.open_store()
    keys = [
        "agents",
        "agents/",
        "agents/\U0010ffff",
        "agents/a",
        "agentz",
        "Agents/a",
        "agents/%",
        "agents/_",
    ]
    await store.commit([(key, b"") for key in keys])
    assert list(store.load("agents/")) == ["agents/", "agents/%", "agents/_", "agents/a", "agents/\U0010ffff"]
    assert store.load("nobody") == {}
    await store.close()


async def test_any_text_is_a_key(kind: Kind) -> None:
    keys = [".", "..", "...", "a b", "%2F", "/", "a//b", "zookeeper", "é", "x" * 200, "a\x01b", "?#&=+"]
    store = await kind.open_store()
    await store.commit([(key, key.encode()) for key in keys])
    await store.close()
    assert await reopened(kind) == {key: key.encode() for key in sorted(keys)}


async def test_commits_not_awaited_keep_their_order_and_end_before_close(kind: Kind) -> None:
    store = await kind.open_store()
    done = [store.commit([("counter", str(n).encode()), (f"step/{n}", b"")]) for n in range(500)]
    await done[-1]
    assert all(each.done() for each in done)
    assert store.load()["counter"] == b"499"
    late = store.commit([("counter", b"late")])
    await store.close()
    await late
    entries = await reopened(kind)
    assert (len(entries), entries["counter"]) == (501, b"late")


async def test_committer_that_gave_up_waiting_does_not_disturb_its_group(kind: Kind) -> None:
    store = await kind.open_store()
    given_up, waited_for = store.commit([("a", b"1")]), store.commit([("b", b"2")])
    given_up.cancel()
    await waited_for
    assert store.load() == {"a": b"1", "b": b"2"}
    await store.close()


async def test_commit_after_close_is_refused(kind: Kind) -> None:
    store = await kind.open_store()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        store.commit([("a", b"")])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commits=st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.binary(max_size=3)), max_size=4),
        max_size=12,
    )
)
@pytest.mark.parametrize("name", ["embedded", "zookeeper"])
def test_a_store_is_a_dict_that_survives(
    name: str, tmp_path: Path, zookeeper: ZooKeeper, commits: list[list[tuple[str, bytes | None]]]
) -> None:
    async def run() -> dict[str, bytes]:
        (tmp_path / "store.db").unlink(missing_ok=True)
        kind: Kind = Embedded(tmp_path) if name == "embedded" else InZooKeeper(zookeeper.url())
        try:
            store = await kind.open_store()
            for changes in commits:
                store.commit(changes)
            await store.close()
            return await reopened(kind)
        finally:
            await kind.close()

    expected: dict[str, bytes] = {}
    for changes in commits:
        for key, value in changes:
            expected.pop(key, None)
            if value is not None:
                expected[key] = value
    assert asyncio.run(run()) == dict(sorted(expected.items()))


# ── elections and detectors ───────────────────────────────────────────────────────────────────────
async def test_one_of_several_is_elected_and_the_others_follow_it(kind: Kind) -> None:
    first = Candidate(kind.election(), 1)
    epoch = await first.elected()
    assert epoch > 0
    assert first.election.held()
    others = [Candidate(kind.election(), number) for number in (2, 3)]
    for other in others:
        await other.until(lambda other=other: other.follows is not None, "a leader is followed")
        assert (other.follows, other.epoch) == (first.as_leader(epoch), None)
        assert not other.election.held()
    for candidate in (first, *others):
        await candidate.election.close()


async def test_when_the_leader_goes_the_next_one_leads_in_a_greater_epoch(kind: Kind) -> None:
    candidates, epochs = [Candidate(kind.election(), number) for number in range(4)], []
    detector = kind.detector()
    while candidates:
        ready = [asyncio.create_task(candidate.elected()) for candidate in candidates]
        done, waiting = await asyncio.wait(ready, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        for task in waiting:
            task.cancel()
        (leader,) = (candidate for candidate in candidates if candidate.epoch is not None)
        assert leader.epoch is not None
        epochs.append(leader.epoch)
        await following(detector, leader.as_leader(leader.epoch))
        await leader.election.close()
        assert not leader.election.held()
        candidates.remove(leader)
    assert epochs == sorted(set(epochs))
    assert (await following(detector, None))[-1] is None
    await detector.close()


async def test_a_detector_that_was_there_first_hears_of_the_first_leader(kind: Kind) -> None:
    detector = kind.detector()
    assert await following(detector, None) == [None]
    candidate = Candidate(kind.election(), 1)
    epoch = await candidate.elected()
    assert (await following(detector, candidate.as_leader(epoch)))[-1] == candidate.as_leader(epoch)
    await candidate.election.close()
    await detector.close()


async def test_who_leaves_before_its_turn_never_leads(kind: Kind) -> None:
    first, second, third = (Candidate(kind.election(), number) for number in (1, 2, 3))
    await asyncio.gather(*(_placed(candidate) for candidate in (first, second, third)))
    leader = next(candidate for candidate in (first, second, third) if candidate.epoch is not None)
    leaving, staying = (candidate for candidate in (first, second, third) if candidate is not leader)
    await leaving.election.close()
    await leader.election.close()
    await staying.elected()
    assert leaving.epoch is None
    await staying.election.close()


async def _placed(candidate: Candidate) -> None:
    await candidate.until(lambda: candidate.epoch is not None or candidate.follows is not None, "has a place")
