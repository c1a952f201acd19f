"""Reading on across files that are renamed for their size: each byte once, in order, and what is lost is said."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from koinon.cli.client import Client
from koinon.cli.errors import Failure
from koinon.cli.following import Followed
from tests.unit.cli.fake import Fake, serving

PATH = "/sandbox/stdout"


@pytest.fixture
def agent() -> Iterator[Fake]:
    with serving(Fake()) as one:
        one.files["/sandbox/stderr"] = b""
        yield one


@pytest.fixture
def client(agent: Fake) -> Iterator[Client]:
    with Client(agent.address) as client:
        yield client


class Writer:
    """A task and its agent: writes numbered words, and renames what has grown too large."""

    def __init__(self, agent: Fake, *, bytes_max: int, kept: int) -> None:
        self._files = agent.files
        self._bytes_max = bytes_max
        self._kept = kept
        self._renamed = 0
        self.written = b""
        self._files[PATH] = b""

    def write(self, count: int) -> None:
        for _ in range(count):
            word = b"%d " % len(self.written)
            if len(self._files[PATH]) + len(word) > self._bytes_max:
                self._renamed += 1
                self._files[f"{PATH}.{self._renamed}"] = self._files[PATH]
                self._files.pop(f"{PATH}.{self._renamed - self._kept}", None)
                self._files[PATH] = b""
            self._files[PATH] += word
            self.written += word


def drain(file: Followed) -> bytes:
    found, more = b"", True
    while more:
        data, more = file.read()
        found += data
    return found


def test_a_file_that_is_not_renamed_is_read_as_it_grows(agent, client):
    agent.files[PATH] = b"one"
    file = Followed(client, PATH)
    assert drain(file) == b"one"
    agent.files[PATH] = b"onetwo"
    assert drain(file) == b"two"
    assert drain(file) == b""


def test_old_files_are_read_first(agent, client):
    agent.files |= {f"{PATH}.9": b"a", f"{PATH}.10": b"b", PATH: b"c", f"{PATH}.x": b"?"}
    assert drain(Followed(client, PATH)) == b"abc"


def test_an_agent_that_renames_between_the_reads_loses_nothing(agent, client):
    seeds = random.Random(5)
    writer = Writer(agent, bytes_max=40, kept=1000)
    file, found = Followed(client, PATH), b""
    for _ in range(60):
        writer.write(seeds.randrange(12))
        found += drain(file)
    assert found == writer.written
    assert not file.lost


def test_an_agent_that_renames_during_the_reads_loses_nothing(agent, client, monkeypatch):
    seeds = random.Random(7)
    writer = Writer(agent, bytes_max=40, kept=1000)
    real = client.read

    def read(path: str, offset: int, length: int = 1 << 16) -> tuple[bytes, int]:
        if seeds.random() < 0.5 and len(writer.written) < 2000:
            writer.write(seeds.randrange(12))
        return real(path, offset, length)

    monkeypatch.setattr(client, "read", read)
    file, found = Followed(client, PATH), b""
    while len(found) < 2000:
        found += drain(file)
    assert found + drain(file) == writer.written
    assert not file.lost


def test_what_was_removed_before_it_was_read_is_told_and_nothing_comes_twice(agent, client):
    writer = Writer(agent, bytes_max=40, kept=1)
    file = Followed(client, PATH)
    writer.write(3)
    found = drain(file)
    writer.write(100)
    found += drain(file)
    assert file.lost
    words = [int(word) for word in found.split()]
    assert words == sorted(set(words))
    assert found.split()[-1] == writer.written.split()[-1]


def test_a_file_that_the_task_truncates_is_read_again(agent, client):
    agent.files[PATH] = b"long enough"
    file = Followed(client, PATH)
    drain(file)
    agent.files[PATH] = b"new"
    assert drain(file) == b"new"


def test_the_end_of_the_newest_file(agent, client):
    agent.files |= {f"{PATH}.3": b"old", PATH: b"0123456"}
    file = Followed(client, PATH)
    file.skip_to(5)
    assert drain(file) == b"56"
    agent.files |= {f"{PATH}.4": b"0123456789", PATH: b"next"}
    assert drain(file) == b"789next"


def test_other_files_may_be_called_anything(agent, client):
    agent.files |= {"/sandbox/app.log": b"log", "/sandbox/app.log.1": b"old"}
    assert drain(Followed(client, "/sandbox/app.log")) == b"log"


def test_a_file_that_is_not_there_is_a_failure(client):
    with pytest.raises(Failure):
        Followed(client, "/sandbox/none").read()


def test_the_moment_without_a_file_is_passed_over(agent, client):
    agent.files[PATH] = b"abc"
    file = Followed(client, PATH)
    drain(file)
    agent.files[f"{PATH}.1"] = agent.files.pop(PATH) + b"def"
    assert file.read() == (b"def", True)
