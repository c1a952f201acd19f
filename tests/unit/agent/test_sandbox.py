"""Sandboxes on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from koinon.agent import sandbox
from koinon.agent.sandbox import SandboxError


def run_of(work_dir: Path, container_id: str, executor_id: str = "e", agent_id: str = "S0") -> Path:
    """A sandbox that was prepared."""
    run = work_dir / f"slaves/{agent_id}/frameworks/F/executors/{executor_id}/runs/{container_id}"
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
