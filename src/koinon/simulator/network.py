"""The network: TCP between machines.

What is written on a connection arrives in order or not at all; what is written on two of them arrives in any order.
Nothing is lost but with its connection. A *cut* from one machine to another holds back what goes that way, until it is
healed and TCP tries again. Connections *break*, and each end learns of it in its own time. A machine that is down
answers nothing; one that is up and has nobody listening refuses.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from koinon.simulator.machines import Machine, Process
    from koinon.simulator.world import World

Accept = Callable[[], asyncio.BaseProtocol]

#: On one machine everything arrives so soon.
_LOOPBACK_S = 0.00005
#: The first packet of a connection is tried again after so long.
_SYN_AGAIN_S = 1.0
#: When a cut is healed what was held back goes on within so long.
_AGAIN_MAX_S = 2.0
_UNREAD_MAX = 256 * 1024


class Network:
    """All machines and what lies between them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random: Random = world.random("network")
        self.machines: dict[str, Machine] = {}  #: by ip, and by name
        self.latency_s = 0.0005  #: mean, one way
        self.slow: dict[str, float] = {}  #: more of it, by machine
        self.cuts: dict[tuple[str, str], int] = {}  #: (from, to), names of machines: how many cuts
        self.split = 0.02  #: how often what is written at once arrives in two pieces
        self._listeners: dict[tuple[str, int], tuple[Process, Accept]] = {}
        self._ends: dict[Process, list[End]] = {}
        self._held: list[End] = []

    def join(self, machine: Machine) -> None:
        """A machine is plugged in."""
        self.machines[machine.ip] = self.machines[machine.name] = machine

    # ── faults ────────────────────────────────────────────────────────────────────────────────────
    def cut(self, pairs: list[tuple[str, str]]) -> None:
        """Nothing arrives from the first to the second machine of each pair."""
        for pair in pairs:
            self.cuts[pair] = self.cuts.get(pair, 0) + 1

    def heal(self, pairs: list[tuple[str, str]]) -> None:
        """These cuts are no more."""
        for pair in pairs:
            self.cuts[pair] -= 1
            if not self.cuts[pair]:
                del self.cuts[pair]
        held, self._held = self._held, []
        for end in held:
            end.go_on()

    def is_cut(self, sender: Machine, receiver: Machine) -> bool:
        """Does nothing arrive?"""
        return sender is not receiver and (sender.name, receiver.name) in self.cuts

    def break_connections(self, machine: Machine, portion: float, random: Random) -> None:
        """Some connections of a machine break."""
        for process in list(machine.processes):
            for end in list(self._ends.get(process, ())):
                if random.random() < portion:
                    end.break_off()

    # ── what processes do ─────────────────────────────────────────────────────────────────────────
    def listen(self, process: Process, port: int, accept: Accept) -> None:
        """`accept` makes the protocol of each connection that comes."""
        self._listeners[process.machine.ip, port] = process, accept

    def process_ended(self, process: Process, *, silently: bool) -> None:
        """Its kernel closes what it had open, unless that is gone as well."""
        for address in [address for address, (owner, _) in self._listeners.items() if owner is process]:
            del self._listeners[address]
        for end in self._ends.pop(process, ()):
            end.orphaned(silently=silently)

    async def connect(
        self, process: Process, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[End, asyncio.BaseProtocol]:
        """A connection to whoever listens there. Raises ConnectionRefusedError; waits for ever for a dead machine."""
        answered: asyncio.Future[tuple[End, asyncio.BaseProtocol]] = process.loop.create_future()
        self._knock(process, host, port, factory, answered)
        return await answered

    def latency(self, sender: Machine, receiver: Machine) -> float:
        """How long the next packet is under way."""
        if sender is receiver:
            return _LOOPBACK_S
        mean_s = self.latency_s
        if self.slow:
            mean_s += self.slow.get(sender.name, 0.0) + self.slow.get(receiver.name, 0.0)
        return mean_s * (0.5 + self.random.random() + (self.random.random() < 0.02) * 20)

    def _knock(
        self, process: Process, host: str, port: int, factory: Any, answered: asyncio.Future[Any]
    ) -> None:
        if answered.done() or not process.alive:
            return
        target, here = self.machines.get(host), process.machine
        if target is None or not target.up or self.is_cut(here, target) or self.is_cut(target, here):
            self.world.after(_SYN_AGAIN_S, self._knock, process, host, port, factory, answered)
            return
        self.world.after(self.latency(here, target), self._arrive, process, target, port, factory, answered)

    def _arrive(
        self, process: Process, target: Machine, port: int, factory: Any, answered: asyncio.Future[Any]
    ) -> None:
        if not process.alive:
            return
        listener = self._listeners.get((target.ip, port)) if target.up else None
        back_s = self.latency(target, process.machine)
        if listener is None:
            refusal = ConnectionRefusedError(f"connection to {target.name}:{port} refused")
            self.world.after(back_s, process.loop.receive, _refuse, answered, refusal)
            return
        # The kernel accepts, however frozen the process is.
        ours, theirs = End(self, process), End(self, listener[0])
        ours.peer, theirs.peer = theirs, ours
        for end in (ours, theirs):
            self._ends.setdefault(end.process, []).append(end)
        listener[0].loop.receive(theirs.begin, listener[1])
        self.world.after(back_s, process.loop.receive, _accepted, ours, factory, answered)

    def forget(self, end: End) -> None:
        """One end of a connection is no more."""
        ends = self._ends.get(end.process)
        if ends is not None and end in ends:
            ends.remove(end)

    def hold(self, end: End) -> None:
        """What this end has written waits for a cut to be healed."""
        self._held.append(end)


def _refuse(answered: asyncio.Future[Any], refusal: OSError) -> None:
    if not answered.done():
        answered.set_exception(refusal)


def _accepted(end: End, factory: Callable[[], asyncio.BaseProtocol], answered: asyncio.Future[Any]) -> None:
    if answered.done():  # it waited no longer
        end.abort()
        return
    if end.is_closing():
        answered.set_exception(ConnectionResetError("the connection broke at once"))
        return
    answered.set_result((end, end.begin(factory)))


class _Close:
    """The last that is sent on a connection: everything was sent, or it broke."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class End(asyncio.Transport):
    """One end of a connection; the transport of whoever uses it."""

    def __init__(self, network: Network, process: Process) -> None:
        super().__init__()
        self.process = process
        self.peer: End
        self._network = network
        self._world = network.world
        self._protocol: asyncio.BaseProtocol | None = None
        self._open = True
        self._waiting: list[bytes | _Close] = []  #: came in, and not read yet
        self._paused = False
        self._pipe: deque[bytes | _Close] = deque()  #: written, and not there yet
        self._arrives_s = 0.0  #: when the last of that arrives
        self._stalled = False  #: a cut holds it back
        self._trial = 0  #: how often what was held back was sent again
        self._broken = False
        self._outstanding = 0  #: bytes that the other end has not read

    def begin(self, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.BaseProtocol:
        """Somebody uses this end from now on."""
        protocol = factory()
        self._protocol = protocol
        if self._open:
            protocol.connection_made(self)
            self._read()
        return protocol

    # ── asyncio's transport ───────────────────────────────────────────────────────────────────────
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio."""
        if not self._open or not self.process.alive:
            return
        data = bytes(data)
        self._outstanding += len(data)
        if len(data) > 1 and self._network.random.random() < self._network.split:
            at = self._network.random.randrange(1, len(data))
            self._send(data[:at])
            self._send(data[at:])
        else:
            self._send(data)

    def close(self) -> None:
        """See asyncio."""
        self._finish(None)

    def abort(self) -> None:
        """See asyncio."""
        self._finish(ConnectionResetError("connection reset by peer"))

    def is_closing(self) -> bool:
        """See asyncio."""
        return not self._open

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return max(0, self._outstanding - _UNREAD_MAX)

    def pause_reading(self) -> None:
        """See asyncio."""
        self._paused = True

    def resume_reading(self) -> None:
        """See asyncio."""
        if self._paused:
            self._paused = False
            if self._waiting:
                self.process.loop.receive(self._read)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio."""
        assert self._protocol is not None
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See asyncio."""
        return (self.peer.process.machine.ip, 0) if name == "peername" else default

    @property
    def peer_process(self) -> Process | None:
        """Whose the other end is; None if that is closed."""
        return self.peer.process if self.peer._open else None

    # ── the end ───────────────────────────────────────────────────────────────────────────────────
    def _finish(self, error: Exception | None) -> None:
        """Closed from this side."""
        if not self._open or not self.process.alive:
            return
        self._open = False
        self._network.forget(self)
        self._send(_Close(error))
        self.process.loop.call_soon(self._tell_lost, None)

    def break_off(self) -> None:
        """It broke somewhere on the way: both ends will hear, each in its time; what is under way is lost."""
        random = self._network.random
        for end in (self, self.peer):
            end._cut_off()
            delay_s = random.choice((0.0, 0.001, random.uniform(0, 2)))
            self._world.after(delay_s, end._lost, ConnectionResetError("connection broken"))

    def _cut_off(self) -> None:
        """Nothing that was written here arrives any more."""
        self._broken = True
        self._pipe.clear()

    def orphaned(self, *, silently: bool) -> None:
        """Its process is no more."""
        if not self._open:
            return
        self._open = False
        if not silently:
            self._send(_Close(ConnectionResetError("connection reset by peer")))

    def _lost(self, error: Exception | None) -> None:
        """The kernel knows that it is over."""
        if self._open and self.process.alive:
            self._waiting.append(_Close(error))
            self.process.loop.receive(self._read)

    def _tell_lost(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(error)

    # ── the wire ──────────────────────────────────────────────────────────────────────────────────
    def _send(self, what: bytes | _Close) -> None:
        if self._broken:
            return
        here, there = self.process.machine, self.peer.process.machine
        self._pipe.append(what)
        if not self._stalled:
            arrives_s = max(self._world.now + self._network.latency(here, there), self._arrives_s)
            self._arrives_s = arrives_s
            self._world.at(arrives_s, self._arrive, self._trial)

    def go_on(self) -> None:
        """Perhaps the cut is healed: what was held back is sent again."""
        if self._network.is_cut(self.process.machine, self.peer.process.machine):
            self._network.hold(self)
            return
        self._stalled = False
        self._trial += 1
        self._arrives_s = self._world.now + self._network.random.uniform(0, _AGAIN_MAX_S)
        for _ in self._pipe:
            self._world.at(self._arrives_s, self._arrive, self._trial)

    def _arrive(self, trial: int) -> None:
        """The next of what this end has sent comes to the other."""
        if self._broken or trial != self._trial or self._stalled:
            return
        peer, here, there = self.peer, self.process.machine, self.peer.process.machine
        if self._network.is_cut(here, there):
            self._stalled = True
            self._network.hold(self)
            return
        what = self._pipe.popleft()
        if not peer._open:
            if there.up and isinstance(what, bytes):
                # Nobody has it open there, perhaps since that machine was booted.
                delay_s = self._network.latency(there, here)
                self._world.after(delay_s, self._lost, ConnectionResetError("connection reset by peer"))
            return
        peer._waiting.append(what)
        if not peer._paused and len(peer._waiting) == 1:
            peer.process.loop.receive(peer._read)

    def _read(self) -> None:
        while self._waiting and self._open and not self._paused and self._protocol is not None:
            what = self._waiting.pop(0)
            if isinstance(what, _Close):
                self._open = False
                self._network.forget(self)
                self._tell_lost(what.error)
                return
            self.peer._outstanding -= len(what)
            _feed(self._protocol, what)


def _feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    if isinstance(protocol, asyncio.BufferedProtocol):
        while data:
            buffer = memoryview(protocol.get_buffer(len(data)))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            protocol.buffer_updated(size)
            data = data[size:]
    else:
        assert isinstance(protocol, asyncio.Protocol)
        protocol.data_received(data)
