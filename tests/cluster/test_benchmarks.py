"""Benchmarks still run; what they measure is for people to read."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import NAMES
from bench.figures import Figure, table

ROOT = Path(__file__).parents[2]
#: Drawing costs a second: the others are not summed up here.
SUMMED_UP = ("allocation", "executor_tasks")


def bench(*arguments: str, module: str = "bench", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SUMMED_UP])
def test_a_benchmark_measures_and_draws(name: str, tmp_path: Path) -> None:
    done = bench("--quick", f"--results={tmp_path}", module=f"bench.{name}")
    assert done.returncode == 0, done.stderr
    look_at(tmp_path, name)


def test_several_are_summed_up(tmp_path: Path) -> None:
    done = bench("--quick", f"--results={tmp_path}", *SUMMED_UP)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "all.md").read_text()
    assert list(json.loads((tmp_path / "all.json").read_text())["benchmarks"]) == list(SUMMED_UP)
    for name in SUMMED_UP:
        first = look_at(tmp_path, name)[0]
        assert f"## {name}" in page
        assert f"| {first['what']} " in page
    assert (tmp_path / "all.png").stat().st_size > 1000


def look_at(results: Path, name: str) -> list[dict[str, Any]]:
    """What it has measured, which looks right."""
    found = json.loads((results / f"{name}.json").read_text())
    figures: list[dict[str, Any]] = found["figures"]
    assert found["quick"]
    assert name == "slurm" or figures
    assert all(figure["value"] >= 0 for figure in figures if "memory" not in figure["what"])
    if figures:
        assert (results / f"{name}.png").stat().st_size > 1000
    return figures


def test_slurm_is_left_out_where_it_is_not_installed(tmp_path: Path) -> None:
    done = bench("--quick", f"--results={tmp_path}", "slurm", PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "left out: Slurm is not installed, " in done.stdout
    assert json.loads((tmp_path / "slurm.json").read_text())["figures"] == []
    assert "## slurm\n\nleft out" in (tmp_path / "all.md").read_text()


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    done = bench("slumr")
    assert done.returncode == 2
    assert "there is no benchmark slumr: choose of startup" in done.stderr


def test_the_table_says_which_targets_are_met() -> None:
    rows = table(
        [
            Figure("start", 0.5, "s", at_most=3, peer="> 4"),
            Figure("rate", 4000, "1/s", at_least=5000, peer="600–1,000"),
            Figure("size", 12.34, "MB"),
        ]
    ).splitlines()
    assert [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows[2:]] == [
        ["start", "0.50 s", "≤ 3 s", "> 4", "met"],
        ["rate", "4,000 1/s", "≥ 5,000 1/s", "600–1,000", "MISSED"],
        ["size", "12.3 MB", "", "", ""],
    ]
