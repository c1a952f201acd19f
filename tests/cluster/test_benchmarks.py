"""Benchmarks still run; what they measure is for people to read."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_task_lives_are_measured_and_written_as_json(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    argv = ["bench.task_life", "--agents=5", "--frameworks=2", "--tasks=200", f"--json={figures}"]
    done = subprocess.run(
        [sys.executable, "-m", *argv], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    (row,) = json.loads(figures.read_text())["rows"]
    assert row["lives"] == 200
    assert row["master µs/life"] > 0
    assert len(done.stdout.splitlines()) == 2
