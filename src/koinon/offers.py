"""What is left of the offers of one agent while a scheduler places work on it. Pure: services' cores use it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import copy
from functools import lru_cache
from typing import Any

from msgspec import Struct

from koinon.mesos import v1
from koinon.mesos.names import DEFAULT_ROLE
from koinon.mesos.resources.quantities import Ranges, merge_ranges, subtract_ranges, thousandths

#: Scalars in the order in which they are asked for and told.
SCALARS = ("cpus", "mem", "disk", "gpus")

Amounts = dict[str, int]  #: thousandths by name; nothing that is 0

_RANGES = v1.Value.Type.RANGES
_SCALAR = v1.Value.Type.SCALAR


class _Piece(Struct):
    """So much of one kind; `template` says what kind."""

    template: v1.Resource
    reserved: bool
    left: int  #: thousandths


class _PortPiece(Struct):
    template: v1.Resource
    reserved: bool
    left: Ranges


class Remaining:
    """All offers that we hold of one agent for one role. What is taken from it is gone for the next match."""

    def __init__(self, offers: Sequence[v1.Offer]) -> None:
        """`offers`: at least one; all of the same agent, and offered to the same role."""
        first = offers[0]
        self.agent_id = first.agent_id.value
        self.hostname = first.hostname
        #: The first of each name counts.
        self.attributes = {attribute.name: attribute for attribute in reversed(first.attributes)}
        self.role = role_of(first)
        self.offer_ids: tuple[str, ...] = ()
        self.taken = 0  #: how much work was placed here
        self.unavailable: tuple[float, float] | None = _unavailable(first)
        self._scalars: dict[str, list[_Piece]] = {}
        self._ports: list[_PortPiece] = []
        #: By whether reserved and unreserved resources count.
        self._totals: dict[tuple[bool, bool], Amounts] = {}
        #: What a matcher found missing, by shape of what was wanted. Both are forgotten when something is taken.
        self.found_missing: dict[str, Any] = {}
        for offer in offers:
            self.add(offer)

    def add(self, offer: v1.Offer) -> None:
        """One more offer, of the same agent for the same role."""
        self.offer_ids += (offer.id.value,)
        self._forget()
        self._add(offer.resources)

    def _add(self, resources: Iterable[v1.Resource]) -> None:
        for one in resources:
            # Neither what may be taken back, nor anybody's volumes, nor disks other than the agent's own.
            if one.revocable is not None or one.shared is not None or one.disk is not None:
                continue
            reserved = bool(one.reservations) or (one.role is not None and one.role != DEFAULT_ROLE)
            if one.type is _SCALAR and one.scalar is not None and one.name in SCALARS:
                pieces = self._scalars.setdefault(one.name, [])
                pieces.append(_Piece(one, reserved, thousandths(one.scalar.value)))
                # What is reserved for us goes first: nobody else can use it.
                pieces.sort(key=lambda piece: not piece.reserved)
            elif one.name == "ports" and one.type is _RANGES and one.ranges is not None:
                ranges = merge_ranges((piece.begin, piece.end) for piece in one.ranges.range)
                self._ports.append(_PortPiece(one, reserved, ranges))
                self._ports.sort(key=lambda piece: not piece.reserved)

    # ── what there is ─────────────────────────────────────────────────────────────────────────────
    def totals(self, accepts: frozenset[str]) -> Amounts:
        """How much of each scalar work may use that accepts resources of these roles. To be read, not changed."""
        usable = self._usable(accepts)
        totals = self._totals.get(usable)
        if totals is None:
            totals = self._totals[usable] = {
                name: sum(piece.left for piece in pieces if usable[piece.reserved])
                for name, pieces in self._scalars.items()
            }
        return totals

    def ports(self, accepts: frozenset[str]) -> Ranges:
        """The host ports that it may use."""
        usable = self._usable(accepts)
        fitting = [piece.left for piece in self._ports if usable[piece.reserved]]
        return fitting[0] if len(fitting) == 1 else merge_ranges(pair for left in fitting for pair in left)

    def offers_anything(self, accepts: frozenset[str]) -> bool:
        """Whether there is any resource that such work may use."""
        usable = self._usable(accepts)
        return any(
            usable[piece.reserved] and piece.left for pieces in self._scalars.values() for piece in pieces
        ) or any(usable[piece.reserved] and piece.left for piece in self._ports)

    @property
    def gpus(self) -> int:
        """Thousandths of GPUs, whoever may use them."""
        return sum(piece.left for piece in self._scalars.get("gpus", ()))

    def _usable(self, accepts: frozenset[str]) -> tuple[bool, bool]:
        """Whether (unreserved, reserved) resources may be used; reserved for us or a role above is the same."""
        return DEFAULT_ROLE in accepts, self.role != DEFAULT_ROLE and self.role in accepts

    # ── taking ────────────────────────────────────────────────────────────────────────────────────
    def take(self, amounts: Amounts, accepts: frozenset[str]) -> list[v1.Resource]:
        """Resources of these amounts. They must be there: see `totals`."""
        usable = self._usable(accepts)
        taken = []
        for name, amount in amounts.items():
            for piece in self._scalars[name]:
                part = min(piece.left, amount) if usable[piece.reserved] else 0
                if part:
                    piece.left -= part
                    amount -= part
                    resource = copy(piece.template)
                    resource.scalar = v1.Value.Scalar(part / 1000)
                    taken.append(resource)
            assert not amount, f"{name}: more was taken than there is"
        self._forget()
        return taken

    def take_ports(self, ports: Iterable[int], accepts: frozenset[str]) -> list[v1.Resource]:
        """These host ports. They must be there: see `ports`."""
        usable = self._usable(accepts)
        wanted = set(ports)
        taken = []
        for piece in self._ports:
            if not usable[piece.reserved]:
                continue
            here = merge_ranges(
                (port, port) for port in wanted if any(begin <= port <= end for begin, end in piece.left)
            )
            if here:
                left = subtract_ranges(piece.left, here)
                assert left is not None
                piece.left = left
                wanted -= {port for begin, end in here for port in range(begin, end + 1)}
                resource = copy(piece.template)
                resource.ranges = v1.Value.Ranges(
                    range=[v1.Value.Range(begin=begin, end=end) for begin, end in here]
                )
                taken.append(resource)
        assert not wanted, "more ports were taken than there are"
        self._forget()
        return taken

    def _forget(self) -> None:
        self._totals.clear()
        self.found_missing.clear()


def amounts(**given: float) -> Amounts:
    """In thousandths, without what is 0."""
    found = {name: thousandths(given[name]) for name in SCALARS if given.get(name)}
    return {name: amount for name, amount in found.items() if amount}


def role_of(offer: v1.Offer) -> str:
    """The role that it is offered to."""
    return (offer.allocation_info.role if offer.allocation_info is not None else None) or DEFAULT_ROLE


def _unavailable(offer: v1.Offer) -> tuple[float, float] | None:
    """When its machine is under maintenance: from, until (infinity if for good)."""
    if (told := offer.unavailability) is None:
        return None
    start = told.start.nanoseconds / 1e9
    return start, float("inf") if told.duration is None else start + told.duration.nanoseconds / 1e9


# ── attributes ────────────────────────────────────────────────────────────────────────────────────
def number_text(value: float) -> str:
    """At most three decimals, none that are zero."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


@lru_cache(1024)
def pattern(text: str) -> re.Pattern[str]:
    """To be matched against a whole value. Raises re.error."""
    import re2  # takes memory in every process of a service, and most have no expressions

    options = re2.Options()
    options.log_errors = False
    try:
        # Takes time in proportion to the text, whoever wrote the pattern; but it knows no look-around.
        found: re.Pattern[str] = re2.compile(text, options)
        return found
    except re2.error:
        return re.compile(text)
