"""Deaths of the client and of the launcher, at any moment: nothing is lost, nothing runs unknown."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from koinon.agent import launching
from koinon.agent.launcher.journal import EXITED, RUNNING, Container, Journal
from koinon.agent.launching import PROTOCOL, LauncherClient, LauncherError, LaunchFailed

from .conftest import Bench, alive, kill_9, until
from .test_trees import DAEMON, STAY

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def begin(*argv: str) -> subprocess.Popen[str]:
    """A process of the test's own."""
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def parent(pid: int) -> int:
    """The parent of a process, 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


async def test_what_is_tied_ends_with_its_client_and_nothing_else_does(bench: Bench) -> None:
    lasting = await bench.py("lasting", STAY)
    await bench.py("tied", DAEMON + STAY, tied=True)
    await bench.output("daemon")
    await bench.client.close()
    await until(lambda: [pid for pid in bench.processes() if pid != lasting] == [], "the tied one is gone")
    assert alive(lasting)
    bench.client = bench.new_client()
    await bench.client.start()
    assert await bench.exit_code("tied") == -signal.SIGKILL
    assert alive(lasting)


async def test_what_has_patience_waits_so_long_for_a_client_and_not_longer(bench: Bench) -> None:
    lasting = await bench.py("lasting", STAY)
    patient = await bench.py("patient", STAY, patience_s=600.0)
    short = await bench.py("short", DAEMON + STAY, patience_s=0.3)
    await bench.output("daemon")
    await bench.client.close()
    bench.client = bench.new_client()
    await bench.client.start()
    await asyncio.sleep(0.5)  # it would be gone
    assert alive(short)
    await bench.client.close()
    await until(
        lambda: set(bench.processes()) == {lasting, patient}, "one is gone with all it started, no other"
    )
    bench.client = bench.new_client()
    await bench.client.start()
    end = await bench.exit("short")
    assert (end.status, end.message) == (None, "there was no agent for 0.3 s, and it was ended")
    assert alive(lasting)
    assert alive(patient)


async def test_killed_client_leaves_everything_to_the_next(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, pathlib, sys
        sys.path.insert(0, sys.argv[2])
        from tests.unit.launcher.conftest import Bench
        async def main():
            bench = Bench(pathlib.Path(sys.argv[1]))
            await bench.client.start()
            await bench.sh("long", "read line < fifo; exit 7")
            await bench.sh("short", "exit 3")
            print(bench.client.pid, flush=True)
            for n in range(10_000):
                await bench.sh(f"c{n}", "exit 9")
                print(f"c{n}", flush=True)
        asyncio.run(main())
        """
    )
    bench = Bench(tmp_path)
    os.mkfifo(bench.sandbox / "fifo")
    root = Path(__file__).parents[3]
    first = begin(sys.executable, "-c", program, str(tmp_path), str(root))
    assert first.stdout is not None
    with first:
        launcher = int(first.stdout.readline())
        known = [first.stdout.readline().strip() for _ in range(20)]
        first.kill()
    await bench.client.start()
    assert bench.client.pid == launcher
    assert {each.container_id for each in await bench.client.list()} >= {"long", "short", *known}
    assert await bench.exit_code("short") == 3
    assert {await bench.exit_code(id) for id in known} == {9}
    (bench.sandbox / "fifo").write_text("go\n")
    assert await bench.exit_code("long") == 7
    assert bench.troubles == []
    await bench.client.stop()


async def test_exit_is_told_to_every_new_client_until_forgotten(bench: Bench) -> None:
    for id in ("a", "b"):
        await bench.sh(id, "exit 1")
        await bench.exit(id)
    first = bench.exits.copy()
    await bench.client.close()
    bench.exits.clear()
    bench.client = bench.new_client()
    await bench.client.start()
    await asyncio.gather(bench.exit("a"), bench.exit("b"))
    assert bench.exits == first
    bench.client.forget("a")
    assert [each.exit for each in await bench.client.list()] == [first["b"]]
    await bench.client.close()
    bench.exits.clear()
    bench.client = bench.new_client()
    await bench.client.start()
    assert [each.container_id for each in await bench.client.list()] == ["b"]
    assert bench.exits == {"b": first["b"]}


