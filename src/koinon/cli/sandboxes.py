"""`koinon logs`, `cat`, `ls`: a task's sandbox, read from its agent."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, BinaryIO

import click

from koinon.cli.client import Client
from koinon.cli.errors import Failure
from koinon.cli.following import Followed
from koinon.cli.options import framework_option, json_option, master_option
from koinon.cli.output import Record, show_json
from koinon.cli.tasks import TERMINAL, Sandbox, awaited, find_task, sandbox_of

_POLL_S = 0.4
_TAIL_BLOCK = 1 << 16


@click.command()
@click.argument("task")
@click.option("--follow", "-f", is_flag=True, help="Go on as the task writes, until it ends.")
@click.option(
    "--tail", "-n", type=click.IntRange(min=0), metavar="LINES", help="Begin with the last LINES lines."
)
@click.option("--file", "files", multiple=True, metavar="PATH", help="Another file than stdout and stderr.")
@framework_option
@master_option
def logs(
    master: Client, task: str, follow: bool, tail: int | None, files: tuple[str, ...], framework: str | None
) -> None:
    """Print what TASK wrote: its stdout to stdout, its stderr to stderr.

    TASK is an id, the begin or end of one, or a name.
    """
    print_logs(master, task, framework, files=files, tail=tail, follow=follow)


def print_logs(
    master: Client, task: str, framework: str | None, *, files: Sequence[str], tail: int | None, follow: bool
) -> None:
    """Print files of the task's sandbox: stdout and stderr if none is named; the last `tail` lines or all."""
    record = find_task(master, task, framework)
    with sandbox_of(master, record) as sandbox:
        out = sys.stdout.buffer
        if files:
            followers = [_Follower(sandbox, name, out) for name in files]
        else:
            followers = [_Follower(sandbox, "stdout", out), _Follower(sandbox, "stderr", sys.stderr.buffer)]
        for follower in followers:
            if tail is not None:
                follower.skip_to_tail(tail)
            follower.drain()
        if not follow:
            return
        watch = _Watch(master, record)
        watch.start()
        ended = False
        try:
            while not ended:
                # Asked before reading: what is there once the task has ended is all there will be.
                ended = watch.ended.wait(_POLL_S)
                for follower in followers:
                    follower.drain()
        finally:
            watch.ended.set()  # nobody wants to know any more


class _Watch(threading.Thread):
    """Asks the master whether the task has ended, beside those who read: without a master the task goes on."""

    def __init__(self, master: Client, task: Record) -> None:
        super().__init__(daemon=True)
        self._master = master
        self._task = task
        self.ended = threading.Event()

    def run(self) -> None:
        """Ask until it has."""
        away = False
        while not self.ended.is_set():
            try:
                if self._has_ended():
                    self.ended.set()
                away = False
            except Failure as failure:
                if not away:
                    _say(f"{failure}; going on with what the task writes")
                away = True
            time.sleep(_POLL_S)

    def _has_ended(self) -> bool:
        task = self._task
        found = self._master.get("/tasks", task_id=task["id"], framework_id=task["framework_id"], limit=1)[
            "tasks"
        ]
        if found:
            return found[0]["state"].removeprefix("TASK_") in TERMINAL
        # A new master knows a task once its agent has come back.
        return all(agent["id"] != task["agent_id"] for agent in awaited(self._master))


class _Follower:
    """Copies one file, from where it left off."""

    def __init__(self, sandbox: Sandbox, name: str, out: BinaryIO) -> None:
        self._agent = sandbox.agent
        self._name = name
        self._file = Followed(sandbox.agent, sandbox.file(name))
        self._out = out

    def skip_to_tail(self, lines: int) -> None:
        """Move to where the last `lines` lines begin."""
        _, size = self._agent.read(self._file.path, 0, 0)
        end = b""
        start = size
        # The newline that ends the last line does not begin another.
        while start > 0 and end[:-1].count(b"\n") < lines:
            step = min(_TAIL_BLOCK, start)
            start -= step
            block, _ = self._agent.read(self._file.path, start, step)
            end = block + end
        kept = end.splitlines(keepends=True)[-lines:] if lines else []
        self._file.skip_to(size - sum(map(len, kept)))

    def drain(self) -> None:
        """Copy what is there."""
        more = True
        while more:
            data, more = self._file.read()
            self._out.write(data)
            self._out.flush()
        if self._file.lost:
            self._file.lost = False
            _say(f"some of {self._name} was removed before it was read")


def _say(sentence: str) -> None:
    print(f"koinon: {sentence}", file=sys.stderr, flush=True)


@click.command()
@click.argument("task")
@click.argument("path", default="stdout")
@framework_option
@master_option
def cat(master: Client, task: str, path: str, framework: str | None) -> None:
    """Print the file PATH (default: stdout) of TASK's sandbox."""
    print_file(master, task, path, framework)


def print_file(master: Client, task: str, path: str, framework: str | None) -> None:
    """Print one file of the task's sandbox."""
    with sandbox_of(master, find_task(master, task, framework)) as sandbox:
        _Follower(sandbox, path, sys.stdout.buffer).drain()


@click.command()
@click.argument("task")
@click.argument("path", default="")
@click.option("-l", "long", is_flag=True, help="Also mode, owner, size and time.")
@framework_option
@master_option
@json_option
def ls(master: Client, task: str, path: str, long: bool, framework: str | None, as_json: bool) -> None:
    """List TASK's sandbox, or the folder PATH in it."""
    with sandbox_of(master, find_task(master, task, framework)) as sandbox:
        entries: list[dict[str, Any]] = sandbox.agent.get("/files/browse", path=sandbox.file(path))
    for entry in entries:
        entry["name"] = entry["path"].rpartition("/")[2] + ("/" if entry["mode"].startswith("d") else "")
    if as_json:
        show_json(entries)
    elif long:
        width = max((len(str(entry["size"])) for entry in entries), default=0)
        for entry in entries:
            changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["mtime"]))
            owner = f"{entry['uid']} {entry['gid']}"
            print(
                f"{entry['mode']} {entry['nlink']} {owner} {entry['size']:>{width}} {changed} {entry['name']}"
            )
    else:
        for entry in entries:
            print(entry["name"])
