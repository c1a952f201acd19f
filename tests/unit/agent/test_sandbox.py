"""Sandboxes on the disk, and what the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from koinon.agent import sandbox
from koinon.agent.detection import find_resources
from koinon.agent.sandbox import SandboxError
from koinon.mesos.resources import ResourceError, Resources


def run_of(work_dir: Path, container_id: str, executor_id: str = "e") -> Path:
    """A sandbox that was prepared."""
    run = work_dir / f"slaves/S0/frameworks/F/executors/{executor_id}/runs/{container_id}"
    sandbox.prepare(str(run), str(run.parent / "latest"), None)
    return run


def test_latest_leads_to_the_newest_run(tmp_path):
    run_of(tmp_path, "c1")
    run = run_of(tmp_path, "c2")
    assert (tmp_path / "slaves/latest/frameworks/F/executors/e/runs/latest").resolve() == run


def test_a_work_dir_may_be_called_anything(tmp_path):
    run = run_of(tmp_path / "frameworks/containers/runs", "c1", "runs")
    assert (tmp_path / "frameworks/containers/runs/slaves/latest").resolve().name == "S0"
    assert run.is_dir()


def test_a_disk_that_refuses_is_a_sentence(tmp_path):
    (tmp_path / "slaves").write_text("in the way")
    with pytest.raises(SandboxError, match=r"The sandbox .* cannot be made: Not a directory"):
        run_of(tmp_path, "c1")


def test_an_unknown_user_is_a_sentence(tmp_path):
    run = tmp_path / "slaves/S0/frameworks/F/executors/e/runs/c"
    with pytest.raises(SandboxError, match=r"'nobody-knows-me'.*no such user"):
        sandbox.prepare(str(run), str(run.parent / "latest"), "nobody-knows-me")
    assert not run.exists()


def test_another_user_needs_root(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    run = tmp_path / "slaves/S0/frameworks/F/executors/e/runs/c"
    with pytest.raises(SandboxError, match="not root"):
        sandbox.prepare(str(run), str(run.parent / "latest"), "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_sandbox_belongs_to_the_user_of_the_task(tmp_path):
    run = tmp_path / "slaves/S0/frameworks/F/executors/e/runs/c"
    nested = run / "containers/n"
    sandbox.prepare(str(nested), str(run / "tasks/t"), "nobody")
    owners = {path.name: path.stat().st_uid for path in (run.parent, run, nested, run / "tasks")}
    nobody = nested.stat().st_uid
    assert nobody != 0
    assert owners == {"runs": 0, "c": nobody, "n": nobody, "tasks": nobody}


@pytest.mark.parametrize("planted", ["containers", "tasks"])
def test_links_that_a_task_planted_open_no_door_for_its_group(tmp_path, planted):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = run_of(tmp_path, "c")
    (run / planted).symlink_to(elsewhere)
    with pytest.raises(SandboxError, match="cannot be made"):
        sandbox.prepare(str(run / "containers/n"), str(run / "tasks/t"), None)
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_the_place_of_a_run_is_not_given_away(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    runs = tmp_path / "slaves/S0/frameworks/F/executors/e/runs"
    runs.mkdir(parents=True)
    (runs / "c").symlink_to(elsewhere)
    with pytest.raises(SandboxError, match="cannot be made"):
        sandbox.prepare(str(runs / "c/containers/n"), str(runs / "c/tasks/t"), None)
    assert list(elsewhere.iterdir()) == []


# ── detection ─────────────────────────────────────────────────────────────────────────────────────
def found(given: str | None, work_dir: Path, role: str = "*") -> Resources:
    return Resources.from_v1(find_resources(given, work_dir, role))


def test_what_is_not_given_is_found(tmp_path):
    resources = found(None, tmp_path)
    assert resources.cpus == os.cpu_count()
    assert resources.mem > 0
    assert resources.disk > 0
    assert resources.ports == [(31000, 32000)]


def test_what_is_given_counts_and_the_rest_is_found(tmp_path):
    resources = found("cpus:0.5;gpus:2", tmp_path)
    assert (resources.cpus, resources.gpus, resources.ports) == (0.5, 2.0, [(31000, 32000)])


def test_agents_that_share_a_machine_have_a_part_of_it_each(tmp_path):
    whole = found(None, tmp_path)
    parts = [
        Resources.from_v1(find_resources("gpus:1", tmp_path, "*", part=(which, 3))) for which in range(3)
    ]
    assert all(part.gpus == 1 for part in parts)
    assert (whole + Resources.parse("gpus:3")).contains(Resources.sum(parts))
    assert sum(end - begin + 1 for part in parts for begin, end in part.ports) == 1001
    assert min(part.mem for part in parts) > whole.mem / 3 - 1


def test_nothing_of_a_kind_may_be_given(tmp_path):
    assert found("mem:0", tmp_path).mem == 0


def test_resources_come_from_a_file_too(tmp_path):
    (tmp_path / "resources").write_text('[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 3}}]')
    assert found(str(tmp_path / "resources"), tmp_path).cpus == 3


def test_resources_are_of_the_default_role(tmp_path):
    assert found("cpus:1;mem(ads):1", tmp_path, "ops").reserved("ops").cpus == 1


@pytest.mark.parametrize("given", ["cpus", "cpus:x:y", "/no/such/file", "[{]"])
def test_what_cannot_be_read_is_a_sentence(tmp_path, given):
    with pytest.raises(ResourceError):
        found(given, tmp_path)