async def test_client_that_lost_its_place_asks_again_and_hears_each_exit_once(bench: Bench) -> None:
    await bench.sh("a", "exit 1")
    await bench.exit("a")
    pid = await bench.launch("b", "/bin/sleep", "600")
    other = LauncherClient(bench.home / "launcher", on_exit=lambda _: None, on_trouble=lambda _: None)
    await other.start()
    await other.close()
    # The same launch said twice is one launch.
    assert await bench.launch("b", "/bin/sleep", "600") == pid
    await until(lambda: bool(bench.troubles), "word of the lost connection")
    await bench.client.list()
    assert [each.container_id for each in bench.told] == ["a"]


async def test_death_of_the_launcher_ends_what_it_left_and_the_work_goes_on(bench: Bench) -> None:
    await bench.sh("ended", "exit 6")
    await bench.exit("ended")
    await bench.py("a", DAEMON + STAY)
    await bench.launch("b", "/bin/sleep", "600")
    await bench.output("daemon")
    left = bench.processes()
    assert len(left) == 3
    died = bench.client.pid
    kill_9(died)
    for id in ("a", "b"):
        exit = await bench.exit(id)
        assert (exit.status, exit.message) == (None, "the launcher died, and the container was ended")
    await until(lambda: not any(map(alive, left)), "the end of the orphans")
    assert any(f"pid {died}, died" in each for each in bench.troubles)
    assert {each.container_id for each in await bench.client.list()} == {"ended", "a", "b"}
    assert [each.container_id for each in bench.told if each.container_id == "ended"] == ["ended"]
    await bench.sh("c", "exit 2")
    assert await bench.exit_code("c") == 2


async def test_launches_under_way_when_the_launcher_dies_come_to_a_clear_end(bench: Bench) -> None:
    launches = [asyncio.ensure_future(bench.launch(f"c{n}", "/bin/sleep", "600")) for n in range(60)]
    await launches[3]
    kill_9(bench.client.pid)
    pids = await asyncio.gather(*launches)
    while True:
        running = {each.container_id: each.pid for each in await bench.client.list() if each.exit is None}
        if all(parent(pid) == bench.client.pid for pid in running.values()):
            break  # no orphan is left
    for n, pid in enumerate(pids):
        # Either it was launched before and was ended, or the next launcher runs it.
        if running.get(f"c{n}") != pid:
            assert (await bench.exit(f"c{n}")).status is None
    assert sorted(bench.processes()) == sorted(running.values())


async def test_launcher_that_died_with_its_client_is_found_by_the_next(bench: Bench) -> None:
    pid = await bench.launch("a", "/bin/sleep", "600")
    await bench.client.close()
    kill_9(bench.client.pid)
    bench.client = bench.new_client()
    await bench.client.start()
    assert (await bench.exit("a")).status is None
    assert not alive(pid)


@pytest.mark.parametrize("detach", ["", "setsid "], ids=["of its session", "of another session"])
async def test_what_a_container_left_while_there_was_no_launcher_is_ended(bench: Bench, detach: str) -> None:
    id = str(uuid.uuid4())  # what bears it is ended by any launcher that had a container of that id
    main = await bench.sh(id, f"{detach}sleep 600 & echo ready; while :; do sleep 0.01; done")
    await bench.output("ready")
    await bench.client.close()
    kill_9(bench.client.pid)
    kill_9(main)
    await until(lambda: len(bench.processes()) == 1, "the stray alone")
    bench.client = bench.new_client()
    await bench.client.start()
    assert (await bench.exit(id)).status is None
    assert bench.processes() == []


async def test_pid_that_belongs_to_another_by_now_is_left_alone(tmp_path: Path) -> None:
    stranger = begin("/bin/sleep", "600")
    folder = tmp_path / "launcher"
    folder.mkdir()
    launched = {"launched": "a", "at": 1.0, "pid": stranger.pid, "start": 12}
    (folder / "journal").write_text(json.dumps({"boot": BOOT}) + "\n" + json.dumps(launched))
    bench = Bench(tmp_path)
    await bench.client.start()
    assert (await bench.exit("a")).message == "the launcher died, and the container ended unseen"
    assert stranger.poll() is None
    with stranger:
        stranger.kill()
    await bench.client.stop()


