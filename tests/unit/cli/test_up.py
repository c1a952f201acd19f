"""`koinon up` chooses ports and guards its work directory before it starts anything."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from types import SimpleNamespace

import pytest

from koinon.cli.errors import Failure
from koinon.cli.up import command, place
from koinon.cli.up.place import choose_ports, default_work_dir, locked, part_of_machine
from koinon.cli.up.process import Process
from koinon.mesos import codec, v1
from koinon.mesos.resources import Resources

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


@pytest.mark.parametrize(
    ("name", "option"),
    [("master-2", "--master-port"), ("agent-1", "--agent-port"), ("agent-9", "--agent-port")],
)
def test_ports_that_count_on_beyond_the_last_are_refused(tmp_path: Path, name: str, option: str) -> None:
    with pytest.raises(Failure, match=rf"^there is no port 65536 for {name}: choose a smaller {option}"):
        choose_ports(tmp_path / "up.json", IP, {name: 65536})


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


def test_processes_that_outlive_a_killed_up_are_waited_for(tmp_path: Path, monkeypatch, capsys) -> None:
    left = (tmp_path / "processes.lock").open("a")  # what such a process has inherited
    fcntl.flock(left, fcntl.LOCK_EX)
    monkeypatch.setattr(place, "_LEFT_S", 0.1)
    with pytest.raises(
        Failure, match=r"processes of the last `koinon up` in .*, which was killed, still run"
    ):
        locked(tmp_path).__enter__()
    assert "waiting for the processes" in capsys.readouterr().err
    monkeypatch.setattr(place, "_LEFT_S", 30.0)
    Timer(0.2, left.close).start()
    with locked(tmp_path):
        assert left.closed


def test_the_default_work_directory_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert default_work_dir() == tmp_path / "koinon"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_work_dir() == Path("/var/lib/koinon")


def parts(root: Path, given: str | None, agents: int) -> list[tuple[Resources, str | None]]:
    """What each agent offers, and which devices it is told to have."""
    found = []
    for which in range(agents):
        resources, *rest = part_of_machine(given, root, which, agents)
        each = json.loads(resources.removeprefix("--resources="))
        messages = [codec.decode(v1.Resource, json.dumps(one).encode(), codec.JSON) for one in each]
        devices = rest[0].removeprefix("--nvidia_gpu_devices=") if rest else None
        found.append((Resources.from_v1(messages), devices))
    return found


@pytest.fixture
def three_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0, GPU-a\\n1, GPU-b\\n2, GPU-c\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize(
    ("given", "agents", "expected"),
    [
        (None, 2, [(1, "0"), (2, "1,2")]),
        (None, 3, [(1, "0"), (1, "1"), (1, "2")]),
        (None, 4, [(0, ""), (1, "0"), (1, "1"), (1, "2")]),
        ("cpus:1;gpus:1", 2, [(1, "0"), (1, "1")]),
        ("cpus:1;gpus:0", 2, [(0, ""), (0, "")]),
    ],
)
def test_no_two_agents_have_the_same_gpu(
    tmp_path: Path, given: str | None, agents: int, expected: list[tuple[int, str]]
) -> None:
    assert [(resources.gpus, devices) for resources, devices in parts(tmp_path, given, agents)] == expected


@pytest.mark.usefixtures("three_gpus")
def test_more_gpus_than_there_are_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="2 agents with 2 gpus each need 4, and there are 3"):
        parts(tmp_path, "gpus:2", 2)


def test_gpus_that_are_made_up_are_as_many_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = parts(tmp_path, "gpus:2", 2)
    assert [(resources.gpus, devices) for resources, devices in found] == [(2, None), (2, None)]


def test_all_parts_together_are_the_machine(tmp_path: Path) -> None:
    (one,), many = parts(tmp_path, None, 1), parts(tmp_path, None, 3)
    total = Resources.sum(resources for resources, _ in many)
    assert one[0].contains(total)
    assert one[0].cpus - total.cpus < 0.01
    assert one[0].named("ports") == total.named("ports")


@pytest.mark.parametrize("masters", ["1", "2"])
def test_who_listens_on_all_addresses_is_told_by_one(tmp_path: Path, monkeypatch, masters: str) -> None:
    made: list[Process] = []
    monkeypatch.setattr(
        command,
        "Cluster",
        lambda services, roles, told, lock: SimpleNamespace(run=lambda: made.extend(roles)),
    )
    monkeypatch.setattr("koinon.edge.addresses._outward_ip", lambda: "192.0.2.7")
    options = ["--work-dir", str(tmp_path), "--ip", "0.0.0.0", "--zk", "zk://h:1/p", "--masters", masters]
    ports = [f"--{name}-port=0" for name in ("master", "agent", "marathon", "chronos")]
    command.up.main([*options, *ports], standalone_mode=False)
    for role in made:
        assert role.address.startswith("192.0.2.7:")
        listens = "http_address" if role.kind in ("marathon", "chronos") else "ip"
        assert {f"--{listens}=0.0.0.0", "--hostname=192.0.2.7"} < set(role._argv)
    assert [role.kind for role in made] == [*["master"] * int(masters), "agent", "marathon", "chronos"]
    (chronos,) = (role for role in made if role.kind == "chronos")
    assert f"--zk_hosts=file://{tmp_path}/zk-chronos" in chronos._argv
    assert {"--zk_path=/p-chronos", f"--work_dir={tmp_path}/chronos"} < set(chronos._argv)
