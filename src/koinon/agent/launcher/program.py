"""From a fresh fork to the program of a container: session, limits, user, files, and `execve`."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import pwd
import resource
import signal
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from koinon.agent.launcher.journal import Journal
from koinon.agent.launcher.processes import set_oom_score, start_ticks

#: Signals the launcher handles or ignores; they are blocked while it forks.
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: What a program must find in its default state: those, and two that Python ignores.
_RESET = (*HANDLED, signal.SIGPIPE, signal.SIGXFSZ)
#: By the names of v1 RLimitInfo; one is missing from the module.
_RLIMITS = {
    f"RLMT_{each[7:]}": getattr(resource, each) for each in dir(resource) if each.startswith("RLIMIT_")
}
_RLIMITS["RLMT_LOCKS"] = 10

_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class StepFailed(Exception):
    """A step on the way to the program failed: `args` are the step's name and a sentence."""


def become_subreaper() -> None:
    """Be the parent of every process that is orphaned below this one. Survives `execve`, not fork."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a child subreaper")


def become(
    spec: Mapping[str, Any], journal: Journal, at: float, oom_score: int | None, error_fd: int
) -> NoReturn:
    """Become the program of `spec`; or write `[step, sentence]` to `error_fd`, which `execve` closes, and end."""
    try:
        for signum in _RESET:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        os.setsid()
        become_subreaper()
        if oom_score is not None:
            set_oom_score(oom_score)
        os.umask(0o022)
        cwd = spec["cwd"]
        with _step("directory", f"cannot enter the working directory {cwd}"):
            os.chdir(cwd)
        user = _other_user(spec.get("user", ""))
        if user is not None:
            with _step("user", f"cannot become user '{user.pw_name}'"):
                os.initgroups(user.pw_name, user.pw_gid)
                os.setegid(user.pw_gid)
                os.seteuid(user.pw_uid)
        # As the task's user, whose directory it may be: a link planted there opens no door.
        _open_output(1, spec["stdout"], cwd)
        _open_output(2, spec["stderr"], cwd)
        if user is not None:
            os.seteuid(0)
        with _step("journal", "cannot write the journal of the launcher"):
            journal.launched(spec["container_id"], os.getpid(), start_ticks("self"), at)
        # Late, as tight limits would hit the steps before; as root, who may raise them.
        for name, (soft, hard) in spec.get("rlimits", {}).items():
            _limit(name, soft, hard)
        if user is not None:
            with _step("user", f"cannot become user '{user.pw_name}'"):
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
        _execute(spec.get("program") or spec["argv"][0], spec["argv"], spec["env"])
    except StepFailed as failed:
        os.write(error_fd, json.dumps(failed.args).encode())
    except BaseException as error:
        os.write(error_fd, json.dumps(["launcher", f"cannot start the program: {error!r:.1000}"]).encode())
    finally:
        os._exit(127)


@contextlib.contextmanager
def _step(name: str, sentence: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StepFailed(name, f"{sentence}: {error.strerror}") from error
    except (ValueError, OverflowError) as error:  # a null byte in a path, a number too large
        raise StepFailed(name, f"{sentence}: {error}") from error


def _other_user(name: str) -> pwd.struct_passwd | None:
    """The user to change to; None if that is who we are."""
    if not name:
        return None
    try:
        user = pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise StepFailed("user", f"no such user '{name}'") from None
    own = os.geteuid()
    if user.pw_uid == own:
        return None
    if own != 0:
        raise StepFailed(
            "user", f"cannot become user '{name}': the agent does not run as root (its uid is {own})"
        )
    return user


def _open_output(fd: int, path: str, cwd: str) -> None:
    """Open `path` for appending as `fd`, without following a link or waiting for a reader."""
    folder, name = os.path.split(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    with _step("output", f"cannot open {path}"):
        # In the working directory by its name alone: its parents may be closed to the user.
        opened = os.open(name if folder == cwd.rstrip("/") else path, flags, 0o644)
        os.set_blocking(opened, True)
        os.dup2(opened, fd)
        os.close(opened)


def _limit(name: str, soft: int | None, hard: int | None) -> None:
    if name not in _RLIMITS:
        raise StepFailed("limits", f"there is no resource limit {name}")
    unlimited = resource.RLIM_INFINITY
    with _step("limits", f"cannot set {name} to {soft}, {hard}"):
        resource.setrlimit(
            _RLIMITS[name], (unlimited if soft is None else soft, unlimited if hard is None else hard)
        )


def _execute(program: str, argv: list[str], env: dict[str, str]) -> NoReturn:
    """As execvp(3): PATH for a name without a slash, /bin/sh for a file without a magic number."""
    folders = [""] if "/" in program else os.get_exec_path(env)
    failure = errno.ENOENT
    for folder in folders:
        path = os.path.join(folder, program)
        try:
            os.execve(path, argv, env)
        except (ValueError, TypeError) as error:  # a null byte, an empty name in the environment
            raise StepFailed("program", f"cannot execute {program}: {error}") from error
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                os.execve("/bin/sh", ["/bin/sh", path, *argv[1:]], env)
            if error.errno == errno.ENOENT and os.path.exists(path):
                raise StepFailed("program", f"cannot execute {path}: its interpreter is missing") from error
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise StepFailed("program", f"cannot execute {path}: {error.strerror}") from error
            if error.errno != errno.ENOENT:
                failure = error.errno
    where = "" if "/" in program else f" (PATH is {':'.join(folders)})"
    raise StepFailed("program", f"cannot execute {program}: {os.strerror(failure)}{where}")
