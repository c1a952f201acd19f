"""`Resources`: what an agent has, an offer holds, a task uses.

Addition and subtraction are exact. Scalars and whole pieces of disk add up; ranges and sets unite, so
`a + b - b` is `a` as long as `a` and `b` do not share a port, as nothing on one agent does. Sums over many
agents are good to look at, but subtract from scalars only (`scalars`) what was added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from koinon.mesos import v1
from koinon.mesos.names import DEFAULT_ROLE, is_ancestor
from koinon.mesos.resources.forms import Amounts, Form, read_resource, write_resources
from koinon.mesos.resources.kinds import Kind, Type, allocated_kind
from koinon.mesos.resources.quantities import Quantity, Ranges, ResourceError, subtract_ranges, unite
from koinon.mesos.resources.text import format_quantity, format_resources, parse_resources

Compact: TypeAlias = dict[str, float | str]


class Resources:
    """Quantities by kind. Immutable and hashable; equal if the quantities are."""

    __slots__ = ("_allocated", "_amounts", "_compact", "_hash", "_roles", "_scalars", "_v1")

    def __init__(self) -> None:
        self._amounts: Amounts = {}
        self._scalars: dict[str, int] | None = None
        self._v1: dict[Form, list[v1.Resource]] | None = None
        self._compact: Compact | None = None
        self._hash: int | None = None
        self._roles: frozenset[str] | None = None
        #: The last that was made for a role, as the same role tends to ask again.
        self._allocated: tuple[str | None, Resources] | None = None

    # ── from and to the outside ───────────────────────────────────────────────────────────────────
    @classmethod
    def parse(cls, text: str, default_role: str = DEFAULT_ROLE) -> Resources:
        """Resources from text (`cpus:4;ports(ads):[31000-32000]`) or JSON. Raises ResourceError."""
        return cls.from_v1(parse_resources(text, default_role))

    @classmethod
    def from_v1(cls, resources: Iterable[v1.Resource]) -> Resources:
        """Resources from messages in any form. Raises ResourceError if they break a rule.

        Equal messages give the same object while it is remembered, and with it what it has worked out.
        """
        amounts: Amounts = {}
        for resource in resources:
            kind, quantity = read_resource(resource)
            if quantity:
                _add(amounts, kind, quantity)
        return _remembered(tuple(amounts.items()))

    def to_v1(self, form: Form = "post") -> list[v1.Resource]:
        """The same as messages. Made once: to be read, not changed. Raises ResourceError if `form` is
        "pre" and there are refined reservations, which it cannot tell.
        """
        if self._v1 is None:
            self._v1 = {}
        if (written := self._v1.get(form)) is None:
            written = self._v1[form] = write_resources(self._amounts, form)
        return written

    def to_object(self) -> Compact:
        """The compact object of the classic endpoints: always cpus, gpus, mem and disk; ranges and sets as
        text; what is revocable apart, under `<name>_revocable`. Made once: to be read, not changed.
        """
        if self._compact is None:
            totals: dict[str, Any] = dict.fromkeys(("cpus", "gpus", "mem", "disk"), 0)
            for kind, quantity in self._amounts.items():
                name = f"{kind.name}_revocable" if kind.revocable else kind.name
                if kind.type is Type.SCALAR:
                    totals[name] = totals.get(name, 0) + _thousandths(kind, quantity)
                else:
                    totals[name] = unite(totals[name], quantity) if name in totals else quantity
            self._compact = {
                name: total / 1000 if isinstance(total, int) else format_quantity(total)
                for name, total in totals.items()
            }
        return self._compact

    def format(self) -> str:
        """Text for people; `parse` reads it, too, unless there are disks, dynamic reservations, …"""
        return format_resources(self._amounts)

    # ── algebra ───────────────────────────────────────────────────────────────────────────────────
    def __add__(self, other: Resources) -> Resources:
        theirs = other._amounts
        if not theirs:
            return self
        if not self._amounts:
            return other
        total = self._amounts.copy()
        for kind, more in theirs.items():
            have = total.get(kind)
            if have is None:
                total[kind] = more
            elif have.__class__ is int:
                total[kind] = have + more
            else:
                total[kind] = unite(have, more)
        return _make(total)

    def __sub__(self, other: Resources) -> Resources:
        """What is left. Raises ResourceError if `other` is not contained."""
        theirs = other._amounts
        if not theirs:
            return self
        rest = self._amounts.copy()
        for kind, less in theirs.items():
            have = rest.get(kind)
            if have.__class__ is int:
                left: Any = have - less
                if left < 0:
                    raise self._lacks(other)
            elif have is None:
                raise self._lacks(other)
            else:
                left = _subtract(have, less)
                if left is None:
                    raise self._lacks(other)
            if left:
                rest[kind] = left
            else:
                del rest[kind]
        return _make(rest)

    def contains(self, other: Resources) -> bool:
        """Whether `self - other` is possible."""
        if other is self:
            return True
        mine = self._amounts
        for kind, wanted in other._amounts.items():
            have = mine.get(kind)
            if have is None:
                return False
            if have.__class__ is int:
                if have < wanted:
                    return False
            elif _subtract(have, wanted) is None:
                return False
        return True

    def _lacks(self, other: Resources) -> ResourceError:
        return ResourceError(f"'{self.format()}' does not contain '{other.format()}'")

    @staticmethod
    def sum(many: Iterable[Resources]) -> Resources:
        """All of them together."""
        total: Amounts = {}
        for one in many:
            for kind, quantity in one._amounts.items():
                _add(total, kind, quantity)
        return _make(total)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self._amounts == other._amounts if isinstance(other, Resources) else NotImplemented

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._amounts.items()))
        return self._hash

    def __bool__(self) -> bool:
        return bool(self._amounts)

    def __len__(self) -> int:
        """How many kinds there are."""
        return len(self._amounts)

    def __repr__(self) -> str:
        return f"<Resources {self.format()}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (self._amounts,)

    # ── quantities ────────────────────────────────────────────────────────────────────────────────
    @property
    def scalars(self) -> dict[str, int]:
        """Thousandths by name, over all kinds; what is shared counts once. To be read, not changed."""
        if self._scalars is None:
            totals: dict[str, int] = {}
            for kind, quantity in self._amounts.items():
                if kind.type is Type.SCALAR:
                    totals[kind.name] = totals.get(kind.name, 0) + _thousandths(kind, quantity)
            self._scalars = totals
        return self._scalars

    @property
    def cpus(self) -> float:
        """Processors."""
        return self.scalars.get("cpus", 0) / 1000

    @property
    def mem(self) -> float:
        """Megabytes of memory."""
        return self.scalars.get("mem", 0) / 1000

    @property
    def disk(self) -> float:
        """Megabytes of disk."""
        return self.scalars.get("disk", 0) / 1000

    @property
    def gpus(self) -> float:
        """Graphics processors."""
        return self.scalars.get("gpus", 0) / 1000

    @property
    def ports(self) -> list[tuple[int, int]]:
        """Ranges of ports, (begin, end) inclusive, sorted."""
        ports: Ranges = ()
        for kind, quantity in self._amounts.items():
            if kind.name == "ports" and kind.type is Type.RANGES:
                ports = unite(ports, quantity)
        return list(ports)

    # ── parts ─────────────────────────────────────────────────────────────────────────────────────
    def filter(self, keep: Callable[[Kind], bool]) -> Resources:
        """The kinds that `keep` is true for; the very same object if it is for all."""
        kept = {kind: quantity for kind, quantity in self._amounts.items() if keep(kind)}
        return self if len(kept) == len(self._amounts) else _make(kept)

    def named(self, name: str) -> Resources:
        """What has this name, such as "ports"."""
        return self.filter(lambda kind: kind.name == name)

    def reserved(self, role: str) -> Resources:
        """What is reserved for exactly this role."""
        return self.filter(lambda kind: bool(kind.reservations) and kind.role == role)

    def unreserved(self) -> Resources:
        """What is reserved for nobody."""
        return self.filter(lambda kind: not kind.reservations)

    def reservations(self) -> dict[str, Resources]:
        """What is reserved, by the role that it is reserved for."""
        parts: dict[str, Amounts] = {}
        for kind, quantity in self._amounts.items():
            if kind.reservations:
                parts.setdefault(kind.role, {})[kind] = quantity
        return {role: _make(amounts) for role, amounts in parts.items()}

    def without_reservation_refinements(self) -> Resources:
        """What has no more than one level of reservation."""
        return self.filter(lambda kind: len(kind.reservations) <= 1)

    def allocatable_to(self, role: str) -> Resources:
        """What may be offered to `role`: the unreserved, and what is reserved for it or a role above it."""
        return self.filter(
            lambda kind: not kind.reservations or kind.role == role or is_ancestor(kind.role, role)
        )

    def revocable(self) -> Resources:
        """What may be taken back at any time."""
        return self.filter(lambda kind: kind.revocable)

    def nonrevocable(self) -> Resources:
        """What is not revocable."""
        return self.filter(lambda kind: not kind.revocable)

    def shared(self) -> Resources:
        """Volumes that several tasks may use at once."""
        return self.filter(lambda kind: kind.shared)

    # ── allocation ────────────────────────────────────────────────────────────────────────────────
    def allocated(self, role: str) -> Resources:
        """The same, in the hands of `role`."""
        return self._with_allocation(role)

    def unallocated(self) -> Resources:
        """The same, in nobody's hands."""
        return self._with_allocation(None)

    def _with_allocation(self, role: str | None) -> Resources:
        if self._allocated is not None and self._allocated[0] == role:
            return self._allocated[1]
        mine = self._amounts
        amounts: Amounts = {allocated_kind(kind, role): quantity for kind, quantity in mine.items()}
        if amounts.keys() == mine.keys():
            return self
        if len(amounts) < len(mine):  # what several roles held falls together
            amounts = {}
            for kind, quantity in mine.items():
                _add(amounts, allocated_kind(kind, role), quantity)
            made = _make(amounts)
        else:
            made = _make(amounts)
            made._scalars = self._scalars
        self._allocated = role, made
        return made

    @property
    def allocation_roles(self) -> frozenset[str]:
        """The roles that hold some of it."""
        if self._roles is None:
            roles = {kind.allocation_role for kind in self._amounts}
            self._roles = _role_set(tuple(role for role in roles if role is not None))
        return self._roles


@lru_cache(4096)
def _role_set(roles: tuple[str, ...]) -> frozenset[str]:
    # Nearly always one role, and the same few over and over: they share one set.
    return frozenset(roles)


def _make(amounts: Amounts) -> Resources:
    made = Resources.__new__(Resources)
    made._amounts = amounts
    made._scalars = made._v1 = made._compact = made._hash = made._roles = made._allocated = None
    return made


@lru_cache(4096)
def _remembered(amounts: tuple[tuple[Kind, Quantity], ...]) -> Resources:
    return _make(dict(amounts))


def _add(amounts: Amounts, kind: Kind, more: Any) -> None:
    have = amounts.get(kind)
    if have is None:
        amounts[kind] = more
    elif have.__class__ is int:
        amounts[kind] = have + more
    else:
        amounts[kind] = unite(have, more)


def _subtract(have: Any, less: Any) -> Any:
    """What is left of ranges or a set; None if not all of `less` is there."""
    if isinstance(have, frozenset):
        return have - less if have >= less else None
    return subtract_ranges(have, less)


def _thousandths(kind: Kind, quantity: int) -> int:
    if kind.piece is None:
        return quantity
    return kind.piece if kind.shared else kind.piece * quantity
