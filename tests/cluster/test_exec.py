"""`koinon exec` and `koinon attach`, at a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.harness import Cluster, eventually

PATIENCE_S = 20.0


@pytest.fixture
def task(cluster: Cluster) -> Iterator[str]:
    """A task that runs, by its name."""
    with cluster.running("run", "--name", "host", "touch here; sleep 1000") as run:
        eventually(lambda: cluster_task(cluster, "host"), "the task runs", PATIENCE_S)
        yield "host"
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=PATIENCE_S)


def cluster_task(cluster: Cluster, name: str, state: str = "TASK_RUNNING") -> str | None:
    """Id of the task of that name, once it is in that state."""
    found = [one for one in cluster.tasks().values() if one["name"] == name and one["state"] == state]
    return found[-1]["id"] if found else None


class Terminal:
    """A command at a terminal of its own, and the person before it."""

    def __init__(self, argv: list[str], environment: dict[str, str], rows: int, columns: int) -> None:
        self.shown = b""
        self._fd, slave = os.openpty()
        self.before = termios.tcgetattr(slave)
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            argv,
            env={**environment, "TERM": "vt220"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )
        self._slave = slave

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def sees(self, expected: bytes) -> bytes:
        """Waits until it is shown; returns everything up to there and forgets it."""
        deadline = time.monotonic() + PATIENCE_S
        while expected not in self.shown:
            ready, _, _ = select.select([self._fd], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{expected!r} is not shown, but: {self.shown!r}"
            self.shown += os.read(self._fd, 65536)
        before, _, self.shown = self.shown.partition(expected)
        return before

    def ends(self) -> int:
        """Exit status; the terminal is as it was."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"does not end; shown: {self.shown!r}"
            if select.select([self._fd], [], [], 0.05)[0]:
                self.shown += os.read(self._fd, 65536)
        assert termios.tcgetattr(self._slave) == self.before
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._fd)
        os.close(self._slave)


@contextmanager
def terminal(cluster: Cluster, *arguments: str, rows: int = 40, columns: int = 120) -> Iterator[Terminal]:
    found = Terminal(cluster.command(*arguments), cluster.environment, rows, columns)
    try:
        yield found
    finally:
        found.close()


def test_a_shell_at_a_terminal(cluster, task):
    with terminal(cluster, "exec", "-it", task, "sh") as person:
        person.sees(b"# " if os.geteuid() == 0 else b"$ ")
        person.type(b"ls; stty size; echo $TERM; tty\r")
        person.sees(b"here")
        person.sees(b"40 120")
        person.sees(b"vt220")
        person.sees(b"/dev/pts/")
        person.resize(50, 132)
        sees_size(person, b"50 132")
        person.type(b"sh -c 'echo on $((40 + 1)); exec sleep 1000'\r")
        person.sees(b"on 41")
        person.type(b"\x03")  # the sleep ends, the shell goes on
        person.type(b"echo still $((40 + 2))\r")
        person.sees(b"still 42")
        person.type(b"exit 7\r")
        assert person.ends() == 7


def sees_size(person: Terminal, expected: bytes) -> None:
    """Asks for the terminal's size until the answer is right: a change takes a moment."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        person.type(b'echo "<$(stty size)>"\r')
        if person.sees(b">\r\n").endswith(b"<" + expected):
            return
        assert time.monotonic() < deadline, f"never {expected!r}"


def test_the_end_of_input_ends_a_shell(cluster, task):
    with terminal(cluster, "exec", "-it", task, "cat") as person:
        person.type(b"hello\r")
        person.sees(b"hello\r\nhello")
        person.type(b"\x04")
        assert person.ends() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_client_that_is_told_to_end_restores_the_terminal_and_ends_the_session(cluster, task, number):
    marker = f"4{int(number)}{time.monotonic_ns() % 10**6}"
    with terminal(cluster, "exec", "-it", task, "sh", "-c", f"echo up; sleep {marker}") as person:
        person.sees(b"up")
        eventually(lambda: running(marker), "the session runs")
        person.process.send_signal(number)
        assert person.ends() == 128 + number
    eventually(lambda: not running(marker), "the session has ended")


def test_a_client_that_is_killed_leaves_no_session(cluster, task):
    marker = f"5{time.monotonic_ns() % 10**6}"
    with terminal(
        cluster, "exec", "-it", task, "sh", "-c", f"trap '' HUP TERM; echo up; sleep {marker}"
    ) as person:
        person.sees(b"up")
        person.process.kill()
        person.process.wait()
    eventually(lambda: not running(marker), "the session has ended")


def running(marker: str) -> bool:
    """Whether a process has `marker` as an argument of its own."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                argv = file.read().split(b"\0")
        except OSError:
            continue
        if argv[:2] == [b"sleep", marker.encode()]:
            return True
    return False


