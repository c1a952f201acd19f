"""`koinon simulate`, from the file to the tables, the JSON and the files."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from koinon.cli import main

FILE = """
length: 10m
agents:
  small: {count: 3, resources: {cpus: 2, mem: 4GB}, failures: {every: 20m, repair: 2m}}
roles:
  batch: {weight: 2}
frameworks:
  web:
    role: services
    workloads:
      servers:
        arrivals: {kind: poisson, rate: 2/min}
        task: {cpus: 1, mem: 1GB}
        duration: {kind: exponential, mean: 1m}
  nightly:
    role: batch
    workloads:
      copies:
        arrivals: {kind: at_once, tasks: 20}
        task: {cpus: 1, mem: 1GB}
        duration: {kind: lognormal, median: 20s, p99: 5m}
      recorded:
        arrivals: {kind: trace, file: trace.csv}
        task: {cpus: 0.5, mem: 100}
        duration: {kind: trace}
"""
TRACE = "arrival,duration\n" + "".join(f"{at * 30},{at}\n" for at in range(10))

#: Tasks that come in the ten minutes, whatever the cluster is.
ARRIVED = 48

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "trace.csv").write_text(TRACE)
    (tmp_path / "study.yaml").write_text(FILE)
    return tmp_path / "study.yaml"


@pytest.fixture
def simulate(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: object) -> tuple[int, str, str]:
        status = main(["simulate", *map(str, argv)])
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return run


def test_the_tables_say_what_is_used_what_became_of_tasks_and_how_long_they_waited(
    file: Path, simulate: Run
) -> None:
    status, out, err = simulate(file)
    assert (status, err) == (0, "")
    head, tasks, *tables = out.splitlines()
    assert head == f"{file}: 3 agents for 10m, seed 1"
    assert tasks.startswith(f"{ARRIVED} tasks: ")
    titles = [line for line in tables if line.startswith(("RESOURCE", "ROLE", "FRAMEWORK"))]
    assert [title.split() for title in titles] == [
        ["RESOURCE", "HAS", "MEAN", "USE", "MAX", "USE"],
        ["ROLE", "WEIGHT", "MEAN", "SHARE", "MAX", "SHARE", "P50", "P90", "P99", "MAX"],
        ["FRAMEWORK", "ROLE", "TASKS", "FINISHED", "RUNNING", "WAITING", "LOST", "P50", "P90", "P99", "MAX"],
    ]
    rows = {line.split()[0]: line.split() for line in tables if line}
    assert rows["mem"][1] == "12GB"
    assert rows["batch"][1] == "2"
    assert rows["nightly"][1:3] == ["batch", "30"]
    assert {"copies", "recorded", "web"} <= rows.keys()


def test_json_and_report_are_the_same_and_do_not_change_from_run_to_run(file: Path, tmp_path: Path) -> None:
    """Not even with another order of Python's hashes."""
    outputs = set()
    for seed in ("1", "2"):
        ended = subprocess.run(
            [sys.executable, "-m", "koinon", "simulate", file, "--json", "--out", tmp_path / seed],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        outputs.add(ended.stdout)
        report = json.loads((tmp_path / seed / "report.json").read_text())
        assert json.loads(ended.stdout) == {"as it is": report}
        assert report["tasks"]["arrived"] == ARRIVED
    assert len(outputs) == 1
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    plots = ["queues", "shares", "utilisation", "waiting"]
    assert names == sorted(["report.json", *(f"{plot}.{kind}" for plot in plots for kind in ("csv", "svg"))])
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    for plot in plots:
        assert ElementTree.parse(tmp_path / "1" / f"{plot}.svg").getroot().tag.endswith("svg")


def test_what_ifs_are_compared_with_the_file_as_it_is(file: Path, simulate: Run, tmp_path: Path) -> None:
    more, fewer = "agents.small.count=6", "agents.small.count=2,agents.small.failures=null"
    out = tmp_path / "out"
    status, text, err = simulate(file, "--what-if", more, "--what-if", fewer, "--out", out, "--plots", "png")
    assert (status, err) == (0, "")
    first = text[text.index("CASE") : text.index("ROLE")].splitlines()
    assert [line.split("  ")[0] for line in first if line][1:] == ["as it is", "what-if 1", "what-if 2"]
    assert [line.split()[-1] for line in first if line][2:] == [more, fewer]
    cases = json.loads((out / "comparison.json").read_text())
    assert list(cases) == ["as it is", more, fewer]
    assert [case["agents"] for case in cases.values()] == [3, 6, 2]
    # The same tasks came.
    assert {case["tasks"]["arrived"] for case in cases.values()} == {ARRIVED}
    p90s = [case["frameworks"]["nightly"]["waiting"]["p90_s"] for case in cases.values()]
    assert p90s[1] < p90s[0] < p90s[2]
    for folder, case in zip(("as-it-is", "what-if-1", "what-if-2"), cases.values(), strict=True):
        assert json.loads((out / folder / "report.json").read_text()) == case
        assert (out / folder / "waiting.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_without_plots_matplotlib_is_not_loaded(file: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from koinon.cli import main; status = main(sys.argv[1:]);"
        " sys.exit(status or any(name in sys.modules for name in ('matplotlib', 'numpy', 'aiohttp')))"
    )
    for options in ((), ("--out", tmp_path / "out", "--plots", "none")):
        argv = [sys.executable, "-c", program, "simulate", file, *options]
        subprocess.run(argv, check=True, capture_output=True)
    assert (tmp_path / "out" / "waiting.csv").exists()
    assert not list((tmp_path / "out").glob("*.svg"))


@pytest.mark.parametrize(
    ("change", "argv", "told"),
    [
        (
            ("count: 3", "count: none"),
            (),
            "koinon: {file} cannot be used, it has a problem:\n"
            "  agents.small.count: must be a whole number from 1 to 1,000,000, not 'none'\n",
        ),
        (
            ("trace.csv", "gone.csv"),
            (),
            "koinon: {file} cannot be used, it has a problem:\n"
            "  frameworks.nightly.workloads.recorded.arrivals.file: gone.csv cannot be read: No such file or directory\n",
        ),
        (
            ("cpus: 2", "cpus: 0.7"),
            (),
            "koinon: {file} cannot be used, it has 2 problems:\n"
            "  frameworks.web.workloads.servers.task: a task of 'cpus:1;mem:1024' fits on no agent\n"
            "  frameworks.nightly.workloads.copies.task: a task of 'cpus:1;mem:1024' fits on no agent\n",
        ),
        (
            None,
            ("--what-if", "agents.smal.count=1"),
            "koinon: --what-if agents.smal.count=1 cannot be used, it has a problem:\n"
            "  agents: there is no 'smal' here; did you mean 'small'?\n",
        ),
        (
            None,
            ("--what-if", "length=1h,frameworks.web.role=/"),
            "koinon: --what-if length=1h,frameworks.web.role=/ cannot be used, it has a problem:\n"
            "  frameworks.web.role: role '/' must not start or end with a slash, nor have two in a row\n",
        ),
        (None, ("--out", "/dev/null/x"), "koinon: cannot write /dev/null/x: Not a directory\n"),
    ],
)
def test_what_is_wrong_is_told_and_gives_status_1(
    file: Path, simulate: Run, change: tuple[str, str] | None, argv: tuple[str, ...], told: str
) -> None:
    if change:
        before = file.read_text()
        file.write_text(before.replace(*change))
        assert file.read_text() != before
    assert simulate(file, *argv) == (1, "", told.format(file=file))


def test_a_file_that_is_not_there_or_no_text_is_told(simulate: Run, tmp_path: Path) -> None:
    gone = tmp_path / "gone.yaml"
    assert simulate(gone) == (1, "", f"koinon: cannot read {gone}: No such file or directory\n")
    gone.write_bytes(b"\xff\xfe\x00")
    assert simulate(gone) == (1, "", f"koinon: cannot read {gone}: it is not text\n")


def test_json_files_are_read_as_json(simulate: Run, tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    file.write_text("length: 5")
    status, _, err = simulate(file)
    assert status == 1
    assert "this is not JSON: Expecting value: line 1 column 1 (char 0)" in err


def test_a_what_if_may_bring_resources_roles_and_frameworks_that_were_not_there(
    file: Path, simulate: Run, tmp_path: Path
) -> None:
    workload = (
        "{w: {arrivals: {kind: at_once, tasks: 2}, task: {gpus: 1}, duration: {kind: constant, value: 9}}}"
    )
    change = f"agents.new={{count: 1, resources: {{cpus: 1, gpus: 2}}}},frameworks.new={{role: gpu, workloads: {workload}}}"
    status, out, _ = simulate(file, "--what-if", change, "--out", tmp_path / "out")
    assert status == 0
    assert "GPUS" in out
    rows = [line.split() for line in out.splitlines() if line.startswith(("gpu", "new"))]
    assert [row[:3] for row in rows] == [["gpu", "what-if", "1"], ["new", "what-if", "1"]]
    assert "new" in (tmp_path / "out" / "comparison.svg").read_text()
