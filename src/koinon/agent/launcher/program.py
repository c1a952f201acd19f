"""From a fresh fork to the program of a container: session, user, files, limits, and `execve`.

The child of a fork pays for every page of the heap it touches, so what can be prepared is prepared
before (`Plan`), and the child's way is kept to plain calls.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import pwd
import resource
import signal
import termios
from typing import Any, NoReturn

from koinon.agent.launcher.streams import Streams

#: Signals the launcher handles or ignores; they are blocked while it forks.
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: What a program must find in its default state: those, two that Python ignores, and what the agent was started to
#: ignore (`nohup`, a shell's `&`).
_RESET = tuple(
    int(number)
    for number in signal.valid_signals()
    if number in HANDLED or signal.getsignal(number) is signal.SIG_IGN
)
#: By the names of v1 RLimitInfo; one is missing from the module.
_RLIMITS = {
    f"RLMT_{each[7:]}": getattr(resource, each) for each in dir(resource) if each.startswith("RLIMIT_")
}
_RLIMITS["RLMT_LOCKS"] = 10

#: How many files a program may have open that says nothing about it. The launcher itself takes what it can get.
_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY

# The C library's own functions: a fork that goes through Python's `signal` module touches 50 pages more.
_libc = ctypes.CDLL(None, use_errno=True)
_libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
_PR_SET_CHILD_SUBREAPER = 36
_NO_SIGNALS = ctypes.create_string_buffer(128)  # an empty sigset_t


class StepFailed(Exception):
    """A step on the way to the program failed: `args` are the step's name and a sentence."""


def become_subreaper() -> None:
    """Be the parent of every process that is orphaned below this one. Survives `execve`, not fork."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a child subreaper")


def open_many_files() -> None:
    """Be allowed as many open files as can be; programs get the limit of before."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES[1], _FILES[1]))


class Plan:
    """A launch, prepared. Raises StepFailed for what cannot be right; KeyError, TypeError for no launch at all."""

    def __init__(self, spec: dict[str, Any], at: float) -> None:
        self.id: str = spec["container_id"]
        self.at = at
        self.argv: list[str] = spec["argv"]
        self.env: dict[str, str] = spec["env"]
        self.program: str = spec.get("program") or self.argv[0]
        self.user: str = spec.get("user", "")
        self.cwd: str = spec["cwd"]
        self.outputs = [
            (fd, spec[name], self._near(spec[name]))
            for fd, name in ((1, "stdout"), (2, "stderr"))
            if spec.get(name)
        ]
        self.limits = [_limit(name, *values) for name, values in spec.get("rlimits", {}).items()]
        #: The journal's record, but for the child's pid and start.
        self.record = b'\n{"launched": %s, "at": %f, "pid": %%d, "start": %%d}' % (
            json.dumps(self.id).encode().replace(b"%", b"%%"),
            at,
        )

    def _near(self, path: str) -> str:
        """A file in the working directory by its name alone: its parents may be closed to the user."""
        folder, name = os.path.split(path)
        return name if folder == self.cwd.rstrip("/") else path


