"""Whatever a program does to get away: its container ends with it, and a kill reaches everything."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from .conftest import Bench, alive, until, zombies

#: Detach as daemons do, and stay.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", os.getpid(), flush=True)
        for fd in (0, 1, 2):
            os.close(fd)
        time.sleep(600)
    os._exit(0)
os.wait()
"""

#: Many processes in groups and sessions of all kinds, several levels deep, each forking on.
STORM = """
import os, time
for n in range(300):
    if os.fork() == 0:
        if n % 3 == 0:
            os.setsid()
        elif n % 3 == 1:
            os.setpgid(0, 0)
        for _ in range(n % 4):
            if os.fork():
                break
        time.sleep(600)
print("stormy", flush=True)
"""

#: Always one process only, which forks the next, in a new session, and ends.
RELAY = """
import os
print("running", flush=True)
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""

IGNORING = """
import signal, time
for signum in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(signum, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""

#: The main process does not want to be the parent of its orphans.
RENOUNCING = "import ctypes; ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)\n" + DAEMON

STAY = "\nimport time; time.sleep(600)"


@pytest.mark.parametrize("script", [DAEMON, STORM, RENOUNCING], ids=["daemon", "storm", "renouncing"])
async def test_nothing_survives_the_end_of_the_main_process(bench: Bench, script: str) -> None:
    await bench.py("a", script + "\nraise SystemExit(5)")
    assert await bench.exit_code("a") == 5
    assert bench.processes() == []
    assert zombies(bench.client.pid) == []


@pytest.mark.parametrize(
    "script",
    [DAEMON + STAY, STORM + STAY, IGNORING, RENOUNCING + STAY],
    ids=["daemon", "storm", "ignoring", "renouncing"],
)
async def test_destroy_reaches_everything(bench: Bench, script: str) -> None:
    await bench.py("a", script)
    await bench.output("\n")
    assert await bench.client.destroy("a")
    assert await bench.exit_code("a") == -signal.SIGKILL
    assert bench.processes() == []
    assert zombies(bench.client.pid) == []


async def test_process_that_runs_ahead_of_its_killer_is_caught(bench: Bench) -> None:
    await bench.py("a", "import os\nif os.fork() == 0:\n" + RELAY.replace("\n", "\n    ") + STAY)
    await bench.output("running")
    await bench.client.destroy("a")
    await bench.exit("a")
    assert bench.processes() == []


async def test_signal_reaches_every_process_of_the_tree(bench: Bench) -> None:
    child = "trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.01; done"
    await bench.sh(
        "a", f"trap 'wait; echo main; exit 4' TERM; setsid sh -c \"{child}\" & while :; do sleep 0.01; done"
    )
    await bench.output("ready")
    assert await bench.client.signal("a", signal.SIGTERM)
    assert await bench.exit_code("a") == 4
    assert bench.stdout().split() == ["ready", "child", "main"]


async def test_stopped_container_is_destroyed(bench: Bench) -> None:
    pid = await bench.launch("a", "/bin/sleep", "600")
    await bench.client.signal("a", signal.SIGSTOP)
    assert await bench.client.destroy("a")
    assert await bench.exit_code("a") == -signal.SIGKILL
    assert not alive(pid)


async def test_neighbours_are_left_alone(bench: Bench) -> None:
    neighbour = await bench.py("neighbour", DAEMON + STAY)
    await bench.output("daemon")
    daemon = int(bench.stdout().split()[1])
    for n in range(5):
        await bench.py(f"storm{n}", STORM.replace("300", "30"))
    await asyncio.gather(*(bench.exit(f"storm{n}") for n in range(5)))
    assert alive(neighbour)
    assert alive(daemon)
    assert sorted(bench.processes()) == sorted([neighbour, daemon])


async def test_signal_and_destroy_of_what_has_ended_or_never_was_do_nothing(bench: Bench) -> None:
    await bench.launch("a", "/bin/true")
    await bench.exit("a")
    assert [await bench.client.signal(id, 15) for id in ("a", "b")] == [False, False]
    assert [await bench.client.destroy(id) for id in ("a", "b")] == [False, False]
    bench.client.forget("b")
    assert [each.container_id for each in await bench.client.list()] == ["a"]


async def test_destroy_right_behind_a_launch_is_a_kill(bench: Bench) -> None:
    launches = [asyncio.ensure_future(bench.launch(f"c{n}", "/bin/sleep", "600")) for n in range(40)]
    await asyncio.sleep(0)
    await asyncio.gather(*(bench.client.destroy(f"c{n}") for n in range(40)))
    await asyncio.gather(*launches)
    assert {await bench.exit_code(f"c{n}") for n in range(40)} == {-signal.SIGKILL}


async def test_program_that_fills_its_output_is_not_held_up_by_the_launcher(bench: Bench) -> None:
    await bench.sh("a", "head -c 50000000 /dev/zero")
    await bench.launch("b", "/bin/true")
    assert await bench.exit_code("b") == 0
    assert await bench.exit_code("a") == 0
    assert (bench.sandbox / "stdout").stat().st_size == 50_000_000


async def test_many_at_once_all_end_with_their_own_status(bench: Bench) -> None:
    before = len(os.listdir(f"/proc/{bench.client.pid}/fd"))
    await asyncio.gather(*(bench.sh(f"c{n}", f"exit {n % 100}") for n in range(300)))
    assert [await bench.exit_code(f"c{n}") for n in range(300)] == [n % 100 for n in range(300)]
    assert len(bench.told) == 300
    assert zombies(bench.client.pid) == []
    assert len(os.listdir(f"/proc/{bench.client.pid}/fd")) == before


async def test_launcher_does_nothing_while_nothing_happens(bench: Bench) -> None:
    await asyncio.gather(*(bench.launch(f"c{n}", "/bin/sleep", "600") for n in range(20)))

    def turns() -> int:
        with open(f"/proc/{bench.client.pid}/status") as status:
            return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)

    await bench.client.list()
    await asyncio.sleep(0.1)
    before, began_s = turns(), time.monotonic()
    await until(lambda: time.monotonic() > began_s + 0.5, "half a second")
    assert turns() == before
