"""Commits that are larger than a transaction may be: all or nothing, wherever the process ends."""

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.coordination import Change, StoreError
from koinon.service.large import LargeStore, open_large

PIECE = 2000


class Disk:
    """What is kept, and how often more may be written to it."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.writes_left = 10**9


class SmallStore:
    """A store that takes only so much at a time, on a disk that may refuse to take more."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def load(self, prefix: str = "") -> dict[str, bytes]:
        return {key: value for key, value in sorted(self._disk.entries.items()) if key.startswith(prefix)}

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        changes = list(changes)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        assert sum(len(value or b"") for _, value in changes) <= 2 * PIECE
        if self._disk.writes_left <= 0:
            done.set_exception(StoreError("the end"))
            return done
        self._disk.writes_left -= 1
        for key, value in changes:
            if value is None:
                self._disk.entries.pop(key, None)
            else:
                self._disk.entries[key] = value
        done.set_result(None)
        return done

    async def close(self) -> None:
        pass


async def opened(disk: Disk) -> LargeStore:
    return await open_large(SmallStore(disk), piece_bytes=PIECE)


def many(value: bytes, count: int = 20) -> list[Change]:
    return [(f"a/{number}", value) for number in range(count)]


async def test_what_fits_is_written_as_it_is() -> None:
    disk = Disk()
    await (await opened(disk)).commit([("a", b"1"), ("b", None)])
    assert disk.entries == {"a": b"1"}


async def test_what_does_not_fit_is_written_in_pieces_and_nothing_else_is_left() -> None:
    disk = Disk()
    await (store := await opened(disk)).commit(many(b"x" * 300))
    await store.close()
    assert disk.entries == dict(many(b"x" * 300))


@pytest.mark.parametrize("writes", range(12))
async def test_wherever_it_ends_all_of_it_counts_or_nothing(writes: int) -> None:
    disk = Disk()
    store = await opened(disk)
    await store.commit([*many(b"before"), ("b", b"1")])
    disk.writes_left = writes
    changes = [*many(b"x" * 300), ("b", None)]
    done = store.commit(changes)
    await asyncio.wait([done])
    await store.close()
    disk.writes_left = 10**9
    found = (await opened(disk)).load()
    counts = done.exception() is None
    assert found == (dict(many(b"x" * 300)) if counts else {**dict(many(b"before")), "b": b"1"})
    assert not any(key.startswith("journal") for key in disk.entries)


async def test_later_commits_come_later() -> None:
    disk = Disk()
    store = await opened(disk)
    large, small = store.commit(many(b"x" * 300)), store.commit([("a/3", b"later")])
    assert not small.done()
    await small
    assert large.done()
    await store.close()
    assert (await opened(disk)).load()["a/3"] == b"later"


async def test_a_large_value_is_kept_in_pieces_and_comes_back_whole() -> None:
    disk = Disk()
    store = await opened(disk)
    value = bytes(range(256)) * 40
    await store.commit([("big", value), ("small", b"1")])
    await store.close()
    store = await opened(disk)
    assert store.load() == {"big": value, "small": b"1"}
    assert store.load("big") == {"big": value}
    await store.commit([("big", b"now small")])
    await store.close()
    assert disk.entries == {"big": b"now small", "small": b"1"}


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 6000))), max_size=4),
        max_size=6,
    ),
    st.integers(0, 40),
)
async def test_what_was_confirmed_is_there(commits: list[list[tuple[str, int | None]]], writes: int) -> None:
    """Of each commit all or nothing, in their order, at whichever write the disk gives up."""
    disk = Disk()
    store = await opened(disk)
    disk.writes_left = writes
    expected: dict[str, bytes] = {}
    for number, commit in enumerate(commits):
        changes = [
            (key, None if size is None else bytes([number]) * (size + 1))
            for key, size in dict(commit).items()
        ]
        done = store.commit(changes)
        await asyncio.wait([done])
        if done.exception() is not None:
            break
        for key, value in changes:
            if value is None:
                expected.pop(key, None)
            else:
                expected[key] = value
    await store.close()
    disk.writes_left = 10**9
    assert (await opened(disk)).load() == expected