async def test_containers_from_before_a_restart_of_the_machine_have_ended(tmp_path: Path) -> None:
    folder = tmp_path / "launcher"
    folder.mkdir()
    records = [
        {"boot": "another"},
        {"launched": "a", "at": 1.0, "pid": os.getpid(), "start": 12},
        {"launched": "b", "at": 1.0, "pid": 1, "start": 12},
        {"exited": "b", "status": 256, "message": "", "at": 2.0},
        {"launched": "c", "at": 1.0, "pid": 1, "start": 12},
        {"forgotten": "c"},
    ]
    text = "\n".join(map(json.dumps, records))
    (folder / "journal").write_text(text + '\n{"launched": "torn by a full di')
    bench = Bench(tmp_path)
    await bench.client.start()
    await bench.client.list()
    await bench.client.stop()
    assert {id: (exit.status, exit.message) for id, exit in bench.exits.items()} == {
        "a": (None, "the machine was restarted"),
        "b": (256, ""),
    }


async def test_terminate_ends_all_containers_and_then_the_launcher_interrupts_do_not(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.client.start()
    first = bench.client.pid
    await bench.py("a", DAEMON + STAY)
    await bench.output("daemon")
    for signum in (signal.SIGINT, signal.SIGHUP):
        os.kill(first, signum)
    assert os.getsid(first) == first
    await bench.client.close()
    os.kill(first, signal.SIGTERM)
    await until(lambda: not alive(first), "the end of the launcher")
    assert bench.processes() == []
    assert not (tmp_path / "launcher" / "socket").exists()
    # What nobody was there to hear is told by the next one.
    bench.client = bench.new_client()
    await bench.client.start()
    assert await bench.exit_code("a") == -signal.SIGKILL
    await bench.client.stop()


async def test_launcher_ends_when_nobody_needs_it(tmp_path: Path) -> None:
    (tmp_path / "launcher").mkdir()
    program = textwrap.dedent(
        """
        import sys
        import koinon.agent.launcher.server as server
        from koinon.agent.launcher.start import serve
        server._IDLE_S = 0.3
        serve(sys.argv[1])
        """
    )
    with begin(sys.executable, "-c", program, str(tmp_path / "launcher")):
        pass  # its first process ends when it serves
    bench = Bench(tmp_path)
    await bench.client.start()
    pid = bench.client.pid
    os.mkfifo(bench.sandbox / "fifo")
    await bench.sh("a", "read line < fifo; exit 5")
    await bench.client.close()
    await asyncio.sleep(0.6)
    assert alive(pid)  # it has a container
    (bench.sandbox / "fifo").write_text("go\n")
    await until(lambda: not alive(pid), "the end of the launcher")
    bench.client = bench.new_client()
    await bench.client.start()
    assert await bench.exit_code("a") == 5
    await bench.client.stop()


async def test_directory_with_a_very_long_path_serves(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30) / ("longer" * 30)
    deep.mkdir(parents=True)
    bench = Bench(deep)
    await bench.client.start()
    await bench.launch("a", "/bin/true")
    assert await bench.exit_code("a") == 0
    assert (deep / "launcher").stat().st_mode & 0o777 == 0o700
    assert (deep / "launcher" / "socket").stat().st_mode & 0o777 == 0o600
    await bench.client.stop()


async def test_launcher_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher" / "journal").mkdir()
    bench = Bench(tmp_path)
    with pytest.raises(
        LauncherError, match=r"cannot start a launcher in .*/launcher: journal: Is a directory"
    ):
        await bench.client.start()
    (tmp_path / "file").write_text("")
    nowhere = LauncherClient(tmp_path / "file" / "x", on_exit=print, on_trouble=print)
    with pytest.raises(LauncherError, match="Not a directory"):
        await nowhere.start()


async def test_launcher_that_is_killed_while_it_starts_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import os, runpy
            if not os.path.exists({str(tmp_path / "killed")!r}):
                open({str(tmp_path / "killed")!r}, "w")
                os.kill(os.getpid(), 9)
            runpy.run_path({str(launching._LAUNCHER)!r}, run_name="__main__")
            """
        )
    )
    monkeypatch.setattr(launching, "_LAUNCHER", program)
    bench = Bench(tmp_path)
    await bench.client.start()
    assert (tmp_path / "killed").exists()
    await bench.launch("a", "/bin/true")
    assert await bench.exit_code("a") == 0
    await bench.client.stop()


async def test_launch_while_no_launcher_can_be_had_fails_and_recovers(bench: Bench) -> None:
    folder, hidden = bench.home / "launcher", bench.home / "hidden"
    folder.rename(hidden)
    folder.write_text("in the way")
    kill_9(bench.client.pid)
    await until(lambda: any("cannot reach" in each for each in bench.troubles), "a failed attempt")
    with pytest.raises(LaunchFailed) as failed:
        await bench.launch("a", "/bin/true")
    assert failed.value.step == "launcher"
    folder.unlink()
    hidden.rename(folder)
    await bench.client.list()  # waits for the new launcher
    await bench.launch("a", "/bin/true")
    assert await bench.exit_code("a") == 0


async def test_launch_that_a_launcher_may_have_heard_is_answered_by_the_next(bench: Bench) -> None:
    os.kill(bench.client.pid, signal.SIGSTOP)
    launched = asyncio.ensure_future(bench.launch("a", "/bin/true"))
    for _ in range(10):  # turns of the loop, until it is said
        await asyncio.sleep(0)
    folder, hidden = bench.home / "launcher", bench.home / "hidden"
    folder.rename(hidden)
    folder.write_text("in the way")
    kill_9(bench.client.pid)
    await until(lambda: any("cannot reach" in each for each in bench.troubles), "a failed attempt")
    assert not launched.done()
    folder.unlink()
    hidden.rename(folder)
    await launched
    assert await bench.exit_code("a") == 0


async def test_rubbish_on_the_socket_costs_only_that_connection(bench: Bench) -> None:
    pid = await bench.launch("a", "/bin/sleep", "600")
    await bench.client.close()
    folder = os.open(bench.home / "launcher", os.O_PATH)
    for rubbish in (
        b"\x00\xff\n",
        b"{}\n",
        b"[]\n",
        b'{"id": 1, "do": "dance"}\n',
        b'{"id": 1, "do": "launch", "spec": 3}\n',
    ):
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/socket")
        writer.write(rubbish)
        assert json.loads(await reader.readline())["protocol"] == PROTOCOL
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.transport.abort()
    os.close(folder)
    bench.client = bench.new_client()
    await bench.client.start()
    assert [each.pid for each in await bench.client.list()] == [pid]


# ── the journal alone ─────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def folder(tmp_path: Path) -> int:
    return os.open(tmp_path, os.O_RDONLY)


def test_journal_stays_small_however_much_happens(folder: int, tmp_path: Path) -> None:
    journal = Journal(folder)
    kept = Container("kept", os.getpid(), 1.0, state=RUNNING, start=5)
    journal.rewrite([kept])
    for n in range(20_000):
        ended = Container(f"c{n}", 1, 1.0, state=EXITED)
        journal.exited(ended)
        journal.forgotten(ended.id)
        if n % 100 == 0:
            journal.sync([kept])
    assert (tmp_path / "journal").stat().st_size < 1_200_000
    replayed = Journal(folder).replay()
    assert [(each.id, each.state, each.start) for each in replayed.values()] == [("kept", RUNNING, 5)]


def test_journal_on_a_full_disk_catches_up_when_there_is_room(
    folder: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(folder)
    running = Container("a", os.getpid(), 1.0, state=RUNNING, start=5)
    journal.rewrite([running])
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "journal").stat().st_size + 10, old[1]))
    try:
        running.state, running.status = EXITED, 256
        journal.exited(running)
        journal.sync([running])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "trying until it can be written again" in capsys.readouterr().err
    assert Journal(folder).replay()["a"].state == RUNNING
    assert journal.retry_s is not None
    monkeypatch.setattr("time.monotonic", lambda at=journal.retry_s: at)
    journal.sync([running])
    assert Journal(folder).replay()["a"].status == 256
    assert journal.retry_s is None
