"""What an agent offers: what it was told, and for the rest what the machine has."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from koinon.agent import detection
from koinon.agent.core.disk import limit_bytes
from koinon.agent.core.state import Executor, Kind
from koinon.agent.detection import find_resources
from koinon.mesos import codec, v1
from koinon.mesos.attributes import attributes_object, parse_attributes
from koinon.mesos.resources import ResourceError, Resources

GB = 1024
PAGE = os.sysconf("SC_PAGE_SIZE")


def found(given: str | None, role: str = "*") -> Resources:
    return Resources.from_v1(find_resources(given, Path("/"), role))


def disk(**info: object) -> str:
    entry = {"name": "disk", "type": "SCALAR", "scalar": {"value": 2000}, "disk": info}
    return json.dumps([entry])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Its memory and disk, in MB."""
    sizes = {"mem": 8 * GB, "disk": 100 * GB}

    def sysconf(name: str) -> int:
        return sizes["mem"] * 2**20 // PAGE if name == "SC_PHYS_PAGES" else PAGE

    monkeypatch.setattr(detection.os, "cpu_count", lambda: 6)
    monkeypatch.setattr(detection.os, "sysconf", sysconf)
    monkeypatch.setattr(
        detection.os, "statvfs", lambda path: os.statvfs_result((4096, 4096, sizes["disk"] * 256, *[0] * 7))
    )
    return sizes


@pytest.mark.usefixtures("machine")
def test_what_is_not_named_is_what_the_machine_has():
    assert found(None) == Resources.parse(f"cpus:6;mem:{7 * GB};disk:{95 * GB};ports:[31000-32000]")


@pytest.mark.parametrize(
    ("name", "size", "offered"),
    [
        ("mem", 2 * GB, GB),
        ("mem", 2 * GB - 2, GB - 1),
        ("mem", 512, 256),
        ("disk", 10 * GB, 5 * GB),
        ("disk", 10 * GB - 2, 5 * GB - 1),
    ],
)
def test_of_little_memory_or_disk_one_half_is_offered(machine, name, size, offered):
    machine[name] = size
    assert getattr(found(None), name) == offered


@pytest.mark.usefixtures("machine")
def test_what_is_named_replaces_what_is_found_and_nothing_else():
    assert found("cpus(a):2;mem:10") == Resources.parse(
        f"cpus(a):2;mem:10;disk:{95 * GB};ports:[31000-32000]"
    )


@pytest.mark.usefixtures("machine")
def test_zero_of_something_is_nothing_of_it():
    assert not found("cpus:0;mem:0;disk:0;ports:[]")


@pytest.mark.usefixtures("machine")
def test_what_names_no_role_has_the_default_one():
    assert found("cpus(a):2;mem:10", "b") == Resources.parse(
        f"cpus(a):2;mem(b):10;disk(b):{95 * GB};ports(b):[31000-32000]"
    )


def test_agents_that_share_a_machine_have_a_part_of_it_each():
    whole = found(None)
    parts = [
        Resources.from_v1(find_resources("gpus:1", Path("/"), "*", part=(which, 3))) for which in range(3)
    ]
    assert all(part.gpus == 1 for part in parts)
    assert (whole + Resources.parse("gpus:3")).contains(Resources.sum(parts))
    assert sum(end - begin + 1 for part in parts for begin, end in part.ports) == 1001
    assert min(part.mem for part in parts) > whole.mem / 3 - 1


@pytest.mark.usefixtures("machine")
def test_json_and_a_file_of_it_say_the_same_as_text(tmp_path):
    entries = [codec.encode(one, codec.JSON).decode() for one in Resources.parse("cpus:2;mem:10").to_v1()]
    text = f"[{','.join(entries)}]"
    path = tmp_path / "resources"
    path.write_text(text)
    assert found(text) == found(str(path)) == found("cpus:2;mem:10")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("kind", ["PATH", "MOUNT"])
def test_who_names_any_disk_names_all(kind):
    (only,) = found(disk(source={"type": kind, kind.lower(): {"root": "/mnt/d"}})).named("disk").to_v1()
    assert only.disk is not None
    assert only.scalar == v1.Value.Scalar(value=2000)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ("cpus:{a}", "must be a number"),
        ("ports:5", "must be ranges"),
        ("cpus:-1", "negative"),
        ("ports:[5-1]", "after its end"),
        ("/no/such/file", "cannot read /no/such/file"),
        ("cpus", "cpus"),
        ("cpus:x:y", "cpus"),
        ("[{]", "JSON"),
        (disk(source={"type": "MOUNT"}), "needs its root"),
        (disk(source={"type": "BLOCK"}), "PATH or MOUNT"),
        ('[{"name":"cpus","type":"SCALAR","scalar":{"value":2},"revocable":{}}]', "revocable"),
        (
            '[{"name":"cpus","type":"SCALAR","scalar":{"value":2},"reservations":[{"type":"DYNAMIC","role":"a"}]}]',
            "dynamic reservations",
        ),
        (
            '[{"name":"disk","type":"SCALAR","scalar":{"value":2},"role":"a",'
            '"disk":{"persistence":{"id":"i"},"volume":{"mode":"RW","container_path":"p"}}}]',
            "persistent volumes",
        ),
    ],
)
def test_what_no_agent_can_have_is_refused(given, word):
    with pytest.raises(ResourceError, match=word):
        found(given)


def test_another_disk_is_none_for_the_sandbox():
    given = [
        *Resources.parse("disk:10").to_v1(),
        *Resources.from_v1(
            find_resources(disk(source={"type": "PATH", "path": {"root": "/d"}}), Path("/"), "*")
        )
        .named("disk")
        .to_v1(),
    ]
    executor = Executor(
        framework_id="F",
        executor_id="e",
        kind=Kind.CUSTOM,
        info=v1.ExecutorInfo(executor_id=v1.ExecutorID("e"), resources=given),
        container_id="c",
        directory="/d",
        user=None,
    )
    assert limit_bytes(executor) == 10 << 20


def test_attributes_are_numbers_ranges_or_text():
    attributes = parse_attributes("rack:a;n:3.25;r:[1-5];url:http://x;neg:-4")
    assert attributes_object(attributes) == {
        "rack": "a", "n": 3.25, "r": "[1-5]", "url": "http://x", "neg": -4.0,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["x", "k:", ":v", "s:{a,b}", "r:[b]"])
def test_attributes_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match=r"attribute|range"):
        parse_attributes(text)
