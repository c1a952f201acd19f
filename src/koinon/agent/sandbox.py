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
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

MODE = 0o750
#: To open a directory, but no link to one.
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class SandboxError(Exception):
    """No sandbox; the text is a sentence for the owner of the task."""


def prepare(sandbox: str, link: str, user: str | None, shared: Iterable[tuple[str, str]] = ()) -> None:
    """Make `sandbox`, for `user` unless that is ourselves, and let `link` point to it. Raises SandboxError.

    `shared` are paths of directories to be made, in this sandbox or in the one around it, and of links to them.
    """
    owner = _owner(user) if user is not None else None
    executor, _, below = sandbox.rpartition("/runs/")
    run, nested, inside = below.partition("/")
    agent = executor.rsplit("/", 4)[0]
    try:
        try:
            _make(f"{executor}/runs", run, owner)
        except FileNotFoundError:  # an empty directory above was collected just now
            _make(f"{executor}/runs", run, owner)
        if nested:
            _make_nested(f"{executor}/runs/{run}", inside, link, owner)
            link = f"{executor}/runs/latest"  # the run has no program of its own that would have made it
        _link(f"{executor}/runs/{run}", link)
        _link(agent, f"{os.path.dirname(agent)}/latest")
        for source, link in shared:
            _share(f"{executor}/runs/{run}", source, link, owner)
    except OSError as error:
        raise _failure(sandbox, error) from error


def prepare_standalone(sandbox: str, user: str | None, shared: Iterable[tuple[str, str]] = ()) -> None:
    """Make the sandbox of a standalone container, which lies in a directory of ours. Raises SandboxError."""
    owner = _owner(user) if user is not None else None
    parent, name = os.path.split(sandbox)
    try:
        _make(parent, name, owner)
        for source, link in shared:
            _share(sandbox, source, link, owner)
    except OSError as error:
        raise _failure(sandbox, error) from error


def prepare_nested(sandbox: str, root: str, user: str | None, shared: Iterable[tuple[str, str]] = ()) -> None:
    """Make a sandbox in that of an executor or of a standalone container, `root`. Raises SandboxError."""
    owner = _owner(user) if user is not None else None
    try:
        _make_nested(root, os.path.relpath(sandbox, root), "", owner)
        for source, link in shared:
            _share(root, source, link, owner)
    except OSError as error:
        raise _failure(sandbox, error) from error


def _failure(sandbox: str, error: OSError) -> SandboxError:
    return SandboxError(f"The sandbox {sandbox} cannot be made: {error.strerror}")


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


def _make(runs: str, run: str, owner: tuple[int, int] | None) -> None:
    """The run's own directory. Those above are the agent's: nobody plants links there."""
    os.makedirs(runs, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{runs}/{run}", MODE)
        if owner is not None:
            os.chown(f"{runs}/{run}", *owner, follow_symlinks=False)


def _make_nested(run: str, inside: str, link: str, owner: tuple[int, int] | None) -> None:
    """The sandbox of a nested container, and the link to it.

    All of it lies in a directory of the task's user, who may have put links there that lead anywhere. So we go from
    open directory to open directory and follow none.
    """
    sandbox = f"{run}/{inside}"
    _enter(run, inside.split("/"), owner, lambda folder: None)
    if not link:
        return
    parents, name = os.path.split(os.path.relpath(link, run))
    target = os.path.relpath(sandbox, os.path.dirname(link))
    _enter(run, parents.split("/"), owner, lambda folder: _point(name, target, folder))


def _share(run: str, source: str, link: str, owner: tuple[int, int] | None) -> None:
    """Make the directory `source` unless something is there, and let `link` point to it; both below `run`."""

    def make(folder: int) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, MODE, dir_fd=folder)
            if owner is not None:
                os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)

    parents, name = os.path.split(os.path.relpath(source, run))
    _enter(run, parents.split("/") if parents else [], owner, make)
    parents, last = os.path.split(os.path.relpath(link, run))
    target = os.path.relpath(source, os.path.dirname(link))
    _enter(run, parents.split("/") if parents else [], owner, lambda folder: _point(last, target, folder))


