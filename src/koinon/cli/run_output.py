"""What a person sees of a run: the output of its instances, and on a terminal a bar of progress below it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from typing import BinaryIO

from koinon.cli.batch import Instance
from koinon.cli.client import Client
from koinon.cli.errors import Failure
from koinon.cli.following import Followed

#: How long new output may stay unseen while an instance runs.
_POLL_S = 0.25
_BAR_WIDTH = 24


class Screen:
    """Standard output and error, and the bar in the last line of the terminal if there is to be one."""

    def __init__(self, *, progress: bool) -> None:
        self._enabled = progress
        self._bar = ""  #: as drawn now

    def write(self, stream: BinaryIO, data: bytes) -> None:
        """Write output to `stream`, above the bar."""
        if self._bar and data:
            self._erase()
        stream.write(data)
        stream.flush()
        if self._bar and data.endswith(b"\n"):
            self._draw()

    def note(self, sentence: str) -> None:
        """Tell the person something about the run itself."""
        self.write(sys.stderr.buffer, f"koinon: {sentence}\n".encode())

    def progress(self, total: int, counts: dict[str, int]) -> None:
        """Show how many instances are in which state."""
        if not self._enabled:
            return
        finished = counts.get("FINISHED", 0)
        filled = _BAR_WIDTH * finished // total
        states = "  ".join(f"{count} {state.lower()}" for state, count in sorted(counts.items()) if count)
        line = f"{'━' * filled}{'─' * (_BAR_WIDTH - filled)} {finished}/{total}  {states}"
        self._bar = line[: shutil.get_terminal_size().columns - 1]
        self._draw()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._erase()
            self._bar = ""
        self._enabled = False

    def _erase(self) -> None:
        sys.stderr.buffer.write(b"\r\x1b[K")
        sys.stderr.buffer.flush()

    def _draw(self) -> None:
        sys.stderr.buffer.write(f"\r\x1b[K{self._bar}".encode())
        sys.stderr.buffer.flush()


class Outputs:
    """Copies stdout and stderr of instances here while they run. One reader for each agent."""

    def __init__(self, screen: Screen, *, enabled: bool, prefix: bool, instances: int) -> None:
        self.framework_id: str | None = None  #: set once subscribed
        self._screen = screen
        self._enabled = enabled
        self._prefix_width = len(str(instances - 1)) if prefix else 0
        self._whole_lines = prefix or instances > 1
        self._readers: dict[str, _AgentReader] = {}

    def follow(self, instance: Instance) -> None:
        """Read what the instance writes; to its end once it has ended."""
        if not self._enabled or not instance.address or instance.state == "STAGING":
            return
        reader = self._readers.get(instance.address)
        if reader is None:
            reader = self._readers[instance.address] = _AgentReader(instance.address, self._screen)
        if instance.index not in reader.known:
            reader.known.add(instance.index)
            reader.copies.append((instance, self._copies(instance, reader.client)))
        reader.wake.set()

    def _copies(self, instance: Instance, agent: Client) -> list[_Copy]:
        folder = f"/frameworks/{self.framework_id}/executors/{instance.task_id}/runs/latest"
        prefix = f"{instance.index:>{self._prefix_width}} │ ".encode() if self._prefix_width else b""
        streams = (("stdout", sys.stdout.buffer), ("stderr", sys.stderr.buffer))
        return [
            _Copy(Followed(agent, f"{folder}/{name}"), stream, prefix=prefix, whole_lines=self._whole_lines)
            for name, stream in streams
        ]

    async def drained(self) -> None:
        """Returns when everything written by the instances that ended has been copied."""
        for reader in self._readers.values():
            await reader.drained()

    async def end(self) -> None:
        """Stop copying."""
        for reader in self._readers.values():
            await reader.end()


class _Copy:
    """One file of one instance, and how far it has been copied."""

    def __init__(self, file: Followed, stream: BinaryIO, *, prefix: bytes, whole_lines: bool) -> None:
        self.file = file
        self.stream = stream
        self._prefix = prefix
        self._whole_lines = whole_lines
        self._partial = b""  #: begin of a line whose end is not there yet

    def printable(self, data: bytes, *, last: bool) -> bytes:
        """What of `data` is to be shown now."""
        if not self._whole_lines:
            return data
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        if last and self._partial:
            lines.append(self._partial)
            self._partial = b""
        return b"".join(self._prefix + line + b"\n" for line in lines)


class _AgentReader:
    """Reads from one agent, in a thread so that a slow one holds up nothing else."""

    def __init__(self, address: str, screen: Screen) -> None:
        self.copies: list[tuple[Instance, list[_Copy]]] = []
        self.known: set[int] = set()
        self.wake = asyncio.Event()
        self.client = Client(address, what="agent")
        self._screen = screen
        self._complained = False
        self._idle = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def drained(self) -> None:
        """Returns when nothing is left to copy, or raises what stopped the copying."""
        self._idle.clear()
        self.wake.set()
        idle = asyncio.create_task(self._idle.wait())
        await asyncio.wait((idle, self._task), return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        if self._task.done():
            self._task.result()

    async def end(self) -> None:
        """Stop."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.client.close()

    async def _run(self) -> None:
        while True:
            self.wake.clear()
            for entry in list(self.copies):
                # Whether it ended is looked at before reading: what is there then is all there will be.
                ended = entry[0].ended
                for copy in entry[1]:
                    await self._copy(copy, entry[0], last=ended)
                if ended:
                    self.copies.remove(entry)
            if not self.copies:
                self._idle.set()
            try:
                async with asyncio.timeout(_POLL_S if self.copies else None):
                    await self.wake.wait()
            except TimeoutError:
                continue

    async def _copy(self, copy: _Copy, instance: Instance, *, last: bool) -> None:
        more = True
        while more:
            try:
                data, more = await asyncio.to_thread(copy.file.read)
            except Failure as failure:
                if last:
                    self._screen.write(copy.stream, copy.printable(b"", last=True))
                    # One that never ran wrote nothing; and one complaint for an agent is enough.
                    if instance.started_s is not None and not self._complained:
                        self._complained = True
                        self._screen.note(f"output is missing: {failure}")
                return
            if copy.file.lost:
                copy.file.lost = False
                self._screen.note(f"some output was removed before it was read: {copy.file.path}")
            self._screen.write(copy.stream, copy.printable(data, last=last and not more))
