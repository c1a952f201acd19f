"""The embedded store and lock: durable, atomic, ordered, and clear about files that are not theirs."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from koinon.coordination import StoreError
from koinon.coordination.embedded import EmbeddedStore, Lock, LockHeld


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry" / "registry.db"


async def reopened(path: Path) -> dict[str, bytes]:
    store = EmbeddedStore(path)
    try:
        return store.load()
    finally:
        await store.close()


async def test_committed_values_are_there_after_reopening(path: Path) -> None:
    store = EmbeddedStore(path)
    await store.commit([("agents/a", b"1"), ("agents/b", b"2")])
    await store.commit([("agents/a", None), ("agents/c", b"\x00\xff"), ("never/there", None)])
    await store.close()
    assert await reopened(path) == {"agents/b": b"2", "agents/c": b"\x00\xff"}


async def test_load_takes_exactly_the_keys_below_its_prefix_in_order(path: Path) -> None:
    store = EmbeddedStore(path)
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


async def test_commits_not_awaited_keep_their_order_and_end_before_close(path: Path) -> None:
    store = EmbeddedStore(path)
    done = [store.commit([("counter", str(n).encode()), (f"step/{n}", b"")]) for n in range(500)]
    await done[-1]
    assert all(each.done() for each in done)
    assert store.load()["counter"] == b"499"
    late = store.commit([("counter", b"late")])
    await store.close()
    await late
    entries = await reopened(path)
    assert (len(entries), entries["counter"]) == (501, b"late")


async def test_committer_that_gave_up_waiting_does_not_disturb_its_group(path: Path) -> None:
    store = EmbeddedStore(path)
    given_up, waited_for = store.commit([("a", b"1")]), store.commit([("b", b"2")])
    given_up.cancel()
    await waited_for
    assert store.load() == {"a": b"1", "b": b"2"}
    await store.close()


async def test_commit_after_close_is_refused(path: Path) -> None:
    store = EmbeddedStore(path)
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        store.commit([("a", b"")])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commits=st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.binary(max_size=3)), max_size=4),
        max_size=12,
    )
)
def test_store_is_a_dict_that_survives(tmp_path: Path, commits: list[list[tuple[str, bytes | None]]]) -> None:
    async def run() -> dict[str, bytes]:
        path = tmp_path / "store.db"
        path.unlink(missing_ok=True)
        store = EmbeddedStore(path)
        for changes in commits:
            store.commit(changes)
        await store.close()
        return await reopened(path)

    expected: dict[str, bytes] = {}
    for changes in commits:
        for key, value in changes:
            expected.pop(key, None)
            if value is not None:
                expected[key] = value
    assert asyncio.run(run()) == expected


def test_what_was_confirmed_survives_kill_9(path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, pathlib, sys
        from koinon.coordination.embedded import EmbeddedStore
        async def main():
            store = EmbeddedStore(pathlib.Path(sys.argv[1]))
            n = 0
            while True:
                await store.commit([(f"{n:06}", b"x" * 500)])
                print(n, flush=True)
                n += 1
        asyncio.run(main())
        """
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    with writer:
        for _ in range(200):
            confirmed = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
    entries = asyncio.run(reopened(path))
    assert set(entries) >= {f"{n:06}" for n in range(confirmed + 1)}


def test_full_disk_fails_the_commit_and_later_ones_go_on(path: Path) -> None:
    # A limit on the size of files stands for the full disk; it must not hit the test's own process.
    program = textwrap.dedent(
        """
        import asyncio, pathlib, resource, signal, sys
        from koinon.coordination import StoreError
        from koinon.coordination.embedded import EmbeddedStore
        async def main():
            store = EmbeddedStore(pathlib.Path(sys.argv[1]))
            await store.commit([("before", b"1")])
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            try:
                await store.commit([("big", bytes(1_000_000)), ("with it", b"")])
            except StoreError as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await store.commit([("after", b"2")])
            await store.close()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        asyncio.run(main())
        """
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "cannot write" in ran.stdout
    assert asyncio.run(reopened(path)) == {"before": b"1", "after": b"2"}


def test_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a shopping list, long enough to be read as a header of a database of SQLite 3\n" * 30)
    with pytest.raises(StoreError, match="file is not a database"):
        EmbeddedStore(path)


def test_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE songs (title)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        EmbeddedStore(path)
    assert path.read_bytes() == before


async def test_store_of_a_newer_version_is_refused(path: Path) -> None:
    await EmbeddedStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(StoreError, match="its schema is 7"):
        EmbeddedStore(path)


async def test_damaged_file_is_refused(path: Path) -> None:
    store = EmbeddedStore(path)
    await store.commit([(f"{n:04}", os.urandom(900)) for n in range(200)])
    await store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * 40960)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        EmbeddedStore(path)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot open the store .*/file/below/x\.db"):
        EmbeddedStore(tmp_path / "file" / "below" / "x.db")


async def test_files_are_readable_by_their_owner_only(path: Path) -> None:
    store = EmbeddedStore(path)
    await store.commit([("secret", b"s")])
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes) >= {"registry.db", "registry.db-wal"}
    assert set(modes.values()) == {0o600}
    await store.close()


def test_lock_names_its_holder_and_passes_on_when_released(tmp_path: Path) -> None:
    path = tmp_path / "work" / "lock"
    first, second = Lock(path, owner="koinon agent"), Lock(path, owner="another")
    with first:
        with pytest.raises(LockHeld, match=f"work belongs to koinon agent, pid {os.getpid()}$"):
            second.acquire()
        with pytest.raises(LockHeld):
            second.acquire()
    with second, pytest.raises(LockHeld, match="belongs to another, pid"):
        first.acquire()


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import pathlib, sys, time
        from koinon.coordination.embedded import Lock
        Lock(pathlib.Path(sys.argv[1]), owner="victim").acquire()
        print("held", flush=True)
        time.sleep(60)
        """
    )
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockHeld, match=f"belongs to victim, pid {holder.pid}"):
            Lock(path, owner="heir").acquire()
        holder.kill()
    with Lock(path, owner="heir"):
        pass
