"""The last part of what a task wrote, kept when its sandbox is gone."""

from __future__ import annotations

import zlib

import msgspec


class Output(msgspec.Struct, frozen=True):
    """The ends of a task's two files, and how long those were as a whole."""

    stdout: bytes = b""
    stderr: bytes = b""
    stdout_size: int = 0
    stderr_size: int = 0

    def tail(self, length: int) -> Output:
        """The same with at most `length` bytes of each."""
        return Output(
            _last(self.stdout, length), _last(self.stderr, length), self.stdout_size, self.stderr_size
        )


def _last(data: bytes, length: int) -> bytes:
    return data[len(data) - length :] if len(data) > length else data


def pack(data: bytes) -> bytes:
    """As it is stored: what tasks write shrinks to a fifth at the fastest setting."""
    return zlib.compress(data, 1)


def unpack(data: bytes) -> bytes:
    """What `pack` was given."""
    return zlib.decompress(data)
