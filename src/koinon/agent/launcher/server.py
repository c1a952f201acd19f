"""The launcher's loop: requests of the client in; processes forked, killed and waited for; exits out."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from koinon.agent.launcher.client import Client
from koinon.agent.launcher.complaints import complain
from koinon.agent.launcher.inheritance import Inheritance
from koinon.agent.launcher.journal import ENDING, EXITED, RUNNING, STARTING, Container, Journal
from koinon.agent.launcher.processes import (
    children,
    descendants,
    group_of,
    kill,
    session_of,
)
from koinon.agent.launcher.program import HANDLED, Plan, StepFailed, become
from koinon.agent.launcher.streams import Terminal, open_streams
from koinon.agent.launcher.terminals import Terminals

PROTOCOL = 3
_IDLE_S = 60.0
#: Requests handled before exits are looked after again.
_BATCH = 32
_MAX_SWEEPS = 50
_MAX_SWEEP_PAUSE_S = 0.05


class Launcher:
    """All state of the process, and one turn of its loop after the other."""

    def __init__(
        self, folder: int, listener: socket.socket, counter: socket.socket, oom_score: bytes
    ) -> None:
        self.listener = listener
        #: The `oom_score_adj` of containers; empty to leave it as it is.
        self.oom_score = oom_score
        self.journal = Journal(folder)
        self.containers = self.journal.replay()
        self.journal.rewrite(self.containers.values())
        #: Main processes that are our children and have not been waited for.
        self.mains: dict[int, Container] = {}
        self.ending: dict[str, Container] = {}
        #: Containers whose main process is to be killed when nothing is left around it.
        self.sweeping: dict[str, Container] = {}
        self.inheritance = Inheritance(
            self.containers.values(),
            watch=self.watch,
            unwatch=self.unwatch,
            destroy=self.destroy,
            ended=self.main_ended,
        )
        #: Our other children, and whose they are, or may be.
        self.strays: dict[int, list[Container]] = {}
        self.client: Client | None = None
        self.stopping = False
        self.idle_since_s = time.monotonic()
        #: When the last client went.
        self.alone_since_s = time.monotonic()
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}
        self.terminals = Terminals(counter, self.containers, self.watch, self.leave)
        self.group = os.getpgid(0)

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────
    def run(self) -> None:
        """Serve until stopped or not needed."""
        self.watch_signals()
        self.watch(self.listener.fileno(), self.accept)
        self.watch(self.terminals.listener.fileno(), self.terminals.accept)
        self.inheritance.take_over(self.ending)
        gc.collect()
        gc.freeze()  # a fork copies fewer pages when nothing touches these objects
        while not self.finished():
            interest = self.client.interest() if self.client else 0
            if self.client:
                self.epoll.modify(self.client.connection.fileno(), interest)
            for fd, _ in self.epoll.poll(self.timeout()):
                if handler := self.handlers.get(fd):
                    handler()
            self.handle_requests()
            if self.stopping:
                self.destroy_all()
            self.end_impatient()
            self.reap()
            self.sweep()
            self.adopt_strays()
            self.inheritance.end_leftovers(self.mains)
            self.conclude()
            if self.client:
                self.client.send()

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        """Have `handler` called when there is something to read from `fd`."""
        self.handlers[fd] = handler
        self.epoll.register(fd, select.EPOLLIN)

    def leave(self, fd: int) -> None:
        """Watch a file descriptor no more, if it is watched."""
        if self.handlers.pop(fd, None):
            self.epoll.unregister(fd)

    def unwatch(self, fd: int) -> None:
        """Close a watched file descriptor."""
        self.leave(fd)
        os.close(fd)

    def watch_signals(self) -> None:
        """SIGCHLD wakes the loop, SIGTERM stops; a terminal's interrupts and hang-ups are not ours."""
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.watch(wake, functools.partial(_drain, wake))
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def stop(self) -> None:
        """Have everything destroyed, then end."""
        self.stopping = True

    def live(self) -> bool:
        """Whether something runs, or is not yet concluded."""
        return bool(self.mains or self.ending or self.inheritance.orphans)

    def finished(self) -> bool:
        """Whether there is nothing more to do."""
        if self.client or self.live():
            self.idle_since_s = time.monotonic()
        idle = time.monotonic() >= self.idle_since_s + _IDLE_S
        return idle or (self.stopping and not self.live() and not (self.client and self.client.output))

    def timeout(self) -> float | None:
        """Seconds until something is due without a cause from outside; None for never."""
        if self.client and self.client.lines:
            return 0
        due = [each.sweep_s for each in self.sweeping.values()]
        if self.inheritance.containers and not self.inheritance.orphans:
            due.append(time.monotonic() + _MAX_SWEEP_PAUSE_S)
        if self.journal.retry_s is not None:
            due.append(self.journal.retry_s)
        due += [due_s for due_s, _ in self.impatient()]
        if not self.client and not self.live():
            due.append(self.idle_since_s + _IDLE_S)
        return max(0.0, min(due) - time.monotonic()) if due else None

    # ── the client ────────────────────────────────────────────────────────────────────────────────
    def accept(self) -> None:
        """A new client takes the place of the one before and hears what it may have missed."""
        connection, _ = self.listener.accept()
        self.hang_up()
        self.terminals.leave_all()
        self.client = client = Client(connection)
        self.watch(connection.fileno(), self.receive)
        client.tell(protocol=PROTOCOL, pid=os.getpid())
        for each in self.containers.values():
            if each.state == EXITED:
                client.tell(exit=each.exit())

    def receive(self) -> None:
        """The client said something or is gone."""
        if self.client and not self.client.receive():
            self.hang_up()

    def hang_up(self) -> None:
        """Part with the client; nobody waits for answers any more, and what was to live with it ends."""
        if self.client:
            self.unwatch(self.client.connection.detach())
            self.client = None
            self.alone_since_s = time.monotonic()
            self.terminals.resume()
        for each in self.mains.values():
            each.waiting.clear()
        self.end_impatient()  # now, as the next client may be there already

    def impatient(self) -> list[tuple[float, Container]]:
        """What is to be destroyed unless a client comes, and when."""
        return [
            (self.alone_since_s + each.patience_s, each)
            for each in (() if self.client else self.mains.values())
            if each.patience_s is not None and each.state < ENDING and not (each.destroyed or each.message)
        ]

    def end_impatient(self) -> None:
        """Destroy what has run without a client for as long as it may."""
        now = time.monotonic()
        for due_s, each in self.impatient():
            if due_s <= now:
                each.message = self.destroy(each)
                if each.patience_s and not each.message:
                    each.message = f"there was no agent for {each.patience_s:g} s, and it was ended"

    def handle_requests(self) -> None:
        """Handle some of the lines that have come."""
        client = self.client
        if client is None:
            return
        lines, client.lines = client.lines[:_BATCH], client.lines[_BATCH:]
        for line in lines:
            try:
                self.handle(client, json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                complain(f"hanging up on a client that sent {line[:200]!r}: {error!r}")
                self.hang_up()
                return

    def handle(self, client: Client, request: dict[str, Any]) -> None:
        """Do what a request says and answer it."""
        number, do = request["id"], request["do"]
        if do == "launch":
            self.launch(number, request["spec"])
        elif do == "signal":
            container = self.running(request["container_id"])
            client.tell(
                id=number, found=container is not None, error=self.signal(container, request["signum"])
            )
        elif do == "destroy":
            container = self.running(request["container_id"])
            client.tell(id=number, found=container is not None, error=self.destroy(container))
        elif do == "forget":
            self.forget(request["container_id"])
            client.tell(id=number)
        elif do == "list":
            client.tell(id=number, containers=[each.listed() for each in self.containers.values()])
        elif do == "stop":
            self.stop()
            client.tell(id=number)
        else:
            raise ValueError(f"unknown request {do}")

    def running(self, id: str) -> Container | None:
        """The container if its main process has not ended."""
        container = self.containers.get(id)
        return container if container and container.state < ENDING else None

    # ── launching ─────────────────────────────────────────────────────────────────────────────────
    def launch(self, number: int, spec: dict[str, Any]) -> None:
        """Fork a container's main process; the answer follows when it has become the program."""
        assert self.client
        id = spec["container_id"]
        if known := self.containers.get(id):
            if known.state == STARTING:
                known.waiting.append(number)
            else:
                self.client.tell(id=number, pid=known.pid)
            return
        if self.stopping:
            self.client.tell(id=number, step="launcher", error="the launcher is stopping")
            return
        try:
            plan = Plan(spec, time.time())
        except StepFailed as failed:
            self.client.tell(id=number, step=failed.args[0], error=failed.args[1])
            return
        beside = self.containers.get(spec.get("beside", ""))
        try:
            streams = open_streams(spec, beside.logs if beside else None)
        except OSError as error:
            self.client.tell(id=number, step="output", error=f"cannot open the streams: {error.strerror}")
            return
        try:
            # What the child writes here is why it failed; that it closes says that it became the program.
            error_fd, childs_end = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            if streams:
                streams.give_up()
            self.client.tell(id=number, step="launcher", error=f"cannot start a process: {error.strerror}")
            return
        # A signal meant for the container must find the child with the launcher's handlers gone.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                become(plan, streams, self.journal.fd, self.oom_score, childs_end)
        except OSError as error:
            os.close(error_fd)
            if streams:
                streams.give_up()
            self.client.tell(id=number, step="launcher", error=f"cannot start a process: {error.strerror}")
            return
        finally:
            os.close(childs_end)
            if streams:
                streams.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        container = Container(id, pid, plan.at, state=STARTING)
        container.patience_s = 0.0 if spec.get("tied") else spec.get("patience_s")
        if streams and streams.kept >= 0:
            container.terminal = Terminal(streams.kept, spec["stdout"], streams.terminal_log)
            if streams.terminal_log:
                streams.terminal_log.watch(self.watch, self.leave)
        if streams and streams.logs:
            container.logs = streams.logs
            streams.logs.watch(self.watch, self.leave)
        container.error_fd = error_fd
        container.waiting.append(number)
        self.containers[id] = self.mains[pid] = container
        self.watch(error_fd, functools.partial(self.started, container))

    def started(self, container: Container) -> None:
        """The main process has become the program, or said why not."""
        failure = os.read(container.error_fd, 1 << 16)
        self.unwatch(container.error_fd)
        container.state = RUNNING
        waiting, container.waiting = container.waiting, []
        if not failure:
            if container.terminal:
                container.terminal.open_log(container.pid)
            for number in waiting:
                if self.client:
                    self.client.tell(id=number, pid=container.pid)
            return
        step, sentence = json.loads(failure)
        if self.client and waiting:
            for number in waiting:
                self.client.tell(id=number, step=step, error=sentence)
            container.state = EXITED
            self.forget(container.id)
        else:
            # Another client may have seen it listed meanwhile: it learns of the failure as of an exit.
            container.message = sentence

    def forget(self, id: str) -> None:
        """The exit of this container, if it has one, is stored safely elsewhere."""
        container = self.containers.get(id)
        if container and container.state >= ENDING:
            del self.containers[id]
            self.ending.pop(id, None)
            self.sweeping.pop(id, None)
            self.journal.forgotten(id)
            self.terminals.remove(container)
            container.finish_logs()

    # ── signals and ends ──────────────────────────────────────────────────────────────────────────
    def signal(self, container: Container | None, signum: int) -> str:
        """Send a signal to a whole tree, parents first; returns what went wrong."""
        if container is None:
            return ""
        tree = descendants(container.pid)
        if not kill(container.pid, signum):
            return f"not permitted to signal process {container.pid}, which runs as another user"
        for pid in tree:
            kill(pid, signum)  # one that changed its user by a set-uid program is left
        return ""

    def destroy(self, container: Container | None) -> str:
        """Stop the main process and its group, and begin the sweeps; returns what went wrong."""
        if container is None or container.destroyed:
            return ""
        if not kill(container.pid, signal.SIGSTOP):
            return f"not permitted to kill process {container.pid}, which runs as another user"
        kill(-container.pid, signal.SIGSTOP)
        container.destroyed = True
        container.sweep_s = time.monotonic()
        self.sweeping[container.id] = container
        return ""

    def destroy_all(self) -> None:
        """Destroy whatever runs. What may not be killed counts as ended, with a message that says so."""
        for each in list(self.mains.values()):
            if each.state < ENDING and (problem := self.destroy(each)):
                del self.mains[each.pid]
                self.main_ended(each, None, problem)

    def sweep(self) -> None:
        """Kill what lies below the main processes being destroyed, and these when nothing does any more."""
        now = time.monotonic()
        for container in [each for each in self.sweeping.values() if each.sweep_s <= now]:
            container.sweeps += 1
            found = [
                pid
                for pid in descendants(container.pid)
                if pid not in container.killed and group_of(pid) != container.pid
            ]
            if found and container.sweeps <= _MAX_SWEEPS:
                for pid in found:
                    self.kill_with_group(pid)
                container.killed.update(found)
                container.sweep_s = now + min(_MAX_SWEEP_PAUSE_S, 0.001 * 2**container.sweeps)
            else:
                # Not yet a group leader if it was only just forked.
                kill(-container.pid, signal.SIGKILL)
                kill(container.pid, signal.SIGKILL)
                del self.sweeping[container.id]

    def kill_with_group(self, pid: int) -> bool:
        """Kill a process that is no main process, with its group if all of that is doomed. False: not permitted."""
        group = group_of(pid)
        if group not in (0, self.group) and group not in self.mains:
            kill(-group, signal.SIGKILL)
        return kill(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Wait for every child that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if container := self.mains.pop(pid, None):
                if container.state == STARTING:
                    self.started(container)
                if container.state == RUNNING:
                    # With a message it never was the program.
                    self.main_ended(container, None if container.message else status, container.message)
            else:
                for owner in self.strays.pop(pid, ()):
                    owner.strays -= 1

    def main_ended(self, container: Container, status: int | None, message: str) -> None:
        """The main process is gone: record its status; the container has ended when its strays are gone too."""
        container.state, container.status, container.message = ENDING, status, message
        container.ended_s = time.time()
        self.sweeping.pop(container.id, None)
        self.ending[container.id] = container
        self.journal.exited(container)

    def adopt_strays(self) -> None:
        """Kill what has come up to us from the trees of ended main processes."""
        if not self.ending:
            return
        # Our own list is complete: what comes up is appended, and what ends stays until we wait for it.
        found = [pid for pid in children(os.getpid()) if pid not in self.mains and pid not in self.strays]
        by_session = {each.pid: each for each in self.ending.values()} if found else {}
        for pid in found:
            owner = by_session.get(session_of(pid))
            owners = [owner] if owner else list(self.ending.values())
            if self.kill_with_group(pid):
                for each in owners:
                    each.strays += 1
                self.strays[pid] = owners
            else:
                self.strays[pid] = []
                for each in owners:
                    each.message = f"process {pid}, which runs as another user, could not be killed"
                    self.journal.exited(each)

    def conclude(self) -> None:
        """Tell the exits of containers of which nothing is left, once they are on the disk."""
        self.journal.sync(self.containers.values())
        for container in [each for each in self.ending.values() if not each.strays]:
            if container in self.inheritance.containers:
                continue  # something of it may be left that is not below us
            del self.ending[container.id]
            container.finish_logs()
            container.state = EXITED
            if self.client:
                self.client.tell(exit=container.exit())


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass
