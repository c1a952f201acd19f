"""The embedded store and lock, beyond the contract: durable, and clear about files that are not theirs."""

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