def test_a_command_without_a_terminal(cluster, task):
    done = cluster.koinon("exec", task, "sh", "-c", "ls; echo oops >&2; exit 3")
    assert (done.returncode, done.stderr) == (3, "oops\n")
    assert "here" in done.stdout.split()
    assert cluster.koinon("exec", task, "cat").returncode == 0  # its input is empty
    assert cluster.koinon("exec", task, "sh", "-c", "kill -TERM $$").returncode == 143


def test_input_is_passed_on_up_to_its_end(cluster, task):
    data = os.urandom(3_000_000)
    done = subprocess.run(
        cluster.command("exec", "-i", task, "cat"),
        env=cluster.environment,
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == data


def test_what_cannot_be_done_is_said_in_a_sentence(cluster, task):
    done = cluster.koinon("exec", task, "no-such-program")
    assert done.returncode == 1
    assert "no-such-program" in done.stderr
    assert done.stderr.count("\n") == 1
    done = cluster.koinon("exec", "-t", task, "sh")
    assert "no terminal" in done.stderr
    done = cluster.koinon("attach", task)
    assert "cannot be attached" in done.stderr
    done = cluster.koinon("exec", "nothing-of-that-name", "true")
    assert done.returncode == 1


def test_a_command_ends_with_its_task(cluster):
    with cluster.running("run", "--name", "short", "sleep 1000") as run:
        eventually(lambda: cluster_task(cluster, "short"), "the task runs", PATIENCE_S)
        with cluster.running("exec", "short", "sh", "-c", "echo up; sleep 1000") as inside:
            assert inside.stdout is not None
            assert inside.stdout.readline() == "up\n"
            run.send_signal(signal.SIGINT)
            run.communicate(timeout=PATIENCE_S)
            _, said = inside.communicate(timeout=PATIENCE_S)
            assert inside.returncode == 137, said


@contextmanager
def task_with_terminal(cluster: Cluster, name: str, command: str) -> Iterator[None]:
    execute = "import sys; from koinon.cli import mesos_execute; sys.exit(mesos_execute())"
    arguments = ["--master", cluster.master_address, "--name", name, "--command", command, "--tty"]
    with subprocess.Popen(
        [sys.executable, "-c", execute, *arguments, "--resources", "cpus:0.1;mem:32"],
        stdout=subprocess.DEVNULL,
    ) as framework:
        try:
            eventually(lambda: cluster_task(cluster, name), "the task runs", PATIENCE_S)
            yield
        finally:
            framework.kill()


def test_a_task_with_a_terminal_is_attached_let_go_and_attached_again(cluster):
    script = "while read line; do echo got $line; [ $line = end ] && exit 5; done"
    with task_with_terminal(cluster, "talker", script):
        with terminal(cluster, "attach", "talker", rows=33) as person:
            person.type(b"one\r")
            person.sees(b"got one")
            person.type(b"\x10")
            person.type(b"\x11")
            assert person.ends() == 0
        assert cluster_task(cluster, "talker")
        with terminal(cluster, "attach", "talker") as person:
            person.type(b"two\r")
            person.sees(b"got two")
            with terminal(cluster, "attach", "talker") as other:
                other.sees(b"somebody else is at this terminal")
                person.type(b"three\r")
                other.sees(b"got three")
                other.type(b"\x10\x11")
                assert other.ends() == 0
            person.type(b"end\r")
            assert person.ends() == 5
        eventually(lambda: cluster_task(cluster, "talker", "TASK_FAILED"), "the task has ended")
    logs = cluster.koinon("logs", "talker").stdout
    assert "got one" in logs
    assert "got two" in logs
