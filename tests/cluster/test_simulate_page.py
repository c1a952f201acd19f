"""docs/how-to/simulate.md, done as it says: each command prints exactly what the page shows."""

import os
import sys
from pathlib import Path

import pytest

from tests.cluster.test_tutorial import ROOT, Shell, steps

PAGE = ROOT / "docs" / "how-to" / "simulate.md"


@pytest.mark.slow
def test_page_does_what_it_shows(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = Shell(ROOT, {**os.environ, "PATH": path})
    try:
        for step in steps(PAGE.read_text()):
            printed = shell.run(step.command.replace("/tmp/study", str(tmp_path / "study")))
            # The harness begins a line of its own after what was printed.
            assert [line.rstrip() for line in printed if line] == [line for line in step.shown if line], (
                step.line
            )
    finally:
        shell.close()