def become(plan: Plan, streams: Streams | None, journal_fd: int, oom_score: bytes, error_fd: int) -> NoReturn:
    """Become the program; or write `[step, sentence]` to `error_fd`, which `execve` closes, and end."""
    step, doing = "launcher", "cannot prepare the process"
    try:
        for signum in _RESET:
            _libc.signal(signum, None)
        _libc.sigprocmask(signal.SIG_SETMASK, _NO_SIGNALS, None)
        os.setsid()
        become_subreaper()
        if oom_score:
            _write("/proc/self/oom_score_adj", oom_score)
        os.umask(0o022)

        step, doing = "directory", "cannot enter the working directory " + plan.cwd
        os.chdir(plan.cwd)

        step, doing = "user", "cannot become user " + plan.user
        user = _other_user(plan.user) if plan.user else None
        if user is not None:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setegid(user.pw_gid)
            os.seteuid(user.pw_uid)

        # As the task's user, whose directory it may be: a link planted there opens no door.
        step = "output"
        for fd, path, near in plan.outputs:
            doing = "cannot open " + path
            opened = os.open(near, _APPEND, 0o644)  # waits for no reader, should it be a pipe
            os.set_blocking(opened, True)
            os.dup2(opened, fd)
            os.close(opened)
        if user is not None:
            os.seteuid(0)

        if streams is not None:
            doing = "cannot take over the streams"
            _take_over(streams, user)

        step, doing = "journal", "cannot write the journal of the launcher"
        record = plan.record % (os.getpid(), _own_start_ticks())
        if os.write(journal_fd, record) != len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        # Late, as tight limits would hit the steps before; still as root, who may raise them.
        step, doing = "limits", "cannot limit the number of open files"
        if resource.getrlimit(resource.RLIMIT_NOFILE) != _FILES:
            resource.setrlimit(resource.RLIMIT_NOFILE, _FILES)
        for name, number, values in plan.limits:
            doing = f"cannot set {name} to {values[0]}, {values[1]}"
            resource.setrlimit(number, values)

        step, doing = "user", "cannot become user " + plan.user
        if user is not None:
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

        step, doing = "program", "cannot execute " + plan.program
        if "/" in plan.program:
            _execute(plan.program, plan)
        _search(plan)
    except StepFailed as failed:
        _tell(error_fd, *failed.args)
    except OSError as error:
        _tell(error_fd, step, f"{doing}: {error.strerror}")
    except BaseException as error:  # a null byte in a name, a number too large
        _tell(error_fd, step, f"{doing}: {error}")
    finally:
        os._exit(127)


def _take_over(streams: Streams, user: pwd.struct_passwd | None) -> None:
    for fd, stream in enumerate(streams.ends):
        if stream is None:
            continue
        if user is not None:  # who could not open /dev/stdout or /dev/tty otherwise
            os.fchown(stream, user.pw_uid, -1)
        os.dup2(stream, fd)
    if streams.is_terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _tell(error_fd: int, step: str, sentence: str) -> None:
    os.write(error_fd, json.dumps([step, sentence[:1000]]).encode())


def _limit(name: str, soft: int | None, hard: int | None) -> tuple[str, int, tuple[int, int]]:
    if name not in _RLIMITS:
        raise StepFailed("limits", f"there is no resource limit {name}")
    unlimited = resource.RLIM_INFINITY
    return name, _RLIMITS[name], (unlimited if soft is None else soft, unlimited if hard is None else hard)


def _other_user(name: str) -> pwd.struct_passwd | None:
    """The user to change to; None if that is who we are."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise StepFailed("user", f"no such user '{name}'") from None
    own = os.geteuid()
    if user.pw_uid == own:
        return None
    if own != 0:
        raise StepFailed(
            "user", f"cannot become user {name}: the agent does not run as root (its uid is {own})"
        )
    return user


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, data)
    os.close(fd)


def _own_start_ticks() -> int:
    fd = os.open("/proc/self/stat", os.O_RDONLY)
    stat = os.read(fd, 4096)
    os.close(fd)
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def _execute(path: str, plan: Plan) -> None:
    """As execvp(3): a file without a magic number is a shell script. Raises OSError, StepFailed."""
    try:
        os.execve(path, plan.argv, plan.env)
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            os.execve("/bin/sh", ["/bin/sh", path, *plan.argv[1:]], plan.env)
        if error.errno == errno.ENOENT and os.path.exists(path):
            raise StepFailed("program", f"cannot execute {path}: its interpreter is missing") from error
        raise


def _search(plan: Plan) -> NoReturn:
    """Execute the program from the first folder of PATH that has it."""
    folders = os.get_exec_path(plan.env)
    failure = errno.ENOENT
    for folder in folders:
        try:
            _execute(os.path.join(folder, plan.program), plan)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise
            if error.errno == errno.EACCES:  # another folder may have one that can be executed
                failure = errno.EACCES
    raise OSError(failure, f"{os.strerror(failure)} (PATH is {':'.join(folders)})")
