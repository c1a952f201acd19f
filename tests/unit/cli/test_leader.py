"""Finding the leading master: by one address, by several, through ZooKeeper; and what is said when there is none."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from koinon.cli import leader as module
from koinon.cli import main
from koinon.cli.errors import Failure
from koinon.cli.leader import Master, masters
from tests.leaders import leading
from tests.unit.cli.fake import Fake, serving
from tests.zookeeper import ZooKeeper


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(Fake()) as one:
        one.answers["/slaves"] = {"slaves": [], "recovered_slaves": []}
        yield one


@pytest.fixture
def standby() -> Iterator[Fake]:
    with serving(Fake()) as one:
        yield one


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def listed(text: str, **options: Any) -> Any:
    with Master(masters(text), **options) as master:
        return master.get("/slaves")


def why(ask: Callable[[], Any]) -> str:
    with pytest.raises(Failure) as raised:
        ask()
    return str(raised.value)


# ── one or several addresses ──────────────────────────────────────────────────────────────────────
def test_of_several_masters_the_first_that_leads_anywhere_is_asked(
    fake: Fake, standby: Fake, nobody: str
) -> None:
    standby.redirect = f"//{fake.address}/slaves"
    assert listed(f"{nobody},{standby.address}") == fake.answers["/slaves"]
    assert listed(f"{nobody},{fake.address}") == fake.answers["/slaves"]


def test_a_standby_whose_leader_has_gone_is_asked_again_until_it_knows_the_next(
    fake: Fake, standby: Fake, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = iter([f"//{nobody}/slaves", None, f"//{fake.address}/slaves"])

    def pause(_: float) -> None:
        standby.redirect = next(pauses)

    pause(0)
    monkeypatch.setattr(time, "sleep", pause)
    standby.status = 503  # what it answers when it does not redirect
    assert listed(standby.address) == fake.answers["/slaves"]


def test_masters_that_all_refuse_are_not_waited_for(nobody: str) -> None:
    begun_s = time.monotonic()
    assert why(lambda: listed(nobody)) == f"no master at {nobody}: start one with `koinon up`"
    said = why(lambda: listed(f"{nobody},localhost:1"))
    assert said == f"no master answers: {nobody} refuses connections; localhost:1 refuses connections"
    assert time.monotonic() - begun_s < module.PATIENCE_S / 2


def test_masters_of_whom_none_leads_are_waited_for_and_then_named(standby: Fake, nobody: str) -> None:
    standby.status = 503
    said = why(lambda: listed(f"{nobody},{standby.address}", patience_s=0.6))
    assert said.startswith(
        f"no master leads: {nobody} refuses connections; {standby.address} knows no leader (waited "
    )


def test_the_leader_that_went_away_is_found_again(fake: Fake, standby: Fake) -> None:
    with Master(masters(f"{standby.address},{fake.address}")) as master:
        standby.redirect = f"//{fake.address}/slaves"
        master.get("/slaves")
        standby.redirect, fake.status = None, 503  # they have changed places
        standby.answers["/slaves"] = {"slaves": ["new"], "recovered_slaves": []}
        assert master.get("/slaves")["slaves"] == ["new"]


@pytest.mark.parametrize("command", [["ps"], ["run", "true"], ["cat", "x"]])
def test_what_is_no_address_is_a_sentence_without_password(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--master", "zk://me:secret@/path"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("koinon: no server is named")
    assert "secret" not in said


# ── ZooKeeper ─────────────────────────────────────────────────────────────────────────────────────
async def test_the_leader_is_found_in_zookeeper(fake: Fake, zookeeper: ZooKeeper) -> None:
    import asyncio

    place = zookeeper.url("me:secret")
    async with leading(place, fake.address):
        assert await asyncio.to_thread(listed, place) == fake.answers["/slaves"]
        with Master(masters(place)) as master:
            assert await asyncio.to_thread(master.leader) == fake.address


def test_when_none_stands_for_election_that_is_said_with_where_and_how_long(zookeeper: ZooKeeper) -> None:
    place = zookeeper.url("me:secret")
    shown = place.replace("secret", "***")
    assert (
        why(lambda: listed(place, patience_s=1))
        == f"no master leads: none stands for election under {shown} (waited 1 s)"
    )


async def test_a_leader_that_does_not_answer_is_named(nobody: str, zookeeper: ZooKeeper) -> None:
    import asyncio

    place = zookeeper.url()
    async with leading(place, nobody):
        said = await asyncio.to_thread(why, lambda: listed(place, patience_s=1))
    assert said.startswith(f"no master leads: {nobody}, which {place} names, refuses connections (waited ")


def test_servers_that_do_not_serve_are_named_with_what_is_wrong_with_each(
    nobody: str, new_ensemble: Callable[[int], ZooKeeper]
) -> None:
    ensemble = new_ensemble(3)
    first, second, third = ensemble.servers
    second.kill()
    third.kill()
    place = f"zk://{ensemble.hosts}/mesos"
    said = why(lambda: listed(place, patience_s=2))
    assert said == (
        f"no contact with ZooKeeper: {first.address} serves nobody, as there is no quorum of servers;"
        f" {second.address} refuses connections; {third.address} refuses connections (waited 2 s)"
    )
