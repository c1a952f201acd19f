"""Containers as plain processes: recovered after a restart, and measured as trees."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

from koinon.agent.containerizer.base import Containerizer
from koinon.agent.containerizer.process import ProcessContainerizer
from koinon.agent.usage import measure

from .conftest import Bench, until

#: A main process that burns CPU, and a child (in a session of its own) with 50 MB and four threads.
BUSY = """
import os, threading, time
if os.fork() == 0:
    os.setsid()
    memory = bytearray(os.urandom(1)) * 50_000_000
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(600,)).start()
    print("child", flush=True)
    time.sleep(600)
while time.process_time() < 0.3:
    pass
print("burnt", flush=True)
time.sleep(600)
"""


async def test_containers_are_recovered_by_the_next_containerizer(tmp_path: Path) -> None:
    bench, exits = Bench(tmp_path), asyncio.Queue()
    first: Containerizer = ProcessContainerizer(
        tmp_path / "launcher", on_exit=exits.put_nowait, on_trouble=print
    )
    assert await first.recover() == []
    pid = await first.launch(bench.spec("long", "/bin/sleep", "600"))
    await first.launch(bench.spec("short", "/bin/sh", "-c", "exit 3"))
    ended = await exits.get()
    await first.close()
    second: Containerizer = ProcessContainerizer(
        tmp_path / "launcher", on_exit=exits.put_nowait, on_trouble=print
    )
    recovered = {each.container_id: (each.pid, each.exit) for each in await second.recover()}
    assert recovered["long"] == (pid, None)
    assert recovered["short"][1] == ended == await exits.get()
    assert list(await second.usage()) == ["long"]
    second.forget("short")
    assert await second.signal("long", signal.SIGTERM)
    assert (await exits.get()).status == signal.SIGTERM
    assert await second.usage() == {}
    second.forget("long")
    assert not await second.destroy("long")
    await second.stop()


async def test_usage_sums_over_the_tree_of_a_container(bench: Bench) -> None:
    pid = await bench.py("busy", BUSY)
    idle = await bench.launch("idle", "/bin/sleep", "600")
    await until(lambda: set(bench.stdout().split()) == {"child", "burnt"}, "a busy container")
    began_s = time.time()
    usage = measure({"busy": pid, "idle": idle, "ended": 2**22 - 1})
    assert set(usage) == {"busy", "idle"}
    busy = usage["busy"]
    assert (busy.processes, busy.threads) == (2, 5)
    assert (busy.cpus_user_time_secs or 0) + (busy.cpus_system_time_secs or 0) >= 0.2
    assert 50_000_000 < (busy.mem_rss_bytes or 0) < 150_000_000
    assert began_s <= busy.timestamp <= time.time()
    assert (usage["idle"].processes, usage["idle"].threads) == (1, 1)


async def test_cpu_of_ended_children_is_counted(bench: Bench) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    script = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {burn!r}]); print('waited', flush=True); time.sleep(600)"
    pid = await bench.py("a", script)
    await bench.output("waited")
    used = measure({"a": pid})["a"]
    assert used.processes == 1
    assert (used.cpus_user_time_secs or 0) + (used.cpus_system_time_secs or 0) >= 0.2


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().removesuffix("\n")


async def test_process_with_a_hostile_name_does_not_spoil_the_figures(bench: Bench) -> None:
    program = bench.sandbox / ") R 1 1 ("
    program.symlink_to("/bin/sleep")
    pid = await bench.launch("a", str(program), "600")
    assert name_of(pid) == program.name
    assert measure({"a": pid})["a"].processes == 1
