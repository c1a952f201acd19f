"""The command line: `koinon COMMAND …`, and the `mesos-*` names.

Each command lives in a module of its own that is imported when the command runs, never before: what a
short command waits for is mostly imports. A command's module holds a click command; roles (`master`, `agent`, `marathon`,
`chronos`) are handed their arguments untouched, as their flags are not click's (`koinon.flags`).

    client     HTTP to a master or an agent, and which one      errors     one sentence, exit status 1
    output     tables for people, JSON for programs             tasks      from a name to a task and its sandbox
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

#: name → (module, what it does), in the order of `koinon --help`.
COMMANDS = {
    "up": ("koinon.cli.up", "Start a whole cluster on this machine."),
    "run": ("koinon.cli.run", "Run a command on the cluster, once or many times."),
    "ps": ("koinon.cli.listings", "Running tasks and what they use."),
    "tasks": ("koinon.cli.listings", "Tasks of all frameworks."),
    "frameworks": ("koinon.cli.listings", "Frameworks and what they hold."),
    "agents": ("koinon.cli.listings", "Agents and what they have."),
    "roles": ("koinon.cli.listings", "Roles and their shares."),
    "logs": ("koinon.cli.sandboxes", "Print what a task wrote; -f follows it."),
    "exec": ("koinon.cli.shell", "Run a command where a task runs; -it for a shell."),
    "attach": ("koinon.cli.shell", "Be at the terminal of a task that has one."),
    "cat": ("koinon.cli.sandboxes", "Print a file of a task's sandbox."),
    "ls": ("koinon.cli.sandboxes", "List a task's sandbox."),
    "why": ("koinon.cli.why", "Why a task, a framework or a service has what it has, or waits."),
    "app": ("koinon.cli.apps.command", "Services: list, show, scale, restart, roll back, destroy."),
    "plan": ("koinon.cli.apps.plan", "What deploying files with services would change."),
    "deploy": ("koinon.cli.apps.deploy", "Make services what files say."),
    "job": ("koinon.cli.jobs.command", "Jobs at their times: list, add, run, history, logs, delete."),
    "simulate": ("koinon.cli.simulate", "What would happen to this work on that cluster?"),
    "master": ("koinon.master.server", "Run a master (flags: koinon master --help)."),
    "agent": ("koinon.agent.server", "Run an agent (flags: koinon agent --help)."),
    "marathon": ("koinon.marathon.server", "Run a Marathon (flags: koinon marathon --help)."),
    "chronos": ("koinon.chronos.server", "Run a Chronos (flags: koinon chronos --help)."),
}
#: Programs with flags of their own.
ROLES = ("master", "agent", "marathon", "chronos")


def main(argv: Sequence[str] | None = None) -> int:
    """`koinon …`: run it and return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in ROLES:
        return _role(arguments[0], arguments[1:])
    return _told(lambda: import_module("koinon.cli.group").run_group(arguments))


def mesos_master() -> int:
    """`mesos-master …` is `koinon master …`."""
    return _role("master", sys.argv[1:])


def mesos_agent() -> int:
    """`mesos-agent …` and `mesos-slave …` are `koinon agent …`."""
    return _role("agent", sys.argv[1:])


def marathon() -> int:
    """`marathon …` is `koinon marathon …`."""
    return _role("marathon", sys.argv[1:])


def chronos() -> int:
    """`chronos …` is `koinon chronos …`."""
    return _role("chronos", sys.argv[1:])


def mesos_execute() -> int:
    """`mesos-execute …`."""
    return _mesos("koinon.cli.execute", "execute")


def mesos_ps() -> int:
    """`mesos-ps …`."""
    return _mesos("koinon.cli.mesos_tools", "ps")


def mesos_cat() -> int:
    """`mesos-cat …`."""
    return _mesos("koinon.cli.mesos_tools", "cat")


def mesos_tail() -> int:
    """`mesos-tail …`."""
    return _mesos("koinon.cli.mesos_tools", "tail")


def mesos_resolve() -> int:
    """`mesos-resolve …`."""
    return _mesos("koinon.cli.mesos_tools", "resolve")


def _role(role: str, argv: list[str]) -> int:
    import gc

    try:
        gc.disable()  # what is imported is there to stay: looking through it takes a tenth of a start
        serve: Callable[[list[str]], int | None] = import_module(COMMANDS[role][0]).main
        gc.enable()
        return serve(argv) or 0
    except KeyboardInterrupt:  # before it has begun to listen to signals
        return 130


def _mesos(module: str, verb: str) -> int:
    return _told(lambda: getattr(import_module(module), verb)(sys.argv[1:]))


def _told(command: Callable[[], Any]) -> int:
    """Exit status of `command`; what went wrong is told in a sentence."""
    import os

    from koinon.cli.errors import Failure

    try:
        status = int(command() or 0)
        sys.stdout.flush()
        return status
    except Failure as failure:
        print(f"koinon: {failure}", file=sys.stderr)
        return failure.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