def _enter(run: str, parts: list[str], owner: tuple[int, int] | None, do: Callable[[int], None]) -> None:
    """Make the directories `parts` below `run`, one in the other, and `do` something with the last one, open."""
    folder = os.open(run, _DIRECTORY)
    try:
        for part in parts:
            made = True
            try:
                os.mkdir(part, MODE, dir_fd=folder)
            except FileExistsError:
                made = False
            below = os.open(part, _DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
            if made and owner is not None:
                os.fchown(folder, *owner)
        do(folder)
    finally:
        os.close(folder)


def _link(target: str, link: str) -> None:
    """Let `link`, in a directory of the agent, point to `target`."""
    parent, name = os.path.split(link)
    folder = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _point(name, os.path.relpath(target, parent), folder)
    finally:
        os.close(folder)


def _point(name: str, target: str, folder: int) -> None:
    try:
        os.symlink(target, name, dir_fd=folder)
    except FileExistsError:
        if os.readlink(name, dir_fd=folder) != target:
            os.unlink(name, dir_fd=folder)
            os.symlink(target, name, dir_fd=folder)


def remove_nested(sandbox: str, root: str) -> None:
    """Remove the sandbox of a nested container, which is in `root`, or that of a standalone one. Raises OSError.

    What is in `root` may belong to a task's user, so no link is followed on the way to it, nor in it.
    """
    base = root or os.path.dirname(sandbox)
    parents, name = os.path.split(os.path.relpath(sandbox, base))
    with _opened(base, parents) as folder:
        _remove_tree(f"./{name}", f"/proc/{os.getpid()}/fd/{folder}")


@contextlib.contextmanager
def _opened(base: str, parts: str) -> Iterator[int]:
    """The directory at the relative path `parts` in `base`, open; on that path no link is followed."""
    folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in filter(None, parts.split("/")):
            below = os.open(part, _DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def ended(sandbox: str, root: str | None, *, before: bool) -> float:
    """When a sandbox came to its end: now, which is noted in it; or `before`, as is noted there. Raises OSError.

    `root` is None for one of an executor, else as for `remove_nested`.
    """
    base = root or os.path.dirname(sandbox)
    with _opened(base, os.path.relpath(sandbox, base)) as folder:
        if not before:
            os.utime(folder)
        return os.fstat(folder).st_mtime


def inner(root: str) -> list[str]:
    """Names of the sandboxes of nested containers in that of an executor, or of standalone ones in the work directory."""
    try:
        with _opened(root, "containers") as folder:
            return [one.name for one in os.scandir(folder) if one.is_dir(follow_symlinks=False)]
    except OSError:  # there is none, or something else by that name
        return []


def runs(work_dir: Path) -> Iterator[tuple[float, str]]:
    """The directories of all runs, with the time of the last change in each."""
    for agent in work_dir.glob("slaves/*"):
        for run in () if agent.is_symlink() else agent.glob("frameworks/*/executors/*/runs/*"):
            with contextlib.suppress(FileNotFoundError):
                status = run.lstat()
                if stat.S_ISDIR(status.st_mode):
                    yield status.st_mtime, str(run)


def remove(run: Path) -> None:
    """Remove a run's directory, and those above that it leaves empty. Raises OSError."""
    _remove_tree(str(run), "/")
    parent = run.parent
    latest = parent / "latest"
    if latest.is_symlink() and not latest.exists():
        latest.unlink(missing_ok=True)
    agent = parent.parents[4]
    is_ours = os.path.realpath(agent.parent / "latest") == os.path.realpath(agent)
    with contextlib.suppress(OSError):  # not empty: there are other runs, executors, frameworks
        for folder in (parent, *list(parent.parents)[: 3 if is_ours else 5]):
            folder.rmdir()


def _remove_tree(path: str, directory: str) -> None:
    # A task may nest directories deeper than any recursion of ours reaches.
    done = subprocess.run(
        ["rm", "-rf", "--", path],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
