"""Many values in one request (ZooKeeper 3.6 and newer), which kazoo does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kazoo.exceptions import EXCEPTIONS
from kazoo.protocol.serialization import GetData, MultiHeader, int_struct, read_buffer, stat_struct


class ReadMany:
    """The request `multiRead` for the values of `paths`: all of them, or the exception of the first that fails."""

    type = 22
    watcher = None  #: kazoo asks each request for one

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def serialize(self) -> bytes:
        """The request without its head."""
        head = MultiHeader(GetData.type, False, -1).serialize()
        parts = [part for path in self._paths for part in (head, GetData(path, None).serialize())]
        return b"".join([*parts, MultiHeader(-1, True, -1).serialize()])

    @staticmethod
    def deserialize(answer: bytes, offset: int) -> list[bytes] | Exception:
        """The values, in the order of the paths."""
        values: list[bytes] = []
        while True:
            header, offset = MultiHeader.deserialize(answer, offset)
            if header.done:
                return values
            if header.type == -1:
                error: Any = EXCEPTIONS[int_struct.unpack_from(answer, offset)[0]]()
                return error  # type: ignore[no-any-return]
            value, offset = read_buffer(answer, offset)
            offset += stat_struct.size
            values.append(value)
