"""`koinon up`: a whole cluster on this machine, in the foreground.

Each role is a process of its own, as in a real cluster; `up` starts them, waits until they answer, starts again
what dies, and at the end stops them and the tasks. What they keep is below the work
directory, so that the next `up` goes on with the same master and the same agents:

    up.json           the ports in use             up.lock      held while an `up` runs here
    master/  agent-1/ …  work directories          logs/        what the roles say
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from koinon.cli.client import Client, agent_address
from koinon.cli.errors import Failure

_READY_TIMEOUT_S = 60.0
_READY_POLL_S = 0.02
#: An agent may have to wait for the grace periods of its tasks.
_STOP_TIMEOUT_S = 20.0
_RESTART_FIRST_S = 0.2
_RESTART_MAX_S = 10.0
#: A role that ran for so long is healthy: its next restart is prompt again.
_HEALTHY_S = 30.0


def default_work_dir() -> Path:
    """/var/lib/koinon for root, else $XDG_STATE_HOME/koinon (~/.local/state/koinon)."""
    if os.geteuid() == 0:
        return Path("/var/lib/koinon")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "koinon"


@click.command()
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept [/var/lib/koinon for root, else ~/.local/state/koinon].",
)
@click.option("--ip", default="127.0.0.1", help="Address to listen on [127.0.0.1].")
@click.option("--master-port", type=click.IntRange(0, 65535), default=5050, help="0 = any free one [5050].")
@click.option(
    "--agent-port",
    type=click.IntRange(0, 65535),
    default=5051,
    help="Port of the first agent; further ones count on from it; 0 = any free ones [5051].",
)
@click.option("--agents", type=click.IntRange(min=0), default=1, help="How many agents [1].")
@click.option(
    "--resources",
    help="What each agent offers, as 'cpus:8;mem:16384' [of what is not named: what the machine has, divided by"
    " the number of agents].",
)
@click.option("--attributes", help="What each agent is like, as 'rack:a;os:debian'.")
def up(
    work_dir: Path | None,
    ip: str,
    master_port: int,
    agent_port: int,
    agents: int,
    resources: str | None,
    attributes: str | None,
) -> int:
    """Start a whole cluster on this machine: one master and its agents.

    Prints their addresses and the agents' ids, then `ready` on a line of its own as soon as work can be run. Ctrl-C
    stops everything, running tasks included. A second `up` on the same work directory goes on with the same master
    and agents, be they more or fewer now, and what each offers then.
    """
    root = (work_dir or default_work_dir()).absolute()
    with locked(root):
        names = ["master", *(f"agent-{number}" for number in range(1, agents + 1))]
        wanted = [master_port, *(agent_port and agent_port + at for at in range(agents))]
        ports = choose_ports(root / "up.json", ip, dict(zip(names, wanted, strict=True)))
        master_address = f"{ip}:{ports['master']}"
        roles = []
        for number, name in enumerate(names):
            argv = [f"--ip={ip}", f"--hostname={ip}", f"--port={ports[name]}", f"--work_dir={root / name}"]
            if name != "master":
                argv += [f"--master={master_address}", "--registration_backoff_factor=100ms"]
                argv.append("--reconfiguration_policy=any")  # of other --agents each has another part
                if agents > 1:
                    argv += part_of_machine(resources, root, number - 1, agents)
                elif resources:
                    argv.append(f"--resources={resources}")
                argv += [f"--attributes={attributes}"] if attributes else []
            address = f"{ip}:{ports[name]}"
            roles.append(_Role(name, argv, address, root / name, root / "logs" / f"{name}.log"))
        return _Cluster(roles, master_address).run()


def part_of_machine(given: str | None, root: Path, which: int, agents: int) -> list[str]:
    """Flags of one of several agents, so that all together do not offer more than there is. Raises Failure."""
    from koinon.agent.detection import find_resources, gpu_numbers
    from koinon.mesos import codec
    from koinon.mesos.resources import ResourceError, Resources

    numbers = gpu_numbers()
    devices = numbers[len(numbers) * which // agents : len(numbers) * (which + 1) // agents]
    try:
        found = find_resources(given, root, "*", part=(which, agents))
        if each := round(Resources.from_v1(found).gpus):  # asked for, not found
            devices = numbers[each * which : each * (which + 1)]
            if numbers and len(numbers) < each * agents:
                raise Failure(
                    f"--resources: {agents} agents with {each} gpus each need {each * agents}, and there are"
                    f" {len(numbers)}"
                )
        else:
            found = find_resources(given, root, "*", gpus=len(devices), part=(which, agents))
    except ResourceError as error:
        raise Failure(f"--resources: {error}") from None
    flags = [f"--resources=[{','.join(codec.encode(one, codec.JSON).decode() for one in found)}]"]
    if numbers:
        offered = any(one.name == "gpus" for one in found)
        flags.append(f"--nvidia_gpu_devices={','.join(devices if offered else ())}")
    return flags


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the work directory, made if missing. Raises Failure when another `up` has it or it cannot be made."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / "logs").mkdir(exist_ok=True)
        file = (root / "up.lock").open("a+")
    except OSError as error:
        raise Failure(f"cannot use the work directory {root}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Failure(
                f"the work directory {root} is in use by another `koinon up` (pid {file.read().strip()}): "
                "stop that one, or choose another --work-dir"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def choose_ports(memory: Path, ip: str, wanted: dict[str, int]) -> dict[str, int]:
    """A port for each role: the one wanted; for 0 that of last time if it is free, else any free one."""
    try:
        before: dict[str, int] = json.loads(memory.read_text())
    except (OSError, ValueError):
        before = {}
    ports: dict[str, int] = {}
    held = []
    try:
        for name, port in wanted.items():
            probe = _bound(ip, before.get(name, 0)) or _bound(ip, 0) if port == 0 else _bound(ip, port)
            if probe is None:
                option = "--master-port" if name == "master" else "--agent-port"
                raise Failure(
                    f"port {port} on {ip} is in use: stop what uses it, or choose another {option} (0 = any)"
                )
            held.append(probe)  # until all are chosen, so that none is chosen twice
            ports[name] = probe.getsockname()[1]
    finally:
        for probe in held:
            probe.close()
    memory.write_text(json.dumps({**before, **ports}))
    return ports


def _bound(ip: str, port: int) -> socket.socket | None:
    try:
        probe = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((ip, port))
        probe.listen()  # else a second one may bind, too
        return probe
    except PermissionError:
        raise Failure(f"port {port} needs more rights than you have: choose one above 1023") from None
    except OSError as error:
        probe.close()
        import errno

        if error.errno == errno.EADDRINUSE:
            return None
        raise Failure(f"cannot listen on {ip}: {error.strerror}") from None


class _Role:
    """One process of the cluster, started again as often as it dies."""

    def __init__(self, name: str, argv: Sequence[str], address: str, work_dir: Path, log: Path) -> None:
        self.name = name
        self.kind = "master" if name == "master" else "agent"
        self.address = address
        self.work_dir = work_dir
        self.log = log
        self.started_s = 0.0
        self.start_due_s: float | None = None
        self._argv = [sys.executable, "-m", "koinon", self.kind, *argv]
        self._restart_s = _RESTART_FIRST_S
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begin = 0

    def start(self) -> None:
        """Start the process; should `up` be killed, the kernel ends it."""
        self.start_due_s = None
        self.started_s = time.monotonic()
        with self.log.open("ab") as log:
            self._log_begin = log.tell()
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop the roles in order
                preexec_fn=_die_with_parent(os.getpid()),
            )

    def died(self) -> str | None:
        """How the process ended, once; None while it runs."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        self._process = None
        if status < 0:
            return f"was ended by signal {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def plan_restart(self) -> float:
        """Set when to start it again; returns in how many seconds."""
        if time.monotonic() - self.started_s > _HEALTHY_S:
            self._restart_s = _RESTART_FIRST_S
        pause_s, self._restart_s = self._restart_s, min(2 * self._restart_s, _RESTART_MAX_S)
        self.start_due_s = time.monotonic() + pause_s
        return pause_s

    def answers(self) -> bool:
        """Whether it is ready for requests."""
        try:
            with Client(self.address, what=self.kind, timeout_s=2.0) as client:
                client.ping()
        except Failure:
            return False
        return True

    def last_words(self) -> str:
        """The end of what this process logged."""
        with self.log.open("rb") as log:
            log.seek(self._log_begin)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-8:])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end; kill it if it takes longer."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class _Cluster:
    """The roles, from the first start to the stop."""

    def __init__(self, roles: Sequence[_Role], master_address: str) -> None:
        self._roles = roles
        self._master_address = master_address
        self._stop_signal: int | None = None
        self._alarm, self._alarm_end = socket.socketpair()
        self._alarm.setblocking(False)
        self._alarm_end.setblocking(False)

    def run(self) -> int:
        """Returns when told to stop, with the exit status of `up`."""

        def stop(number: int, _frame: FrameType | None) -> None:
            self._stop_signal = self._stop_signal or number

        signal.set_wakeup_fd(self._alarm_end.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake us
        try:
            for role in self._roles:
                role.start()
            if self._wait_until_ready():
                self._keep_running()
        finally:
            self._stop()
            signal.set_wakeup_fd(-1)
        return 0

    def _wait_until_ready(self) -> bool:
        """Print addresses and `ready`. False when told to stop before; raises Failure when a role cannot start."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        awaited = list(self._roles)
        while self._stop_signal is None:
            for role in self._roles:
                if (end := role.died()) is not None:
                    raise Failure(f"{role.name} {end}; the end of {role.log}:\n{role.last_words()}")
            while awaited and (address := self._address_of(awaited[0])):
                print(f"{awaited.pop(0).name:<8} {address}", flush=True)
            if not awaited:
                print("ready", flush=True)
                return True
            if time.monotonic() > deadline_s:
                late = awaited[0]
                raise Failure(
                    f"not ready after {_READY_TIMEOUT_S:g} s; the end of {late.log}:\n{late.last_words()}"
                )
            self._sleep(_READY_POLL_S)
        return False

    def _address_of(self, role: _Role) -> str | None:
        """Where a role that is ready can be reached, of an agent also its id; None if it is not ready."""
        if not role.answers():
            return None
        if role.kind == "master":
            return f"http://{role.address}"
        try:
            with Client(self._master_address) as master:
                agents = master.get("/slaves")["slaves"]
        except Failure:
            return None
        ids = (one["id"] for one in agents if one["active"] and agent_address(one["pid"]) == role.address)
        return next((f"http://{role.address}  {agent_id}" for agent_id in ids), None)

    def _keep_running(self) -> None:
        while self._stop_signal is None:
            now_s = time.monotonic()
            for role in self._roles:
                if (end := role.died()) is not None:
                    pause_s = role.plan_restart()
                    _say(f"{role.name} {end}; starting it again in {pause_s:g} s (log: {role.log})")
                if role.start_due_s is not None and role.start_due_s <= now_s:
                    role.start()
            due_s = [role.start_due_s for role in self._roles if role.start_due_s is not None]
            self._sleep(max(0.0, min(due_s) - now_s) if due_s else None)

    def _stop(self) -> None:
        agents = [role for role in self._roles if role.kind == "agent"]
        for role in self._roles:
            role.signal(signal.SIGTERM)
        for role in self._roles:
            role.wait(_STOP_TIMEOUT_S)
        for role in agents:  # an agent leaves its tasks running for the next one; here they are to end, too
            end_launcher(role.work_dir / "run")

    def _sleep(self, duration_s: float | None) -> None:
        """Sleep until a signal comes, at most so long."""
        if select.select([self._alarm], [], [], duration_s)[0]:
            self._alarm.recv(4096)


def end_launcher(directory: Path) -> None:
    """End the process that runs the tasks of an agent that is gone, and the tasks; returns when they are gone.

    How they ended is kept in its journal: the next agent reports it.
    """
    if not directory.is_dir():
        return
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as launcher:
            launcher.settimeout(_STOP_TIMEOUT_S)
            # The path of a Unix socket is short by law; through the open directory any path is.
            launcher.connect(f"/proc/self/fd/{folder}/socket")
            launcher.sendall(b'{"id": 1, "do": "stop"}\n')
            while launcher.recv(1 << 16):
                pass
    except (FileNotFoundError, ConnectionError):
        return  # there is none: it ends by itself when it has no tasks
    except TimeoutError:
        _say(f"the tasks below {directory.parent} did not end within {_STOP_TIMEOUT_S:g} s")
    finally:
        os.close(folder)


def _say(sentence: str) -> None:
    print(f"koinon: {sentence}", file=sys.stderr, flush=True)


def _die_with_parent(parent_pid: int) -> Callable[[], None]:
    """What a child does before it becomes its program: SIGTERM is to come when `up` is gone."""
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_parent_death_signal = 1

    def in_child() -> None:
        prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent_pid:  # gone already
            os._exit(1)

    return in_child
