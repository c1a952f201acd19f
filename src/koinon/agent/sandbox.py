"""Sandboxes: the directories that tasks run in, made before and removed long after.

    WORK_DIR/slaves/latest                                                         link to AGENT
    WORK_DIR/slaves/AGENT/frameworks/FRAMEWORK/executors/EXECUTOR/runs/CONTAINER   mode 0750, the task's user's
                                                                ⋯/runs/latest      link to the newest
             ⋯/runs/CONTAINER/containers/NESTED, ⋯/tasks/TASK → it                 of a task in a group

Everything here blocks and runs in a thread.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

MODE = 0o750


class SandboxError(Exception):
    """No sandbox; the text is a sentence for the owner of the task."""


def prepare(sandbox: str, link: str, user: str | None) -> None:
    """Make `sandbox`, for `user` unless that is ourselves, and let `link` point to it. Raises SandboxError."""
    owner = _owner(user) if user is not None else None
    executor, _, below = sandbox.rpartition("/runs/")
    container, nested, _ = below.partition("/")
    agent = executor.rsplit("/", 4)[0]
    try:
        try:
            _make(f"{executor}/runs", below, owner)
        except FileNotFoundError:  # an empty directory above was collected just now
            _make(f"{executor}/runs", below, owner)
        _link(sandbox, link, owner)
        if nested:  # the run itself has no program of its own that would have made the link to it
            _link(f"{executor}/runs/{container}", f"{executor}/runs/latest", owner)
        _link(agent, f"{os.path.dirname(agent)}/latest", None)
    except OSError as error:
        raise SandboxError(f"The sandbox {sandbox} cannot be made: {error.strerror}") from error


def _owner(user: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise SandboxError(
            f"The task is to run as '{user}', but this agent's machine has no such user"
        ) from None
    if os.geteuid() != 0:
        raise SandboxError(
            f"The task is to run as '{user}', but the agent is not root and can run tasks as itself only:"
            " start it as root or with --no-switch_user"
        )
    return entry.pw_uid, entry.pw_gid


def _make(path: str, below: str, owner: tuple[int, int] | None) -> None:
    os.makedirs(path, exist_ok=True)
    for part in below.split("/"):  # the run's own directory, and those of nested containers
        path = f"{path}/{part}"
        try:
            os.mkdir(path, MODE)
        except FileExistsError:
            continue
        if owner is not None:
            os.chown(path, *owner)


def _link(sandbox: str, link: str, owner: tuple[int, int] | None) -> None:
    parent = os.path.dirname(link)
    if not os.path.isdir(parent):
        os.mkdir(parent, MODE)
        if owner is not None:
            os.chown(parent, *owner)
    target = os.path.relpath(sandbox, parent)
    try:
        os.symlink(target, link)
    except FileExistsError:
        if os.readlink(link) != target:
            os.unlink(link)
            os.symlink(target, link)


def expired(work_dir: Path, live: frozenset[str], before_s: float) -> list[Path]:
    """Directories of runs that nothing has changed in since `before_s` and that are none of the containers `live`."""
    found = []
    for run in _runs(work_dir):
        with contextlib.suppress(FileNotFoundError):
            if run.name not in live and run.lstat().st_mtime < before_s:
                found.append(run)
    return found


def _runs(work_dir: Path) -> Iterator[Path]:
    for agent in work_dir.glob("slaves/*"):
        for run in () if agent.is_symlink() else agent.glob("frameworks/*/executors/*/runs/*"):
            if not run.is_symlink():
                yield run


def remove(run: Path) -> None:
    """Remove a run's directory, and those above that it leaves empty. Raises OSError."""
    shutil.rmtree(run)
    runs = run.parent
    latest = runs / "latest"
    if latest.is_symlink() and not latest.exists():
        latest.unlink()
    with contextlib.suppress(OSError):  # not empty: there are other runs, executors, frameworks
        runs.rmdir()
        runs.parent.rmdir()
        runs.parent.parent.rmdir()
        runs.parent.parent.parent.rmdir()
