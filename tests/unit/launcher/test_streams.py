"""Containers whose streams are no files: pipes and terminals, made by the agent or kept by the launcher."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from koinon.agent import switchboard
from koinon.agent.launching import LaunchFailed
from koinon.agent.switchboard import Ends, Kind, Observer, Switch
from tests.unit.launcher.conftest import Bench, alive, kill_9, until

DISK = ThreadPoolExecutor(1)


async def everything(observer: Observer, kind: Kind = Kind.STDOUT) -> bytes:
    """All output up to its end."""
    found: list[bytes] = []
    async with asyncio.timeout(20):
        while chunks := await observer.take():
            found += [chunk.data for chunk in chunks if chunk.kind is kind]
    return b"".join(found)


async def up_to(observer: Observer, expected: bytes) -> bytes:
    """Output until `expected` is in it."""
    found = b""
    async with asyncio.timeout(20):
        while expected not in found:
            chunks = await observer.take()
            assert chunks, found
            found += b"".join(chunk.data for chunk in chunks)
    return found


async def session(
    bench: Bench, script: str, window: tuple[int, int] | None = None, **more: object
) -> tuple[Switch, Observer, int]:
    """A shell that is tied to us, its streams, and its pid."""
    offer = switchboard.offer(window)
    paths = offer.paths
    streams = {"terminal": paths[0]} if window else {"pipes": paths}
    try:
        pid = await bench.sh("s", script, stdout="", stderr="", tied=True, **streams, **more)
    finally:
        offer.close_theirs()
    switch = Switch(offer.ends, DISK)
    return switch, switch.observe(owner=True), pid


async def test_input_and_output_go_through_pipes(bench):
    switch, observer, _ = await session(bench, "cat; echo done >&2; exit 3")
    await switch.write(b"hello\n")
    assert await up_to(observer, b"hello\n")
    switch.end_input()
    assert await bench.exit_code("s") == 3
    switch.conclude()
    assert await everything(observer, Kind.STDERR) == b"done\n"


async def test_a_terminal_is_the_controlling_one_and_has_its_size(bench):
    switch, observer, _ = await session(bench, "stty size; echo hi > /dev/tty; tty", (33, 99))
    await bench.exit("s")
    switch.conclude()
    lines = (await everything(observer)).decode().splitlines()
    assert lines[:2] == ["33 99", "hi"]
    assert lines[2].startswith("/dev/pts/")


async def test_resizing_and_interrupting_reach_the_programs_of_a_terminal(bench):
    script = "trap 'stty size' WINCH; trap 'exit 7' INT; echo up; while :; do sleep 0.05; done"
    switch, observer, _ = await session(bench, script, (24, 80))
    await up_to(observer, b"up")
    switch.resize(50, 132)
    await up_to(observer, b"50 132")
    await switch.write(b"\x03")
    assert await bench.exit_code("s") == 7
    switch.conclude()
    await everything(observer)


async def test_what_was_written_before_the_end_is_all_there(bench):
    switch, observer, _ = await session(bench, "head -c 3000000 /dev/zero")
    taking = asyncio.create_task(everything(observer))
    await bench.exit("s")
    switch.conclude()
    assert await taking == bytes(3_000_000)


async def test_a_reader_that_does_not_read_stops_the_container_and_not_the_agent(bench):
    switch, observer, pid = await session(bench, "head -c 20000000 /dev/zero; echo end >&2")
    await until(lambda: "pipe" in Path(f"/proc/{pid}/wchan").read_text() or stalled(switch), "a full pipe")
    assert observer._bytes < 1_000_000
    assert len(await everything_and_conclude(bench, switch, observer)) == 20_000_000


def stalled(switch: Switch) -> bool:
    return any(each._bytes >= switchboard._BACKLOG_BYTES for each in switch._observers)


async def everything_and_conclude(bench: Bench, switch: Switch, observer: Observer) -> bytes:
    taking = asyncio.create_task(everything(observer))
    await bench.exit("s")
    switch.conclude()
    return await taking


async def test_somebody_who_looks_on_and_does_not_read_is_cut_off(bench, monkeypatch):
    monkeypatch.setattr(switchboard, "STALL_S", 0.1)
    switch, observer, _ = await session(bench, "head -c 3000000 /dev/zero")
    idler = switch.observe()
    assert len(await everything_and_conclude(bench, switch, observer)) == 3_000_000
    assert idler.cut_off
    assert await idler.take() == []


async def test_a_session_ends_with_its_client_and_other_containers_go_on(bench):
    other = await bench.launch("other", "/bin/sleep", "600")
    _, _, pid = await session(bench, "trap '' HUP PIPE TERM; while :; do sleep 1; done")
    await bench.client.close()
    await until(lambda: not alive(pid), "the end of the session")
    assert alive(other)
    bench.client = bench.new_client()
    await bench.client.start()
    assert (await bench.exit("s")).status == 9


async def test_streams_that_cannot_be_opened_fail_the_launch(bench):
    with pytest.raises(LaunchFailed, match="streams") as failed:
        await bench.sh("s", "true", pipes=("/nowhere/0", "/nowhere/1", "/nowhere/2"))
    assert failed.value.step == "output"


async def test_a_program_that_is_missing_leaves_no_stream_open(bench):
    before = len(os.listdir(f"/proc/{bench.client.pid}/fd"))
    for window in (None, (24, 80)):
        with pytest.raises(LaunchFailed):
            await bench.launch("s", "/no/such/program", window=window)
    assert len(os.listdir(f"/proc/{bench.client.pid}/fd")) == before


async def test_a_terminal_of_the_launcher_is_handed_over_and_logged_while_nobody_is_there(bench):
    script = "echo first; read line; echo got $line; read line; echo again $line; read line"
    pid = await bench.sh("t", script, window=(24, 80))
    terminal, log = await bench.client.terminal("t")
    switch = Switch(Ends(terminal, terminal, log=log), DISK)
    observer = switch.observe()
    await up_to(observer, b"first")
    await bench.client.close()
    switch.conclude()  # we are gone …
    await switch.closed
    assert alive(pid)  # … and it did not hang up

    bench.client = bench.new_client()
    await bench.client.start()
    (found,) = await bench.client.list()
    assert found.terminal
    terminal, log = await bench.client.terminal("t")
    switch = Switch(Ends(terminal, terminal, log=log), DISK)
    await switch.write(b"one\n")
    await bench.output("got one")
    await bench.client.close()
    os.write(terminal, b"two\n")  # with nobody but the launcher to log the answer
    await bench.output("again two")
    switch.conclude()
    await switch.closed
    bench.client = bench.new_client()
    await bench.client.start()
    await bench.client.destroy("t")
    await bench.exit("t")


@pytest.mark.parametrize("rotate", [None, (4096, 4096, 1)])
async def test_the_output_of_a_terminal_nobody_asked_for_is_in_the_log(bench, rotate):
    await bench.sh("t", "echo short", window=(24, 80), rotate=rotate)
    await bench.exit("t")
    bench.client.forget("t")
    await bench.output("short")
    assert await bench.client.terminal("t") == ()


async def test_the_log_of_a_terminal_has_a_bound_whoever_writes_it(bench):
    script = "seq 1 2000; read line; seq 2001 4000; read line"
    await bench.sh("t", script, window=(24, 80), rotate=(4096, 0, 100))
    terminal, log = await bench.client.terminal("t")
    switch = Switch(Ends(terminal, terminal, log=log), DISK)
    await bench.output("2000")
    await switch.write(b"one\n")
    await until(lambda: "3000" in "".join(logged(bench)), "the second half")
    await bench.client.close()
    switch.conclude()
    await switch.closed
    await bench.output("4000")  # with nobody but the launcher to write it
    numbers = [line for text in logged(bench) for line in text.splitlines() if line not in ("", "one")]
    assert numbers == [str(number) for number in range(1, 4001)]
    assert all(len(text) <= 4096 for text in logged(bench))
    bench.client = bench.new_client()
    await bench.client.start()
    await bench.client.destroy("t")
    await bench.exit("t")


async def test_the_last_words_of_a_terminal_are_logged_when_the_container_is_forgotten_already(bench):
    before = len(os.listdir(f"/proc/{bench.client.pid}/fd"))
    await bench.sh("t", "echo first; read line; echo last", window=(24, 80), rotate=(4096, 0, 1))
    terminal, log = await bench.client.terminal("t")
    await bench.client.list()
    os.write(terminal, b"x\n")
    await bench.exit("t")
    bench.client.forget("t")
    await bench.client.list()
    switch = Switch(Ends(terminal, terminal, log=log), DISK)
    switch.conclude()
    await switch.closed
    await bench.output("last")
    await until(lambda: len(os.listdir(f"/proc/{bench.client.pid}/fd")) == before, "no descriptor left")


def logged(bench: Bench) -> list[str]:
    """What is in the files of a log, the oldest first."""
    names = sorted(bench.sandbox.glob("stdout.*"), key=lambda path: int(path.suffix[1:]))
    return [path.read_text() for path in [*names, bench.sandbox / "stdout"] if path.exists()]


@pytest.mark.parametrize("rotate", [None, (4096, 4096, 1)])
async def test_no_descriptor_is_left_when_terminals_are_forgotten(bench, rotate):
    before = len(os.listdir(f"/proc/{bench.client.pid}/fd"))
    for number in range(5):
        await bench.sh(f"t{number}", "true", window=(24, 80), rotate=rotate)
        await bench.exit(f"t{number}")
        bench.client.forget(f"t{number}")
    await until(lambda: len(os.listdir(f"/proc/{bench.client.pid}/fd")) == before, "all are closed")


async def test_a_log_that_its_owner_has_replaced_is_not_written(bench):
    (bench.sandbox / "victim").write_text("")
    await bench.sh("t", "ln -f victim stdout; echo shown; read line", window=(24, 80))
    await until(lambda: (bench.sandbox / "victim").stat().st_nlink == 2, "the trick")
    await bench.client.close()
    bench.client = bench.new_client()
    await bench.client.start()
    assert (bench.sandbox / "victim").read_text() == ""
    await bench.client.destroy("t")
    await bench.exit("t")


async def test_the_end_of_the_launcher_ends_the_containers_with_terminals(bench):
    pid = await bench.sh("t", "trap '' HUP; while :; do sleep 1; done", window=(24, 80))
    kill_9(bench.client.pid)
    assert (await bench.exit("t")).status is None
    assert not alive(pid)
