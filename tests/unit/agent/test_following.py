"""The channel goes where the leader is, and leaves where it is no more."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from koinon.agent.channel import Channel
from koinon.agent.core.events import Event, MasterConnected, MasterLost, MasterSaid
from koinon.coordination import DetectionError, Detector, Leader
from koinon.mesos import internal, v1
from tests.leaders import Word, at, leading
from tests.unit.agent.bench import task
from tests.unit.agent.shell import AgentProcess, FakeMaster, until
from tests.zookeeper import ZooKeeper


class Core:
    """Registers with every master, as the agent does, and remembers what it heard."""

    def __init__(self, masters: Detector | str, backoff_s: float = 0.02) -> None:
        self.heard: list[Event] = []
        self.channel = Channel(masters, self.hear, backoff_s=backoff_s)

    def hear(self, event: Event) -> None:
        self.heard.append(event)
        if isinstance(event, MasterConnected):
            info = v1.AgentInfo(hostname="a")
            self.channel.send(event.session, internal.Register(agent_info=info, pid="p", version="1"))

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.heard]

    async def hears(self, *kinds: type[Event]) -> None:
        names = [kind.__name__ for kind in kinds]
        await until(lambda: self.kinds()[-len(names) :] == names, f"{names}, but {self.kinds()}")


@pytest.fixture
async def run() -> AsyncIterator[Callable[..., Core]]:
    """Runs channels to the end of the test."""
    tasks = []

    def start(masters: Detector | str, **options: Any) -> Core:
        core = Core(masters, **options)
        tasks.append(asyncio.create_task(core.channel.run()))
        return core

    yield start
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def masters() -> AsyncIterator[tuple[FakeMaster, FakeMaster]]:
    async with FakeMaster() as first, FakeMaster() as second:
        yield first, second


REGISTERED = (MasterConnected, MasterSaid)


async def test_when_another_master_leads_the_old_one_is_left_though_it_still_talks(masters, run):
    first, second = masters
    word = Word(at(first.address))
    core = run(word)
    await first.registered()
    await core.hears(*REGISTERED)
    word.say(at(second.address, 2))
    await second.registered()
    await core.hears(MasterLost, *REGISTERED)
    assert core.channel.connected_to == second.address


async def test_a_master_that_hangs_does_not_keep_the_agent_from_the_next(run):
    over = asyncio.Event()
    connected = asyncio.Event()

    async def freeze(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await over.wait()  # and never an answer
        writer.close()

    frozen = await asyncio.start_server(freeze, "127.0.0.1", 0)
    async with frozen, FakeMaster() as second:
        word = Word(Leader("127.0.0.1", frozen.sockets[0].getsockname()[1], 1))
        run(word)
        await connected.wait()
        word.say(at(second.address, 2))
        async with asyncio.timeout(1):
            await second.registered()
        over.set()


async def test_a_leader_that_stops_in_the_middle_of_its_work_is_left_at_once(masters, run):
    """The close of a WebSocket is a conversation, which a frozen process does not have."""
    first, second = masters
    word = Word(at(first.address))
    core = run(word)
    await core.hears(*REGISTERED)
    first.awake.clear()
    await first.say(internal.Ping())
    word.say(at(second.address, 2))
    async with asyncio.timeout(1):
        await core.hears(MasterLost, *REGISTERED)
    first.awake.set()


async def test_when_nobody_leads_the_agent_is_without_master_until_somebody_does(masters, run):
    first, second = masters
    word = Word(at(first.address))
    core = run(word)
    await core.hears(*REGISTERED)
    word.say(None)
    await core.hears(MasterLost)
    assert core.channel.connected_to is None
    word.say(at(second.address, 2))
    await core.hears(MasterLost, *REGISTERED)


async def test_news_of_the_master_that_we_are_with_changes_nothing(masters, run):
    first, second = masters
    first.redirect = second.address
    word = Word(at(first.address))
    core = run(word)
    await second.registered()
    await core.hears(*REGISTERED)
    word.say(at(second.address, 2))
    word.say(at(second.address, 3))
    await asyncio.sleep(0.1)
    assert core.kinds() == ["MasterConnected", "MasterSaid"]


async def test_a_new_leader_ends_the_wait_for_one_that_does_not_answer(masters, run):
    word = Word(Leader("127.0.0.1", 1, 1))
    run(word, backoff_s=0.001)
    await until(lambda: len(word.suspected) > 12, "many attempts")  # by now the pauses are seconds
    word.say(at(masters[0].address, 2))
    async with asyncio.timeout(0.5):
        await masters[0].registered()


async def test_agents_of_a_large_cluster_take_their_time_to_come_to_a_new_leader(masters, run, monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda least, most: most)
    first, second = masters
    first.return_within_s = 60
    word = Word(at(first.address))
    core = run(word)
    await core.hears(*REGISTERED)
    word.say(at(second.address, 2))
    await core.hears(MasterLost)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await second.registered()


async def test_of_a_list_of_masters_any_that_answers_will_do(masters, run):
    first, second = masters
    core = run(f"127.0.0.1:1,{first.address},{second.address}")
    await first.registered()
    first.redirect = second.address  # it stands by now
    await first.hang_up()
    await second.registered()
    await core.hears(MasterLost, *REGISTERED)


async def test_a_redirection_to_nowhere_is_a_failure_like_others(masters, run):
    first, second = masters
    first.redirect = "nonsense:port"
    run(f"{first.address},{second.address}")
    await second.registered()


async def test_a_detector_that_gives_up_ends_the_channel_with_its_reason():
    core = Core(Word(DetectionError("may not be read by us")))
    with pytest.raises(DetectionError, match="may not be read"):
        await core.channel.run()


# ── the process ───────────────────────────────────────────────────────────────────────────────────
async def test_an_agent_is_led_by_zookeeper_and_shows_its_password_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zookeeper: ZooKeeper
) -> None:
    place = zookeeper.url("me:secret")
    monkeypatch.setenv("MESOS_MASTER", place)
    agent = AgentProcess(tmp_path / "agent", "")
    del agent.flags["master"]
    agent.flags["logging_level"] = "INFO"
    await agent.start()
    try:
        async with FakeMaster() as master, leading(place, master.address):
            register = await master.registered()
            await master.run(task(command="env; cat /proc/$PPID/environ; sleep 100"))
            await master.reaches("t", "RUNNING")
            flags = (await agent.get("/flags", register))["flags"]
            assert flags["master"] == place.replace("secret", "***")
            stdout = tmp_path / "agent/slaves/latest/frameworks/F/executors/t/runs/latest/stdout"
            said = await until(stdout.read_text, "the task has told its environment")
            assert "secret" not in said
            state = await agent.get("/state", register)
            assert "secret" not in str(state)
        async with FakeMaster() as second, leading(place, second.address):
            await second.registered()
        assert await agent.stop(signal.SIGTERM) == 0
        assert b"registered" in agent.stderr
        assert b"secret" not in agent.stderr
    finally:
        await agent.finish()
