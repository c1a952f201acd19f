"""From standing by to leading, and to the end."""

import asyncio
from pathlib import Path

import pytest

from koinon.coordination import Fenced, Store, StoreError
from koinon.service.exits import Exit, Fatal
from tests.unit.service.echo import Echo, ask, flags_of, follows, leads, running


async def test_what_one_leader_kept_the_next_one_has(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        await leads(first)
        async with running(tmp_path) as second:
            await follows(second, first)
            assert (await ask(second, "/words/koinon", "PUT")).status == 200
            await first.stop()
            assert first.has_left
            await leads(second)
            assert (await ask(second, "/words")).json() == ["koinon"]
            assert second.epochs == [first.epochs[0] + 1]


async def test_a_leader_that_stops_lets_requests_end(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await leads(process)
        asked = asyncio.create_task(ask(process, "/slow"))
        await process.asked.wait()
        stopping = asyncio.create_task(process.stop())
        await asyncio.sleep(0)
        assert not process.has_left
        process.held.set()
        assert (await asked).status == 200
        await stopping
        assert process.has_left


async def test_abdication_ends_the_process_and_another_one_leads(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        await leads(first)
        async with running(tmp_path) as second:
            await follows(second, first)
            first.abdicate()
            with pytest.raises(Fatal) as end:
                async with asyncio.timeout(5):
                    await asyncio.shield(first.over)
            assert end.value.status == Exit.ABDICATED
            await first.stop()
            await leads(second)


async def test_a_deposed_leader_acts_no_more(tmp_path: Path) -> None:
    told: list[Fatal] = []
    process = Echo(flags_of(tmp_path), on_over=told.append)
    await process.start()
    await leads(process)
    process.leadership._deposed("tested")
    assert not process.leadership.may_act()
    assert [one.status for one in told] == [Exit.LEADERSHIP_LOST]
    assert (await ask(process, "/echo/x")).status == 502
    await process.stop()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Fatal(Exit.FRAMEWORK_ID_MISSING, "no id"), Exit.FRAMEWORK_ID_MISSING),
        (Fenced("another one leads"), Exit.LEADERSHIP_LOST),
        (StoreError("the disk is full"), Exit.TAKEOVER_FAILED),
        (ZeroDivisionError(), Exit.UNCAUGHT),
    ],
)
async def test_who_cannot_take_over_ends(tmp_path: Path, error: Exception, status: Exit) -> None:
    class Unable(Echo):
        async def lead(self, store: Store, epoch: int) -> None:
            raise error

    process = Unable(flags_of(tmp_path))
    await process.start()
    with pytest.raises(Fatal) as end:
        async with asyncio.timeout(5):
            await asyncio.shield(process.over)
    assert end.value.status == status
    await process.stop()


async def test_who_takes_too_long_to_take_over_ends(tmp_path: Path) -> None:
    process = Echo(flags_of(tmp_path, on_elected_prepare_timeout="50"))
    process.ready.clear()
    await process.start()
    with pytest.raises(Fatal, match=r"not ready to lead within 0\.05 s") as end:
        async with asyncio.timeout(5):
            await asyncio.shield(process.over)
    assert end.value.status == Exit.TAKEOVER_FAILED
    await process.stop()


async def test_who_must_be_alone_ends_when_it_is_not(tmp_path: Path) -> None:
    async with running(tmp_path) as leader:
        await leads(leader)
        process = Echo(flags_of(tmp_path, ha="false"))
        await process.start()
        with pytest.raises(Fatal, match="leads, and --ha is off"):
            async with asyncio.timeout(5):
                await asyncio.shield(process.over)
        await process.stop()


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as leader:
        process = Echo(flags_of(tmp_path, http_port=str(leader.port)))
        with pytest.raises(Fatal, match="Address already in use") as end:
            await process.start()
        assert end.value.status == Exit.PORT_TAKEN
        await process.stop()
