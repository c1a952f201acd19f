"""Reading a task's file as it grows, stdout and stderr also when their agent renames them for their size.

`stdout` becomes `stdout.1`, the next time `stdout.2`, and the oldest go. So what is read next is at an offset in the
file of some number, which is `stdout` itself until it has been renamed. A read of `stdout` counts only if it has
not been renamed by then.
"""

from __future__ import annotations

from koinon.cli.client import Client
from koinon.cli.errors import Failure

_RENAMED = ("stdout", "stderr")


class Followed:
    """One file of one task, read from its begin on."""

    def __init__(self, agent: Client, path: str) -> None:
        self.lost = False  #: something was removed before it was read
        self.path = path
        self._agent = agent
        self._offset = 0
        self._number = 0  #: of the file that is read; 0 = not known yet
        self._renamed = False  #: whether that file has its number in its name by now

    def skip_to(self, offset: int) -> None:
        """Go on at `offset` of the newest file. Raises Failure."""
        self._number = max(self._numbers(), default=0) + 1
        self._offset = offset

    def read(self) -> tuple[bytes, bool]:
        """What comes next, and whether there is more already. Raises Failure."""
        while True:
            if self._renamed:
                data = self._read_renamed()
                if data:
                    return data, True
                continue
            try:
                data, size = self._agent.read(self.path, self._offset)
            except Failure:
                if self._look():
                    continue  # there is none just now: it is being renamed
                raise
            if not data and size >= self._offset:
                return b"", False
            if self._look():
                continue  # this may have been of a newer file
            if size < self._offset:  # truncated by the task: begin again, as tail does
                self._offset = 0
                continue
            self._offset += len(data)
            return data, self._offset < size

    def _read_renamed(self) -> bytes:
        """Some bytes of a file that grows no more; none at its end, and then the next one is to be read."""
        try:
            data, _ = self._agent.read(f"{self.path}.{self._number}", self._offset)
        except Failure:
            if self._number in self._numbers():
                raise
            self._look()
            return b""
        self._offset += len(data)
        if not data:
            self._number += 1
            self._offset = 0
            self._look()
        return data

    def _look(self) -> bool:
        """See whether the file that is read has been renamed, or is even gone."""
        numbers = self._numbers()
        if not self._number:
            self._number = min(numbers, default=1)
        later = [number for number in numbers if number >= self._number]
        self._renamed = bool(later)
        if later and self._number not in later:
            self.lost = True
            self._number, self._offset = min(later), 0
        return self._renamed

    def _numbers(self) -> list[int]:
        """Of the files that have been renamed and are still there."""
        folder, _, name = self.path.rpartition("/")
        if name not in _RENAMED:
            return []
        names = [entry["path"].rpartition("/")[2] for entry in self._agent.get("/files/browse", path=folder)]
        ends = [each.removeprefix(f"{name}.") for each in names if each.startswith(f"{name}.")]
        return [int(end) for end in ends if end.isdecimal()]
