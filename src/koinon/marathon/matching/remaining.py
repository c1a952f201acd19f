"""What is left of the offers of one agent while instances are placed on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any

from msgspec import Struct

from koinon.marathon.matching.constraints import attribute_text
from koinon.marathon.matching.wanted import SCALARS, Amounts
from koinon.marathon.model.records import AgentInfo
from koinon.mesos import v1
from koinon.mesos.names import DEFAULT_ROLE
from koinon.mesos.resources.quantities import Ranges, merge_ranges, subtract_ranges, thousandths

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
        self.agent = agent_of(first)
        self.role = role_of(first)
        self.offer_ids: tuple[str, ...] = ()
        self.taken = 0  #: how many instances were placed here
        self.unavailable: tuple[float, float] | None = _unavailable(first)
        self._scalars: dict[str, list[_Piece]] = {}
        self._ports: list[_PortPiece] = []
        #: By whether reserved and unreserved resources count.
        self._totals: dict[tuple[bool, bool], Amounts] = {}
        #: What the matcher found missing, by shape of what was wanted. Both are forgotten when something is taken.
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
        """How much of each scalar an app may use that accepts resources of these roles. To be read, not changed."""
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
        """Whether there is any resource that such an app may use."""
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


def agent_of(offer: v1.Offer) -> AgentInfo:
    """Where an offer is from, as instances remember it."""
    domain = offer.domain.fault_domain if offer.domain is not None else None
    return AgentInfo(
        agent_id=offer.agent_id.value,
        hostname=offer.hostname,
        attributes={attribute.name: attribute_text(attribute) for attribute in reversed(offer.attributes)},
        region=domain.region.name if domain is not None else None,
        zone=domain.zone.name if domain is not None else None,
    )


def role_of(offer: v1.Offer) -> str:
    """The role that it is offered to."""
    return (offer.allocation_info.role if offer.allocation_info is not None else None) or DEFAULT_ROLE


def _unavailable(offer: v1.Offer) -> tuple[float, float] | None:
    """When its machine is under maintenance: from, until (infinity if for good)."""
    if (told := offer.unavailability) is None:
        return None
    start = told.start.nanoseconds / 1e9
    return start, float("inf") if told.duration is None else start + told.duration.nanoseconds / 1e9
