"""`mesos-ps`, `mesos-cat`, `mesos-tail`, `mesos-resolve`: small tools under the names, and with the flags, of Mesos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct

from koinon import __version__
from koinon.cli.leader import Master, masters
from koinon.flags import Duration, Flag, StructT, load_or_exit

Where = Annotated[
    str | None,
    Flag("Where the leading master is found: host:port, several divided by commas, or zk://host:port/path."),
]


class _PsFlags(Struct, frozen=True, kw_only=True):
    master: Where = None
    timeout: Annotated[Duration, Flag("How long to wait for an answer.")] = Duration(5)


class _FileFlags(Struct, frozen=True, kw_only=True):
    master: Where = None
    framework: Annotated[str | None, Flag("Id of the framework, or its begin or end.")] = None
    task: Annotated[str, Flag("Id of the task, its begin or end, or its name.")]
    file: Annotated[str, Flag("The file, in the task's sandbox.")] = "stdout"


class _TailFlags(_FileFlags, frozen=True, kw_only=True):
    follow: Annotated[bool, Flag("Go on as the file grows, until the task ends.")] = False


class _ResolveFlags(Struct, frozen=True, kw_only=True):
    master: Where = None
    timeout: Annotated[Duration, Flag("How long to wait for an answer.")] = Duration(5)


def ps(argv: Sequence[str]) -> None:
    """`mesos-ps`: running tasks and what they use."""
    flags = _load(_PsFlags, argv, "mesos-ps")
    from koinon.cli.listings import show_running

    with Master(masters(flags.master), timeout_s=flags.timeout, patience_s=flags.timeout) as master:
        show_running(master, as_json=False)


def cat(argv: Sequence[str]) -> None:
    """`mesos-cat`: print a file of a task's sandbox."""
    flags = _load(_FileFlags, argv, "mesos-cat")
    from koinon.cli.sandboxes import print_file

    with Master(masters(flags.master)) as master:
        print_file(master, flags.task, flags.file, flags.framework)


def tail(argv: Sequence[str]) -> None:
    """`mesos-tail`: print the end of a file of a task's sandbox, and follow it."""
    flags = _load(_TailFlags, argv, "mesos-tail")
    from koinon.cli.sandboxes import print_logs

    with Master(masters(flags.master)) as master:
        print_logs(master, flags.task, flags.framework, files=(flags.file,), tail=10, follow=flags.follow)


def resolve(argv: Sequence[str]) -> None:
    """`mesos-resolve [HOST:PORT,…|zk://…]`: print the address of the leading master."""
    arguments = list(argv)
    if arguments and not arguments[0].startswith("--"):
        arguments[0] = f"--master={arguments[0]}"
    flags = _load(_ResolveFlags, arguments, "mesos-resolve")
    with Master(masters(flags.master), timeout_s=flags.timeout, patience_s=flags.timeout) as master:
        print(master.leader())


def _load(struct: type[StructT], argv: Sequence[str], program: str) -> StructT:
    # MESOS_TASK, MESOS_FRAMEWORK and the like stand for other things: only MESOS_MASTER is looked at, by the client.
    environ = {name: value for name, value in os.environ.items() if name == "MESOS_MASTER"}
    return load_or_exit(struct, argv, program=program, version=__version__, environ=environ)
