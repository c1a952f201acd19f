"""The mechanical part of the style that no other tool looks after."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 500

#: Nobody reads these from top to bottom.
GENERATED = ("src/koinon/mesos/v1/", "tests/shapes/", "requirements")


def _committed() -> list[Path]:
    """Every text under version control that is there, as relative paths."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    return [Path(name) for name in listed.stdout.split("\0") if name and _is_text(ROOT / name)]


def _is_text(path: Path) -> bool:
    return path.is_file() and b"\0" not in path.read_bytes()


FILES = _committed()
WRITTEN = [path for path in FILES if not str(path).startswith(GENERATED) and path.suffix != ".lock"]
PYTHON = [path for path in WRITTEN if path.suffix == ".py"]


def text(path: Path) -> str:
    return (ROOT / path).read_text()


def test_no_file_is_longer_than_a_head_can_hold() -> None:
    sizes = {str(path): text(path).count("\n") for path in PYTHON}
    assert {name: lines for name, lines in sizes.items() if lines > LINES_MAX} == {}


def test_nothing_is_left_for_later() -> None:
    # Spelled apart, so that this file does not find itself.
    mark = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    assert [str(path) for path in WRITTEN if path.suffix != ".sh" and mark.search(text(path))] == []


def test_only_where_processes_are_tests_want_the_machine_for_themselves() -> None:
    """The Makefile looks for them nowhere else."""
    wants = re.compile(r"pytest\.mark\.(alone|waiting)\b")
    found = {path.parts[:2] for path in PYTHON if path.parts[0] == "tests" and wants.search(text(path))}
    assert found == {("tests", "cluster"), ("tests", "partitions")}


def test_no_package_registry_is_named() -> None:
    hosts = re.compile(
        "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.", "docker" + r"\.io"))
    )
    assert [str(path) for path in FILES if hosts.search(text(path))] == []


def test_every_module_says_what_it_is() -> None:
    modules = [path for path in PYTHON if path.parts[0] in ("src", "docs", "bench") and text(path).strip()]
    assert modules
    assert [str(path) for path in modules if not ast.get_docstring(ast.parse(text(path)))] == []


def test_text_ends_with_one_newline_and_has_no_trailing_blanks() -> None:
    found = []
    for path in WRITTEN:
        content = text(path)
        if content and (not content.endswith("\n") or content.endswith("\n\n")):
            found.append(f"{path}: its end")
        found += [f"{path}:{n}" for n, line in enumerate(content.split("\n"), 1) if line != line.rstrip()]
    assert found == []
