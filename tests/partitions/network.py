"""A network of machines that are network namespaces, on one switch; what is between them can be cut.

    with Network({"desk": "192.0.2.1", "master-1": "192.0.2.21"}) as network, network["desk"].entered():
        master = network["master-1"]
        subprocess.Popen([*master.prefix, …])      # a process on that machine
        master.cut()                               # its cable is pulled
        master.ignore(network["zk-1"])             # it hears nothing from that one, which still hears it
        network.heal()

Namespaces have no names and leave nothing behind: they live as long as this process, and the processes in them. Making
them needs root.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

_CLONE_NEWNET = 0x40000000
_TOOLS = ("ip", "iptables", "nsenter")
_SWITCH = "switch"
_LIBC = ctypes.CDLL(None, use_errno=True)


def cannot_run() -> str | None:
    """Why networks cannot be made here; None if they can."""
    wants = "the test makes network namespaces, and cuts the links between them"
    if os.geteuid() != 0:
        return f"needs root: {wants}"
    try:
        os.close(_new_namespace())
    except OSError as error:  # root of a container, perhaps
        return f"needs all of root's rights, and has not got them ({error}): {wants}"
    return None


def missing_tools() -> list[str]:
    """Programs that are needed and not installed."""
    return [tool for tool in _TOOLS if shutil.which(tool) is None]


class Machine:
    """One namespace, with an address."""

    def __init__(self, name: str, ip: str, namespace: int, switch: _Switch) -> None:
        self.name = name
        self.ip = ip
        self._namespace = namespace
        self._switch = switch

    @property
    def prefix(self) -> list[str]:
        """What makes a command run on this machine, and become that command's process."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self._namespace}"]

    def cut(self) -> None:
        """Pull its cable."""
        self._switch.set_port(self.name, "down")

    def ignore(self, *others: Machine) -> None:
        """Nothing that others send arrives here."""
        for other in others:
            _run([*self.prefix, "iptables", "-w", "-A", "INPUT", "-s", other.ip, "-j", "DROP"])

    def part_from(self, *others: Machine) -> None:
        """Nothing arrives, in neither direction."""
        self.ignore(*others)
        for other in others:
            other.ignore(self)

    def heal(self) -> None:
        """All arrives again."""
        self._switch.set_port(self.name, "up")
        _run([*self.prefix, "iptables", "-w", "-F", "INPUT"])

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and what it starts, is on the machine meanwhile."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _call(_LIBC.setns, self._namespace, _CLONE_NEWNET)
            yield
        finally:
            _call(_LIBC.setns, before, _CLONE_NEWNET)
            os.close(before)


class Network:
    """The machines, by name, with their addresses. To be used as a context manager."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._namespaces: list[int] = []
        switch = _Switch(self._new_namespace())
        self.machines = {
            name: Machine(name, address, self._new_namespace(), switch) for name, address in addresses.items()
        }
        for name, machine in self.machines.items():
            switch.connect(name, machine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for namespace in self._namespaces:
            os.close(namespace)

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def heal(self) -> None:
        """Nothing is cut any more."""
        for machine in self.machines.values():
            machine.heal()

    def _new_namespace(self) -> int:
        namespace = _new_namespace()
        self._namespaces.append(namespace)
        return namespace


class _Switch:
    """A namespace with a bridge, and a port for each machine."""

    def __init__(self, namespace: int) -> None:
        self._prefix = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{namespace}"]
        self._ip(f"link add name {_SWITCH} type bridge", f"link set dev {_SWITCH} up")

    def connect(self, port: str, machine: Machine) -> None:
        place = machine.prefix[-1].removeprefix("--net=")
        self._ip(
            f"link add name {port} type veth peer name eth0 netns {place}",
            f"link set dev {port} master {_SWITCH} up",
        )
        _batch(machine.prefix, "link set lo up", f"addr add {machine.ip}/24 dev eth0", "link set eth0 up")

    def set_port(self, port: str, state: str) -> None:
        self._ip(f"link set dev {port} {state}")

    def _ip(self, *commands: str) -> None:
        _batch(self._prefix, *commands)


def _new_namespace() -> int:
    """Its file descriptor. Raises OSError."""

    def make() -> int:
        _call(_LIBC.unshare, _CLONE_NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    with ThreadPoolExecutor(1) as thread:  # which ends, and only it has left our own network
        return thread.submit(make).result()


def _batch(prefix: Sequence[str], *commands: str) -> None:
    _run([*prefix, "ip", "-batch", "-"], "\n".join(commands))


def _run(argv: Sequence[str], text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()} (of: {text})")


def _call(function: Callable[..., int], *arguments: int) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function.__name__}: {os.strerror(number)}")
