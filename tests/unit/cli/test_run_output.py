"""The output of instances is copied whole, line by line where several share the terminal."""

import asyncio
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from koinon.cli import run_output
from koinon.cli.batch import Instance
from koinon.cli.run_output import Outputs, Screen
from tests.unit.cli.fake import Fake, serving


class Stream:
    """Stands for sys.stdout or sys.stderr."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode()


@pytest.fixture
def agent() -> Iterator[Fake]:
    with serving(Fake()) as one:
        yield one


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> tuple[Stream, Stream]:
    out, err = Stream(), Stream()
    monkeypatch.setattr(run_output, "sys", SimpleNamespace(stdout=out, stderr=err))
    monkeypatch.setattr(run_output, "_POLL_S", 0.01)
    return out, err


def instance(agent: Fake, index: int = 0, state: str = "RUNNING", exit_status: int | None = None) -> Instance:
    return Instance(
        index=index,
        task_id=f"t.{index}",
        state=state,
        address=agent.address,
        exit_status=exit_status,
        started_s=1.0,
    )


def put(agent: Fake, index: int, stdout: bytes, stderr: bytes = b"") -> None:
    folder = f"/frameworks/f/executors/t.{index}/runs/latest"
    agent.files |= {f"{folder}/stdout": stdout, f"{folder}/stderr": stderr}


def outputs(**options: Any) -> Outputs:
    one = Outputs(Screen(progress=False), **{"enabled": True, "prefix": False, "instances": 1, **options})
    one.framework_id = "f"
    return one


async def copied(one: Outputs, *instances: Instance) -> None:
    for each in instances:
        one.follow(each)
    async with asyncio.timeout(10):
        await one.drained()
    await one.end()


async def test_one_instance_is_copied_exactly(agent: Fake, streams: tuple[Stream, Stream]) -> None:
    put(agent, 0, b"a\nb \xff no newline", b"oops")
    await copied(outputs(), instance(agent, exit_status=0))
    assert (streams[0].buffer.getvalue(), streams[1].text) == (b"a\nb \xff no newline", "oops")


async def test_lines_of_several_instances_stay_whole(agent: Fake, streams: tuple[Stream, Stream]) -> None:
    put(agent, 0, b"one\ntwo")
    put(agent, 1, b"three\n")
    await copied(outputs(instances=2), instance(agent, 0, exit_status=0), instance(agent, 1, exit_status=0))
    assert sorted(streams[0].text.splitlines()) == ["one", "three", "two"]
    assert streams[0].text.endswith("\n")


async def test_prefixes_name_the_instance(agent: Fake, streams: tuple[Stream, Stream]) -> None:
    put(agent, 7, b"hello\nthere\n")
    await copied(outputs(instances=12, prefix=True), instance(agent, 7, exit_status=0))
    assert streams[0].text == " 7 │ hello\n 7 │ there\n"


async def test_output_is_followed_as_it_grows(agent: Fake, streams: tuple[Stream, Stream]) -> None:
    one, running = outputs(), instance(agent)
    put(agent, 0, b"first\n")
    one.follow(running)
    async with asyncio.timeout(10):
        while streams[0].text != "first\n":  # noqa: ASYNC110 (a buffer has no event)
            await asyncio.sleep(0.005)
    put(agent, 0, b"first\nsecond\n")
    running.exit_status = 0
    await copied(one, running)
    assert streams[0].text == "first\nsecond\n"


async def test_output_that_is_missing_is_told_once(agent: Fake, streams: tuple[Stream, Stream]) -> None:
    await copied(outputs(instances=2), instance(agent, 0, exit_status=0), instance(agent, 1, exit_status=0))
    assert streams[1].text.count("koinon: output is missing: agent at") == 1


async def test_nothing_is_read_when_not_following(agent: Fake, streams: tuple[Stream, Stream]) -> None:
    put(agent, 0, b"x")
    await copied(outputs(enabled=False), instance(agent, exit_status=0))
    assert streams[0].text == ""


def test_the_bar_stays_below_the_output(streams: tuple[Stream, Stream]) -> None:
    screen = Screen(progress=True)
    screen.progress(4, {"FINISHED": 1, "RUNNING": 3})
    before = streams[1].text
    assert before.endswith("1/4  1 finished  3 running")
    screen.write(streams[0].buffer, b"output\n")  # type: ignore[arg-type]
    assert streams[1].text == before + "\r\x1b[K" + before
    screen.close()
    assert streams[1].text.endswith("\r\x1b[K")
