"""Where a cluster of `koinon up` lives: its work directory, its ports, and the part of the machine that each agent has."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from koinon.cli.errors import Failure

_PORT_MAX = 65535
#: Where any port is looked for: below those that the kernel gives to outgoing connections, which would have it when a role is
#: started again, and those that agents offer to tasks.
_ANY_PORTS = range(10_000, 31_000)
#: An agent may have to wait for the grace periods of its tasks.
_LEFT_S = 30.0


def default_work_dir() -> Path:
    """/var/lib/koinon for root, else $XDG_STATE_HOME/koinon (~/.local/state/koinon)."""
    if os.geteuid() == 0:
        return Path("/var/lib/koinon")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "koinon"


@contextmanager
def locked(root: Path) -> Iterator[int]:
    """Hold the work directory, made if missing. Raises Failure when another `up` has it or it cannot be made.

    Gives a file descriptor for the processes to inherit: as long as one of them lives, the next `up` waits. The ports and
    directories of those that an `up` has left behind, because it was killed, are not free at once.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / "logs").mkdir(exist_ok=True)
        file = (root / "up.lock").open("a+")
        processes = (root / "processes.lock").open("a")
    except OSError as error:
        raise Failure(f"cannot use the work directory {root}: {error.strerror}") from None
    with file, processes:
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
        _await_processes(root, processes.fileno())
        yield processes.fileno()


def _await_processes(root: Path, lock: int) -> None:
    """Those of the `up` before, if it was killed: they end by themselves. Raises Failure when they do not."""
    until_s = time.monotonic() + _LEFT_S
    said = False
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                raise Failure(
                    f"processes of the last `koinon up` in {root}, which was killed, still run: end them, or choose"
                    " another --work-dir"
                ) from None
        if not said:
            said = True
            print(
                "koinon: waiting for the processes of the last `koinon up` to end",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(0.05)


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


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
            if port > _PORT_MAX:
                raise Failure(
                    f"there is no port {port} for {name}: choose a smaller {_option(name)} (0 = any)"
                )
            probe = _any_bound(ip, before.get(name)) if port == 0 else _bound(ip, port)
            if probe is None:
                raise Failure(
                    f"port {port} on {ip} is in use: stop what uses it, or choose another {_option(name)} (0 = any)"
                )
            held.append(probe)  # until all are chosen, so that none is chosen twice
            ports[name] = probe.getsockname()[1]
    finally:
        for probe in held:
            probe.close()
    memory.write_text(json.dumps({**before, **ports}))
    return ports


def _option(name: str) -> str:
    return f"--{name.partition('-')[0]}-port"


def _any_bound(ip: str, before: int | None) -> socket.socket | None:
    """On the port of last time if it is free."""
    found = _bound(ip, before) if before is not None else None
    for port in random.sample(_ANY_PORTS, 100):
        found = found or _bound(ip, port)
    return found or _bound(ip, 0)


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
        if error.errno == errno.EADDRINUSE:
            return None
        raise Failure(f"cannot listen on {ip}: {error.strerror}") from None


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
