"""`koinon up` chooses ports and guards its work directory before it starts anything."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from koinon.cli.errors import Failure
from koinon.cli.up.place import choose_ports, default_work_dir, locked

IP = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((IP, 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_are_chosen_once_and_kept(tmp_path: Path) -> None:
    wanted = {"master": 0, "agent-1": 0, "agent-2": 0}
    ports = choose_ports(tmp_path / "up.json", IP, wanted)
    assert len(set(ports.values())) == 3
    assert choose_ports(tmp_path / "up.json", IP, wanted) == ports


def test_a_remembered_port_that_is_taken_now_gives_way(tmp_path: Path, taken: int) -> None:
    (tmp_path / "up.json").write_text(json.dumps({"master": taken}))
    assert choose_ports(tmp_path / "up.json", IP, {"master": 0})["master"] != taken


def test_a_port_in_use_is_named_with_the_option_to_change(tmp_path: Path, taken: int) -> None:
    with pytest.raises(
        Failure, match=rf"^port {taken} on {IP} is in use: stop what uses it, or .* --agent-port"
    ):
        choose_ports(tmp_path / "up.json", IP, {"master": 0, "agent-1": taken})


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"^cannot listen on 192\.0\.2\.1: "):
        choose_ports(tmp_path / "up.json", "192.0.2.1", {"master": 0})


def test_a_work_directory_serves_one_up_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "work"):  # noqa: SIM117
        with pytest.raises(Failure, match=r"is in use by another `koinon up` \(pid \d+\)"):
            locked(tmp_path / "work").__enter__()
    with locked(tmp_path / "work"):
        pass


def test_a_work_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"^cannot use the work directory .*/file/work: Not a directory$"):
        locked(tmp_path / "file" / "work").__enter__()


def test_the_default_work_directory_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert default_work_dir() == tmp_path / "koinon"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_work_dir() == Path("/var/lib/koinon")
