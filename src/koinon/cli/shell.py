"""`koinon exec` and `koinon attach`: a program in a task's sandbox, or the task itself, at one's own terminal."""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from koinon.cli import terminal
from koinon.cli.attached import Input, Output, Record
from koinon.cli.client import Client, agent_address
from koinon.cli.errors import Failure
from koinon.cli.options import framework_option, master_option
from koinon.cli.tasks import TERMINAL, agents_by_id, find_task

_STDIN = 0
_FDS = {"STDOUT": 1, "STDERR": 2}
#: How long the end of a task may be on its way after that of its output.
_END_S = 10.0


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-i", "--interactive", is_flag=True, help="Pass on the standard input.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal, which is yours.")
@click.argument("task")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@framework_option
@master_option
def exec(
    master: Client, task: str, command: tuple[str, ...], interactive: bool, tty: bool, framework: str | None
) -> int:
    """Run COMMAND where TASK runs: in its sandbox and environment, as its user.

    TASK is an id, the begin or end of one, or a name. The exit status is that of COMMAND, or 128 and its signal. `koinon
    exec -it TASK sh` is a shell.
    """
    if tty and not os.isatty(_STDIN):
        raise Failure("the standard input is no terminal: leave out -t")
    with _container_of(master, task, framework) as (agent, parent):
        container_id = {"value": f"exec-{uuid.uuid4()}", "parent": parent}
        wanted: Record = {"container_id": container_id, "command": _command(command, tty=tty)}
        if tty:
            size = {"window_size": terminal.size(_STDIN)}
            wanted["container"] = {"type": "MESOS", "tty_info": size}
        output = Output(
            agent, {"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session": wanted}
        )
        given = Input(
            agent,
            container_id,
            source=_STDIN if interactive else None,
            size=(lambda: terminal.size(_STDIN)) if tty else None,
        )
        _converse(output, given, raw=tty)
        try:
            return _exit_code(_how_it_ended(agent, container_id))
        except Failure as failure:
            raise Failure(f"how the command ended is not known: {failure}", 137) from None


@click.command()
@click.option("--no-stdin", is_flag=True, help="Only look on.")
@click.argument("task")
@framework_option
@master_option
def attach(master: Client, task: str, no_stdin: bool, framework: str | None) -> int:
    """Be at the terminal of TASK, which must have one (container.tty_info).

    TASK is an id, the begin or end of one, or a name. Ctrl-P Ctrl-Q lets go of it. The exit status is that of the task.
    """
    with _container_of(master, task, framework) as (agent, container_id):
        call = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": container_id}}
        output = Output(agent, call)
        ended = _Wait(agent, container_id)
        ended.start()
        at_terminal = os.isatty(_STDIN) and not no_stdin
        given = None
        if not no_stdin:
            given = Input(
                agent,
                container_id,
                source=_STDIN,
                size=(lambda: terminal.size(_STDIN)) if at_terminal else None,
                detach=output.close if at_terminal else None,
                busy=_say_busy,
            )
        _converse(output, given, raw=at_terminal)
        if output.closed:
            print("koinon: let go; the task goes on", file=sys.stderr)
            return 0
        ended.join(_END_S)
        return _exit_code(ended.status)


def _say_busy() -> None:
    print("\r\nkoinon: somebody else is at this terminal: you only look on\r", file=sys.stderr)


def _command(command: tuple[str, ...], *, tty: bool) -> Record:
    wanted: Record = {"shell": False, "value": command[0], "arguments": list(command)}
    if tty and (kind := os.environ.get("TERM")):
        wanted["environment"] = {"variables": [{"name": "TERM", "value": kind}]}
    return wanted


@contextmanager
def _container_of(master: Client, given: str, framework: str | None) -> Iterator[tuple[Client, Record]]:
    """The agent of a running task, and the id of its container. Raises Failure."""
    task = find_task(master, given, framework)
    if task["state"] in TERMINAL:
        raise Failure(f"task {task['id']} does not run any more: it is {task['state']}")
    found = master.get("/tasks", task_id=task["id"], framework_id=task["framework_id"], limit=1)["tasks"]
    statuses: list[Record] = found[0]["statuses"] if found else []
    ids = [status.get("container_status", {}).get("container_id") for status in statuses]
    container_id = next((one for one in reversed(ids) if one), None)
    if container_id is None:
        raise Failure(f"task {task['id']} does not run yet: it is {task['state']}")
    agent = agents_by_id(master).get(task["agent_id"])
    if agent is None:
        raise Failure(f"the agent {task['agent_id']} of task {task['id']} is not registered now")
    with Client(agent_address(agent["pid"]), what="agent") as client:
        yield client, container_id


def _converse(output: Output, given: Input | None, *, raw: bool) -> None:
    """Pass on input and output until the output ends."""
    with ExitStack() as stack:
        if raw:
            stack.enter_context(terminal.raw(_STDIN))
            if given is not None:
                stack.enter_context(terminal.resizes(given.resized))
        if given is not None:
            given.start()
        for kind, data in output:
            _write_whole(_FDS[kind], data)


def _write_whole(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _how_it_ended(agent: Client, container_id: Record) -> int | None:
    """Wait status of a container that has ended, or is about to. Raises Failure."""
    call = {"type": "WAIT_CONTAINER", "wait_container": {"container_id": container_id}}
    answer: dict[str, Any] = agent.call(call)
    status: int | None = answer["wait_container"].get("exit_status")
    return status


class _Wait(threading.Thread):
    """Waits for the end of a container, beside what goes on meanwhile."""

    def __init__(self, agent: Client, container_id: Record) -> None:
        super().__init__(daemon=True)
        self._address = agent.address
        self._container_id = container_id
        self.status: int | None = None

    def run(self) -> None:
        """Ask, and keep the answer; without one the status is not known."""
        with Client(self._address, what="agent", timeout_s=None) as agent:
            try:
                self.status = _how_it_ended(agent, self._container_id)
            except Failure:
                self.status = None


def _exit_code(wait_status: int | None) -> int:
    if wait_status is None:
        raise Failure("it ended, and how is not known")
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code
