"""The tutorial and how-to pages, done as they say: each command runs, and prints what the page shows.

What differs from run to run (ids, times, what a process uses) counts as the same. Commands that only look are
repeated until they show it. A block after `<!-- not run -->` is passed over.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cluster.test_up import SERVICES, running

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "docs" / name
    for name in (
        "tutorial.md",
        "how-to/other-languages.md",
        "how-to/sandboxes.md",
        "how-to/services.md",
        "how-to/troubleshoot.md",
    )
]
#: What the page's cluster has; the command there needs no such option.
RESOURCES = "cpus:4;mem:8192;disk:20000"

_LOOKING = re.compile(
    r"koinon (ps|tasks|agents|frameworks|roles|why|logs|cat|ls|app (list|show)|job (history|logs))\b"
)
_PATIENCE_S = 20.0
_VARYING = (
    (r"instance-[0-9a-f-]{36}\._app\.\d+", "instance-TASK"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "UUID"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?= )", "UUID"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-\w+", "ID"),
    (r"-[0-9a-f]{6}\.", "-RUN."),
    (r"\d+ different words", "SOME different words"),
    (r"\bct:\d+:", "ct:DUE:"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b(\d+\.)?\d+ ?s\b", "AGE"),
    (r"\S+/(?=[\d.]+\b)", "USED/"),
    (r"\d+\s+AGE$", "PROCESSES AGE"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE"),
)


class Step(NamedTuple):
    """A command of the page and what it shows."""

    line: int
    command: str
    shown: list[str]


def steps(page: str) -> Iterator[Step]:
    for block in re.finditer(r"(<!-- not run -->\n)?```console\n(.*?)```", page, re.DOTALL):
        if block[1]:
            continue
        first_line = page[: block.start(2)].count("\n") + 1
        command, shown, begun = "", list[str](), first_line
        for number, line in enumerate(block[2].splitlines(), first_line):
            if line.startswith("$ "):
                if command:
                    yield Step(begun, command, shown)
                command, shown, begun = line[2:], [], number
            elif line.startswith("> "):
                command += f"\n{line[2:]}"
            elif not re.match(r"\[\d+\]", line):  # the number of a job, which only a terminal tells
                shown.append(line)
        yield Step(begun, command, shown)


def comparable(lines: list[str]) -> list[str]:
    """The lines without what varies, in an order that does not."""
    found = []
    for line in lines:
        for pattern, name in _VARYING:
            line = re.sub(pattern, name, line)
        found.append(" ".join(line.split()))
    return sorted(found)


class Shell:
    """A bash that runs one command after the other and tells what each printed."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> list[str]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{command}\nprintf '\\n-- done --\\n'\n")
        stdin.flush()
        printed = ""
        while not printed.endswith("\n-- done --\n"):
            line = stdout.readline()
            assert line, f"the shell ended: {printed}"
            printed += line
        return printed.removesuffix("\n-- done --\n").splitlines()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    (tmp_path / "tutorial").mkdir()
    with running(tmp_path / "work", "--resources", RESOURCES, services=SERVICES) as up:
        ours = {
            "127.0.0.1:5050": up.addresses["master"],
            "127.0.0.1:5051": up.addresses["agent-1"],
            "127.0.0.1:8080": up.addresses["marathon"],
            "127.0.0.1:4400": up.addresses["chronos"],
            "/var/lib/koinon": str(tmp_path / "work"),
            "/tmp/tutorial": str(tmp_path / "tutorial"),
        }
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KOINON_MASTER": up.addresses["master"],
            "KOINON_MARATHON": up.addresses["marathon"],
            "KOINON_CHRONOS": up.addresses["chronos"],
        }
        shell = Shell(ROOT, environment)
        try:
            for step in steps(page.read_text()):
                follow(shell, step, ours)
        finally:
            shell.close()


def follow(shell: Shell, step: Step, ours: dict[str, str]) -> None:
    command = step.command
    for theirs, our in ours.items():
        command = command.replace(theirs, our)
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        printed = "\n".join(shell.run(command))
        for theirs, our in ours.items():
            printed = printed.replace(our, theirs)
        if comparable(printed.splitlines()) == comparable(step.shown):
            return
        if not _LOOKING.match(command) or time.monotonic() > deadline_s:
            pytest.fail(f"line {step.line}: {step.command}\nshows\n{step.shown}\nbut here\n{printed}")
        time.sleep(0.2)
