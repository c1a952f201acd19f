"""Znodes, and what transactions do to them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from kazoo.exceptions import (
    BadVersionError,
    KazooException,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.protocol.states import ZnodeStat


class Create(NamedTuple):
    """Make a znode; `owner` is the session that an ephemeral one ends with."""

    path: str
    value: bytes
    owner: int = 0
    sequence: bool = False


class Delete(NamedTuple):
    """Remove a znode."""

    path: str
    version: int = -1


class SetData(NamedTuple):
    """Give a znode a value."""

    path: str
    value: bytes
    version: int = -1


class Check(NamedTuple):
    """Look whether a znode has a version."""

    path: str
    version: int = -1


class Multi(NamedTuple):
    """All or none."""

    operations: tuple[Operation, ...]


class OpenSession(NamedTuple):
    """Begin a session."""

    number: int
    timeout_s: float


class CloseSession(NamedTuple):
    """End a session, and what is ephemeral of it."""

    number: int


Operation: TypeAlias = Create | Delete | SetData | Check
Change: TypeAlias = Operation | Multi | OpenSession | CloseSession


class _Znode:
    __slots__ = ("children", "made", "next_sequence", "owner", "value", "version")

    def __init__(self, value: bytes, owner: int, made: int) -> None:
        self.value = value
        self.version = 0
        self.owner = owner
        self.made = made
        self.next_sequence = 0
        self.children: set[str] = set()


class Tree:
    """What one server knows. All do the same changes in the same order."""

    def __init__(self) -> None:
        self._znodes = {"/": _Znode(b"", 0, 0)}
        self.sessions: dict[int, float] = {}  #: timeouts
        self.zxid = 0
        self.touched: set[str] = set()  #: paths whose value or existence the last change changed
        self.grown: set[str] = set()  #: paths whose children it changed

    # ── reading ───────────────────────────────────────────────────────────────────────────────────
    def stat(self, path: str) -> ZnodeStat | None:
        """None if there is no such znode."""
        if (znode := self._znodes.get(path)) is None:
            return None
        size, children = len(znode.value), len(znode.children)
        return ZnodeStat(znode.made, znode.made, 0, 0, znode.version, 0, 0, znode.owner, size, children, 0)

    def get(self, path: str) -> tuple[bytes, ZnodeStat]:
        """Value and stat. Raises NoNodeError."""
        stat = self.stat(path)
        if stat is None:
            raise NoNodeError
        return self._znodes[path].value, stat

    def children(self, path: str) -> list[str]:
        """Names. Raises NoNodeError."""
        if (znode := self._znodes.get(path)) is None:
            raise NoNodeError
        return sorted(znode.children)

    # ── changing ──────────────────────────────────────────────────────────────────────────────────
    def apply(self, change: Change) -> object:
        """Do it; returns what the client hears, an exception if it failed."""
        self.zxid += 1
        self.touched.clear()
        self.grown.clear()
        match change:
            case Multi(operations):
                return self._multi(operations)
            case OpenSession(number, timeout_s):
                self.sessions[number] = timeout_s
                return number
            case CloseSession(number):
                self.sessions.pop(number, None)
                for path in sorted(path for path, znode in self._znodes.items() if znode.owner == number):
                    self._do(Delete(path))
                return None
        try:
            self._check(change)
        except KazooException as error:
            return error
        return self._do(change)

    def _multi(self, operations: tuple[Operation, ...]) -> list[object]:
        for at, operation in enumerate(operations):
            try:
                self._check(operation)
            except KazooException as error:
                after = [RuntimeInconsistency() for _ in operations[at + 1 :]]
                return [*(RolledBackError() for _ in operations[:at]), error, *after]
        return [self._do(operation) for operation in operations]

    def _check(self, operation: Operation) -> None:
        """Raises the reason why it cannot be done. Operations of one transaction are of different znodes."""
        if isinstance(operation, Create):
            if _parent(operation.path) not in self._znodes:
                raise NoNodeError
            if not operation.sequence and operation.path in self._znodes:
                raise NodeExistsError
            return
        znode = self._znodes.get(operation.path)
        if znode is None:
            raise NoNodeError
        if operation.version not in (-1, znode.version):
            raise BadVersionError
        if isinstance(operation, Delete) and znode.children:
            raise NotEmptyError

    def _do(self, operation: Operation) -> object:
        match operation:
            case Create(path, value, owner, sequence):
                parent = self._znodes[_parent(path)]
                if sequence:
                    path += f"{parent.next_sequence:010d}"
                parent.next_sequence += 1
                parent.children.add(path.rpartition("/")[2])
                self._znodes[path] = _Znode(value, owner, self.zxid)
                self.touched.add(path)
                self.grown.add(_parent(path))
                return path
            case Delete(path):
                del self._znodes[path]
                self._znodes[_parent(path)].children.discard(path.rpartition("/")[2])
                self.touched.add(path)
                self.grown.update((path, _parent(path)))
                return True
            case SetData(path, value):
                znode = self._znodes[path]
                znode.value, znode.version = value, znode.version + 1
                self.touched.add(path)
                return self.stat(path)
        return True


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
