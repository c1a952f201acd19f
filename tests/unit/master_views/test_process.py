"""The master as a process: it starts, says what is wrong in a sentence, and stops when told."""

import asyncio
import re
import signal
import socket
import sys

import aiohttp
import msgspec
import pytest

from koinon.coordination.embedded import EmbeddedStore
from koinon.flags import FlagError, load
from koinon.master.core.state import AgentEntry, Standing
from koinon.master.flags import MasterFlags
from koinon.master.registry import MemoryStore
from koinon.master.server import MasterProcess
from koinon.mesos import v1


async def start(*flags):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "koinon",
        "master",
        *flags,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def address_of(process):
    """Where it listens, out of its log."""
    async with asyncio.timeout(20):
        while line := await process.stdout.readline():
            if found := re.search(rb"master@([\d.]+:\d+)", line):
                return found[1].decode()
    raise AssertionError("the master ended")


async def test_sigterm_stops_it_cleanly_with_streams_open(tmp_path):
    process = await start("--port=0", f"--work_dir={tmp_path}")
    address = await address_of(process)
    async with aiohttp.ClientSession(f"http://{address}") as session:
        async with session.get("/health") as response:
            assert response.status == 200
        subscribe = b'{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}'
        async with session.post(
            "/api/v1/scheduler", data=subscribe, headers={"Content-Type": "application/json"}
        ) as response:
            assert response.status == 200
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(response.content.read(), 10)  # ends, rather than breaks
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_port_in_use_is_told_in_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start(f"--port={port}", "--registry=in_memory")
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"cannot listen on 127.0.0.1:%d: Address already in use" % port in output
    assert b"Traceback" not in output


async def test_work_dir_in_use_makes_it_stand_by_until_it_is_free(tmp_path):
    first = await start("--port=0", f"--work_dir={tmp_path}")
    leader = await address_of(first)
    second = await start("--port=0", f"--work_dir={tmp_path}")
    standby = await address_of(second)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{standby}/state?jsonp=f", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (307, f"//{leader}/state?jsonp=f")
        async with session.get(f"http://{standby}/health", allow_redirects=False) as response:
            assert response.status == 200
        first.kill()
        await first.communicate()
        async with asyncio.timeout(20):
            while True:
                async with session.get(f"http://{standby}/state", allow_redirects=False) as response:
                    if response.status == 200:
                        break
                await asyncio.sleep(0.05)
    second.terminate()
    await second.communicate()
    assert second.returncode == 0


async def test_a_record_that_is_damaged_is_told_in_one_sentence(tmp_path):
    (tmp_path / "master.json").write_text("{")
    process = await start("--port=0", f"--work_dir={tmp_path}")
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"master.json is damaged" in output
    assert len(output.splitlines()) == 1


async def test_a_master_that_misses_too_many_agents_ends_with_a_sentence(tmp_path):
    entry = AgentEntry(
        info=v1.AgentInfo(hostname="lost.example", id=v1.AgentID("A")),
        standing=Standing.ADMITTED,
        since_s=1.0,
    )
    store = EmbeddedStore(tmp_path / "registry.sqlite")
    await store.commit([("agents/A", msgspec.json.encode(entry))])
    await store.close()
    process = await start(
        "--port=0",
        f"--work_dir={tmp_path}",
        "--agent_reregister_timeout=300ms",
        "--recovery_agent_removal_limit=50%",
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"1 of 1 agents have not come back within 0.3 s of this master's election" in output
    assert b"Missing are A (lost.example)." in output
    assert b"Traceback" not in output


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--work_dir is required"),
        (["--registry=in_memory", "--agent_ping_timeout=2hrs"], "between 1secs and 15mins"),
        (["--registry=in_memory", "--agent_reregister_timeout=0secs"], "more than nothing"),
        (["--registry=in_memory", "--agent_removal_rate_limit=0/10mins"], "as 1/10mins does"),
        (["--registry=in_memory", "--agent_removal_rate_limit=1"], "not a rate such as 1/10mins"),
        (["--registry=in_memory", "--recovery_agent_removal_limit=25"], "between 0% and 100%"),
        (["--registry=in_memory", "--recovery_agent_removal_limit=101%"], "between 0% and 100%"),
        (["--registry=in_memory", "--weights=ads:2"], "role=weight"),
        (["--registry=in_memory", "--weihgts=ads=2"], "weights"),
        (["--registry=memory"], "in_memory"),
        (["--registry=in_memory", "--port=70000"], "65535"),
        (["--registry=in_memory", "--zk_session_timeout=4weeks"], "3weeks at most"),
        (["--registry=in_memory", "--offer_timeout=0secs"], "--offer_timeout must be more than nothing"),
        (["--registry=in_memory", "--registry_gc_interval=0secs"], "--registry_gc_interval must be more"),
        (
            ["--registry=in_memory", "--registry_max_agent_age=-1secs"],
            "--registry_max_agent_age must be more",
        ),
        (["--registry=in_memory", "--registry_max_agent_count=-1"], "must not be negative"),
        (["--registry=in_memory", "--max_unreachable_tasks_per_framework=-1"], "must not be negative"),
        (["--registry=in_memory", "--advertise_port=70000"], "--advertise_port must be between 1 and 65535"),
        (["--registry=in_memory", "--ip=::1"], "'::1' is not an IPv4 address"),
        (["--registry=in_memory", "--advertise_ip=here"], "'here' is not an IPv4 address"),
    ],
)
def test_flag_that_cannot_be_used_is_told_in_a_sentence(argv, sentence):
    with pytest.raises(FlagError, match=re.escape(sentence)):
        load(MasterFlags, argv, environ={})


def test_secure_by_default():
    assert load(MasterFlags, ["--registry=in_memory"], environ={}).ip == "127.0.0.1"


async def test_a_master_that_ends_breaks_connections_rather_than_refuse_calls():
    class SlowStore(MemoryStore):
        async def close(self):
            await may_close.wait()

    may_close = asyncio.Event()
    master = MasterProcess(MasterFlags(port=0, registry="in_memory"), SlowStore())
    await master.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", master.about.port)
    call = b"POST /api/v1/scheduler HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    writer.write(call)
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    ending = asyncio.create_task(master.stop())
    async with asyncio.timeout(10):
        while line := await reader.readline():
            assert not line.startswith(b"HTTP")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", master.about.port)
    may_close.set()
    await ending
    writer.close()
