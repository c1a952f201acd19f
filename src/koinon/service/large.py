"""Commits of any size, in a store that takes only so much at a time, as ZooKeeper does.

A commit that is too large for one transaction goes through a *journal*: its changes are written there, piece by piece; then
one small transaction says that they count (the *word*), and from then on they do, whatever happens; then they are carried
out, piece by piece, and the journal is removed. Who opens the store carries out what counts and was not finished.

    journal                {"pieces": n}, the word: while it is there, the pieces count
    journal/<n>            changes
    pieces/<key>/<n>       parts of a value that is too large for one entry, which itself says how many there are
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from koinon.coordination import Change, Store, StoreError

#: Values, and pieces of the journal, are smaller than that.
_PIECE_BYTES = 512 * 1024
#: What an entry takes besides key and value, roughly.
_ENTRY_BYTES = 200
_JOURNAL = "journal"
_PIECES = "pieces"
#: Begins an entry whose value is elsewhere; no JSON does.
_ELSEWHERE = b"\x00pieces "

_encode = msgspec.msgpack.Encoder().encode
_Changes = list[tuple[str, bytes | None]]
_decode = msgspec.msgpack.Decoder(_Changes).decode


class _Word(msgspec.Struct):
    pieces: int


async def open_large(store: Store, *, piece_bytes: int = _PIECE_BYTES) -> LargeStore:
    """`store`, with what was left unfinished carried out. Raises StoreError."""
    large = LargeStore(store, piece_bytes)
    await large._open()
    return large


class LargeStore:
    """A `Store` on top of another one; `open_large` makes one. Keys must not begin as its own do."""

    def __init__(self, store: Store, piece_bytes: int) -> None:
        self._store = store
        self._piece_bytes = piece_bytes
        self._split: dict[str, int] = {}  #: values that are in pieces: how many
        self._waiting: deque[tuple[Sequence[Change], asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = (
            None  #: while a large commit, and what came after it, is under way
        )

    def load(self, prefix: str = "") -> dict[str, bytes]:
        """See `Store.load`."""
        return {
            key: self._joined(key, value) if value.startswith(_ELSEWHERE) else value
            for key, value in self._store.load(prefix).items()
            if key.partition("/")[0] not in (_JOURNAL, _PIECES)
        }

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        """See `Store.commit`."""
        changes = self._entries(changes)
        if self._writing is None and _size(changes) <= self._piece_bytes:
            return self._store.commit(changes)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((changes, done))
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        return done

    async def close(self) -> None:
        """See `Store.close`."""
        closing = asyncio.ensure_future(
            self._store.close()
        )  # which ends what is under way, if only by refusing it
        if self._writing is not None:
            await asyncio.wait((self._writing,))
        await closing

    # ── writing ───────────────────────────────────────────────────────────────────────────────────
    async def _write(self) -> None:
        while self._waiting:
            changes, done = self._waiting[0]
            try:
                if _size(changes) <= self._piece_bytes:
                    await self._store.commit(changes)
                    _settle(done, None)
                else:
                    await self._write_large(changes, done)
            except StoreError as error:
                _settle(done, error)
            self._waiting.popleft()
        self._writing = None

    async def _write_large(self, changes: Sequence[Change], done: asyncio.Future[None]) -> None:
        pieces = [_encode(piece) for piece in self._cut(changes)]
        for number, piece in enumerate(pieces):
            await self._store.commit([(f"{_JOURNAL}/{number}", piece)])
        await self._store.commit([(_JOURNAL, msgspec.json.encode(_Word(len(pieces))))])
        _settle(done, None)  # it counts
        await self._carry_out(pieces)

    async def _carry_out(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            await self._store.commit(_decode(piece))
        await self._store.commit(
            [(_JOURNAL, None), *((f"{_JOURNAL}/{number}", None) for number in range(len(pieces)))]
        )

    async def _open(self) -> None:
        journal = self._store.load(_JOURNAL)
        word = journal.pop(_JOURNAL, None)
        if word is not None:
            count = msgspec.json.decode(word, type=_Word).pieces
            await self._carry_out([journal[f"{_JOURNAL}/{number}"] for number in range(count)])
        elif journal:  # it never came to count
            await self._store.commit([(key, None) for key in journal])
        for key, value in self._store.load().items():
            if value.startswith(_ELSEWHERE):
                self._split[key] = int(value.removeprefix(_ELSEWHERE))

    def _cut(self, changes: Sequence[Change]) -> Iterator[list[Change]]:
        piece: list[Change] = []
        size = 0
        for change in changes:
            grown = _size([change])
            if piece and size + grown > self._piece_bytes:
                yield piece
                piece, size = [], 0
            piece.append(change)
            size += grown
        yield piece

    # ── large values ──────────────────────────────────────────────────────────────────────────────
    def _entries(self, changes: Iterable[Change]) -> list[Change]:
        """The changes of entries that make these changes of values."""
        entries: dict[str, bytes | None] = {}
        for key, value in changes:
            before = self._split.pop(key, 0)
            count = 0
            if value is not None and len(value) > self._piece_bytes // 2:
                parts = [
                    value[begin : begin + self._piece_bytes // 2]
                    for begin in range(0, len(value), self._piece_bytes // 2)
                ]
                count = self._split[key] = len(parts)
                entries |= {_part(key, number): part for number, part in enumerate(parts)}
                value = _ELSEWHERE + str(count).encode()
            entries |= {_part(key, number): None for number in range(count, before)}
            entries[key] = value
        return list(entries.items())

    def _joined(self, key: str, value: bytes) -> bytes:
        count = int(value.removeprefix(_ELSEWHERE))
        parts = self._store.load(f"{_PIECES}/{key}/")
        return b"".join(parts[_part(key, number)] for number in range(count))


def _part(key: str, number: int) -> str:
    return f"{_PIECES}/{key}/{number}"


def _size(changes: Iterable[Change]) -> int:
    return sum(_ENTRY_BYTES + 3 * len(key) + len(value or b"") for key, value in changes)


def _settle(done: asyncio.Future[None], error: StoreError | None) -> None:
    if done.done():  # who waited does so no more
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
