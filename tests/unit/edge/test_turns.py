"""What comes by the thousand is done a little in each turn of the loop, in its order."""

import asyncio
import time

import pytest

from koinon.edge import Answer, turns
from koinon.edge.turns import Turns


def busy(seconds):
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        pass


async def test_long_work_is_done_in_its_order_over_many_turns_of_the_loop():
    queue, done, loops = Turns(), [], 0
    for number in range(20):
        queue.add(lambda number=number: (busy(turns._TURN_S / 2), done.append(number)))
    assert done == []
    while len(queue):
        await asyncio.sleep(0)
        loops += 1
    assert done == list(range(20))
    assert loops >= 10


async def test_short_work_is_done_in_one_turn():
    queue, done = Turns(), []
    for number in range(100):
        queue.add(lambda number=number: done.append(number))
    await asyncio.sleep(0)
    assert len(done) == 100


async def test_work_is_done_at_once_as_long_as_there_is_time_in_the_turn():
    queue, done = Turns(), []
    for _ in range(3):
        for number in range(4):
            work = asyncio.ensure_future(
                queue.do(lambda number=number: (busy(turns._TURN_S / 2), done.append(number)))
            )
        await work
    assert done == [0, 1, 2, 3] * 3
    loops = 0
    for _ in range(10):
        before = len(done)
        await queue.do(lambda: done.append(9))
        loops += len(done) == before
    assert loops == 0


async def test_who_waits_for_work_gets_its_exception_and_may_give_up():
    queue, done = Turns(), []

    def fail():
        raise KeyError("inside")

    for _ in range(2):
        with pytest.raises(KeyError):
            await queue.do(fail)
        queue.add(lambda: None)  # now that somebody waits the next one does, too
    queue.add(lambda: busy(2 * turns._TURN_S))
    queue.add(lambda: None)
    waiting = asyncio.create_task(queue.do(lambda: done.append("never")))
    await asyncio.sleep(0)
    waiting.cancel()
    await queue.do(lambda: done.append("next"))
    assert done == ["next"]


async def test_while_patient_clients_wait_by_the_hundred_others_are_answered(server):
    """One who asks for something else is in nobody's queue, though all came before."""
    begun, over = asyncio.Event(), []

    async def patient(request):
        return Answer(b"you")

    async def quick(request):
        return Answer(b"me")

    server.route("/patient", patient, patient=True)
    server.route("/quick", quick)
    await server.start("127.0.0.1", 0)

    async def ask(path):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        begun.set()
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        over.append(path)
        writer.close()
        assert b" 200 " in answer.split(b"\r\n")[0]

    slow = [lambda: busy(turns._TURN_S) for _ in range(50)]  # others who came before
    for work in slow:
        server.turns.add(work)
    asked = [asyncio.create_task(ask("/patient")) for _ in range(100)]
    await begun.wait()
    await ask("/quick")
    assert over == ["/quick"]
    await asyncio.gather(*asked)


async def test_a_patient_client_that_goes_away_is_forgotten(server):
    served = []

    async def patient(request):
        served.append(request.query_string)
        return Answer(b"you")

    server.route("/patient", patient, patient=True)
    await server.start("127.0.0.1", 0)
    held = asyncio.Event()
    server.turns.add(lambda: busy(3 * turns._TURN_S))
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /patient HTTP/1.1\r\nHost: h\r\n\r\n")
    writer.transport.abort()
    server.turns.add(held.set)
    await held.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /patient HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200")
    writer.close()
