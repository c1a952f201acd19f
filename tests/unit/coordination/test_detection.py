"""What people write after --master, and whom it leads to."""

import asyncio
from pathlib import Path

import pytest

from koinon.coordination import Leader
from koinon.coordination.detection import Masters, detect


@pytest.mark.parametrize(
    ("text", "masters"),
    [
        ("127.0.0.1:5055", [("127.0.0.1", 5055)]),
        ("master.example", [("master.example", 5050)]),
        ("http://m:80/", [("m", 80)]),
        ("http://m/master/", [("m", 5050)]),
        ("//m:81", [("m", 81)]),
        ("[::1]:5051", [("::1", 5051)]),
        (" a:1, b ,[::2]:3 ", [("a", 1), ("b", 5050), ("::2", 3)]),
    ],
)
def test_masters_are_given_as_addresses(text: str, masters: list[tuple[str, int]]) -> None:
    assert Masters.parse(text).listed == tuple(Leader(*master) for master in masters)
    assert Masters.parse(str(Masters.parse(text))) == Masters.parse(text)


def test_masters_are_given_as_a_place_in_zookeeper_whose_password_is_not_shown() -> None:
    masters = Masters.parse("zk://me:secret@z1:2181,z2/mesos")
    assert masters.zookeeper is not None
    assert masters.zookeeper.credentials == "me:secret"
    assert str(masters) == "zk://me:***@z1:2181,z2:2181/mesos"
    assert "secret" not in repr(masters)


def test_masters_are_given_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "zk").write_text("zk://z1:2181/mesos\n")
    assert str(Masters.parse(f"file://{tmp_path}/zk")) == "zk://z1:2181/mesos"
    (tmp_path / "other").write_text(f"file://{tmp_path}/zk")
    with pytest.raises(ValueError, match="names another file"):
        Masters.parse(f"file://{tmp_path}/other")
    with pytest.raises(ValueError, match="cannot be read"):
        Masters.parse(f"file://{tmp_path}/none")


@pytest.mark.parametrize(
    "text", ["", ":5050", "a:x", "a:99999", "https://m:5050", "ftp://m", "a,,b", "zk:/h:2181/p", "m/path"]
)
def test_what_is_no_address_is_refused_with_what_to_give(text: str) -> None:
    with pytest.raises(ValueError, match="give host:port"):
        Masters.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "zkk://me:secret@h:1/p",
        "me:secret@h:5050",
        "zk://me:secret@h:x/p",
        "zk:/me:secret@h",
        "zk://secret@h/p",
    ],
)
def test_no_error_shows_a_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"give|form") as raised:
        Masters.parse(text)
    assert "secret" not in str(raised.value)


async def test_of_a_list_the_next_one_is_guessed_when_one_is_suspected() -> None:
    a, b = Leader("a", 1), Leader("b", 2)
    detector = detect("a:1,b:2")
    leaders = detector.leaders()
    assert await anext(leaders) == a
    detector.suspect(b)  # whom nobody has heard of yet
    detector.suspect(a)
    detector.suspect(a)  # said twice it is still b's turn
    assert await anext(leaders) == b
    detector.suspect(b)
    assert await anext(leaders) == a


async def test_the_only_master_stays_the_guess() -> None:
    detector = detect("a:1")
    leaders = detector.leaders()
    only = await anext(leaders)
    detector.suspect(only)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(leaders), 0.05)
