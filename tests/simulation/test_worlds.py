"""The made-up world: the same seed tells the same story; what it models behaves as what it stands for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from koinon.coordination.zookeeper import Url
from koinon.simulator.disk import Disk, DiskStore
from koinon.simulator.keepers.ensemble import Ensemble
from koinon.simulator.keepers.server import PORT, ServerNode
from koinon.simulator.keepers.session import Session
from koinon.simulator.machines import Machine, Process
from koinon.simulator.network import Network
from koinon.simulator.plan import draw, draw_chronos
from koinon.simulator.shrink import minimal
from koinon.simulator.simulation import simulate
from koinon.simulator.surroundings import simulated
from koinon.simulator.world import Violation, World

DIGEST = """
from koinon.simulator.plan import draw, draw_chronos
from koinon.simulator.simulation import simulate
print(simulate(draw({seed})).story.digest(), simulate(draw_chronos({seed})).story.digest())
"""


def test_the_same_seed_tells_the_same_story_in_every_process() -> None:
    """Also where sets of strings are in another order."""
    for seed in (3, 4):
        stories = {
            subprocess.run(
                [sys.executable, "-c", DIGEST.format(seed=seed)],
                env={**os.environ, "PYTHONHASHSEED": str(order)},
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout
            for order in (1, 2)
        }
        own = [simulate(plan).story.digest() for plan in (draw(seed), draw_chronos(seed))]
        assert stories == {" ".join(own) + "\n"}


def test_another_seed_tells_another_story() -> None:
    assert simulate(draw(3)).story.digest() != simulate(draw(4)).story.digest()


def test_nothing_is_left_in_the_clocks_and_dice_of_the_tests() -> None:
    import random
    import time

    before, state = time.time, random.getstate()
    simulate(draw(1))
    assert time.time is before
    assert random.getstate() == state


# ── a small world ─────────────────────────────────────────────────────────────────────────────────
class Small:
    """Two machines, and what runs on them."""

    def __init__(self) -> None:
        self.world = World(1)
        self.network = Network(self.world)
        self.here = self.machine("here", "10.0.0.1")
        self.there = self.machine("there", "10.0.0.2")

    def machine(self, name: str, ip: str) -> Machine:
        machine = Machine(self.world, self.network, name, ip)
        machine.disk = Disk(self.world, name, self.world.random(name))
        return machine

    def run(self, machine: Machine, program: Callable[[Process], Coroutine[Any, Any, Any]]) -> Process:
        process = Process(machine, machine.name)
        process.start(program(process))
        return process


@pytest.fixture
def small():
    small = Small()
    with simulated(small.world):
        yield small
        for process in list(small.world.processes):
            process.kill("over", silently=True)
            process.loop.bury()


class Listener(asyncio.Protocol):
    def __init__(self) -> None:
        self.heard = b""
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


def connected(small: Small) -> tuple[Listener, Listener, asyncio.Transport, Process]:
    """Both ends of a connection, the transport from here to there, and the process there."""
    ends: list[Any] = []
    far = Listener()

    async def serve(process: Process) -> None:
        small.network.listen(process, 80, lambda: far)
        await process.loop.create_future()

    async def call(process: Process) -> None:
        ends.extend(await process.loop.create_connection(Listener, "there", 80))
        await process.loop.create_future()

    server = small.run(small.there, serve)
    small.world.run(small.world.now + 0.1)
    small.run(small.here, call)
    small.world.run(small.world.now + 1.0)
    transport, near = ends
    return near, far, transport, server


def test_bytes_arrive_in_order_however_they_are_cut(small: Small) -> None:
    _, far, transport, _ = connected(small)
    small.network.split = 0.5
    sent = b"".join(b"%d " % number for number in range(500))
    for number in range(500):
        transport.write(b"%d " % number)
    small.world.run(10.0)
    assert far.heard == sent


def test_what_a_cut_holds_back_arrives_when_it_is_healed_in_order(small: Small) -> None:
    _, far, transport, _ = connected(small)
    transport.write(b"before ")
    small.network.cut([("here", "there")])
    transport.write(b"meanwhile ")
    small.world.run(20.0)
    assert far.heard == b""
    small.network.heal([("here", "there")])
    transport.write(b"after")
    small.world.run(40.0)
    assert far.heard == b"before meanwhile after"


def test_a_killed_process_resets_its_connections_and_a_dead_machine_does_not(small: Small) -> None:
    near, _, _, server = connected(small)
    server.kill("SIGKILL")
    small.world.run(2.0)
    assert len(near.lost) == 1
    near, _, transport, _ = connected(small)
    small.there.crash()
    small.world.run(60.0)
    assert near.lost == []
    small.there.boot()
    transport.write(b"anybody?")
    small.world.run(70.0)
    assert len(near.lost) == 1


def test_a_frozen_process_finds_everything_when_it_wakes(small: Small) -> None:
    _, far, transport, server = connected(small)
    server.freeze()
    transport.write(b"hello")
    small.world.run(10.0)
    assert far.heard == b""
    server.wake()
    small.world.run(11.0)
    assert far.heard == b"hello"


def test_of_a_killed_process_not_even_finally_is_run(small: Small) -> None:
    left: list[str] = []

    async def program(process: Process) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            left.append("finally")

    process = small.run(small.here, program)
    small.world.run(1.0)
    process.kill("SIGKILL")
    small.world.run(200.0)
    assert left == []


def test_a_program_that_fails_breaks_a_law(small: Small) -> None:
    async def program(process: Process) -> None:
        raise ValueError("a mistake")

    small.run(small.here, program)
    with pytest.raises(Violation, match="a mistake"):
        small.world.run(1.0)


def test_what_is_not_written_yet_is_lost_with_the_process_or_just_made_it(small: Small) -> None:
    found = set()
    for _ in range(20):
        small.here.disk.files.clear()

        async def program(process: Process) -> None:
            store = DiskStore(process, small.here.disk, "file")
            await store.commit([("first", b"1")])
            store.commit([("second", b"2")])
            process.kill("SIGKILL")

        small.run(small.here, program)
        small.world.run(small.world.now + 1.0)
        found.add(tuple(small.here.disk.file("file")))
    assert found == {("first",), ("first", "second")}


# ── ZooKeeper ─────────────────────────────────────────────────────────────────────────────────────
class Keepers:
    """Three servers and a client on a machine of its own."""

    def __init__(self, small: Small) -> None:
        self.small = small
        self.ensemble = Ensemble(small.world, tick_s=0.5)
        self.nodes = [
            ServerNode(small.machine(f"keeper-{n}", f"10.0.1.{n}"), f"keeper-{n}", self.ensemble)
            for n in (1, 2, 3)
        ]
        for node in self.nodes:
            node.start()
        self.ensemble.start()
        self.url = Url(servers=tuple((node.machine.ip, PORT) for node in self.nodes), path="/test")
        self.states: list[str] = []
        self.session: Session

    def client(self, machine: Machine, program: Callable[[Session], Coroutine[Any, Any, Any]]) -> None:
        async def main(process: Process) -> None:
            self.session = Session(self.url, 4.0, on_state=lambda state: self.states.append(state.value))
            self.session.start()
            await self.session.connected()
            await program(self.session)
            await process.loop.create_future()

        self.small.run(machine, main)


@pytest.fixture
def keepers(small: Small) -> Keepers:
    return Keepers(small)


async def _make_ephemeral(session: Session) -> None:
    await session.ensure("/test")
    await session.create("/test/member_", b"me", ephemeral=True, sequence=True)


def test_what_is_ephemeral_lives_as_long_as_its_session(small: Small, keepers: Keepers) -> None:
    keepers.client(small.here, _make_ephemeral)
    small.world.run(30.0)
    assert keepers.ensemble.tree.children("/test") == ["member_0000000000"]
    small.here.processes[0].kill("SIGKILL")
    small.world.run(32.0)
    assert keepers.ensemble.tree.children("/test") == ["member_0000000000"]
    small.world.run(36.0)
    assert keepers.ensemble.tree.children("/test") == []


def test_a_session_outlives_a_server_and_the_leading_one(small: Small, keepers: Keepers) -> None:
    keepers.client(small.here, _make_ephemeral)
    small.world.run(10.0)
    for node in keepers.nodes:
        assert node.process is not None
        node.process.kill("SIGKILL")
        small.world.run(small.world.now + 10.0)
    assert keepers.ensemble.tree.children("/test") == ["member_0000000000"]
    assert "lost" not in keepers.states


def test_without_a_quorum_nothing_is_done_and_nobody_served(small: Small, keepers: Keepers) -> None:
    done: list[str] = []

    async def write(session: Session) -> None:
        await session.ensure("/test")
        await asyncio.sleep(10.0)
        await session.create("/test/x")
        done.append("x")

    keepers.client(small.here, write)
    small.world.run(8.0)
    for node in keepers.nodes[:2]:
        node.hold()
        assert node.process is not None
        node.process.kill("SIGKILL")
    small.world.run(30.0)
    assert done == []
    assert keepers.states[-1] == "suspended"
    for node in keepers.nodes[:2]:
        node.release()
    small.world.run(50.0)
    assert keepers.states[-1] == "made"


# ── shrinking ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("needed", [set(), {5}, {0, 19}, {3, 4, 11, 17}])
def test_what_is_not_needed_is_left_out(needed: set[int]) -> None:
    found = minimal(list(range(20)), lambda items: needed <= set(items))
    assert set(found) == needed
