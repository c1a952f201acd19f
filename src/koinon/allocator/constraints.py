"""Offer constraints: which agents a framework wants to be offered for a role.

    role ── groups ──(any of them must hold)── constraints ──(all of them must hold)── selector · predicate

A *selector* names an attribute of the agent, or its host name, region or zone; a *predicate* says what
must hold of it. `compile_constraints` turns the message into these objects, or says in one sentence what
is wrong with it; nothing is compiled or looked up by name afterwards.

Expressions are RE2's, matched by RE2 itself (its time is linear in the text, so no framework can stall the
master with a clever pattern) and bounded in size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from koinon.mesos import v1
from koinon.mesos.v1 import scheduler

if TYPE_CHECKING:
    import re2

REGEX_MEMORY_BYTES = 4096
REGEX_PROGRAM_SIZE = 100

_Selector = scheduler.AttributeConstraint.Selector
_Pseudo = _Selector.PseudoattributeType
_PSEUDO_NAMES = {_Pseudo.HOSTNAME: "host name", _Pseudo.REGION: "region", _Pseudo.ZONE: "zone"}
_PREDICATES = ("exists", "not_exists", "text_equals", "text_not_equals", "text_matches", "text_not_matches")
_NEGATIONS = frozenset({"not_exists", "text_not_equals", "text_not_matches"})
_SPOKEN = {
    "exists": "exists",
    "not_exists": "does not exist",
    "text_equals": "is '{}'",
    "text_not_equals": "is not '{}'",
    "text_matches": "matches '{}'",
    "text_not_matches": "does not match '{}'",
}


class ConstraintError(ValueError):
    """The offer constraints of a call are invalid; the text says why."""


class Traits(Struct, frozen=True, gc=False):
    """What constraints may ask about an agent. An attribute that is not text has the value None."""

    hostname: str = ""
    region: str | None = None
    zone: str | None = None
    attributes: Mapping[str, str | None] = {}

    @classmethod
    def of(
        cls, hostname: str, attributes: Iterable[v1.Attribute], domain: v1.DomainInfo | None = None
    ) -> Traits:
        """Gather the traits; of several attributes with one name the first counts."""
        texts: dict[str, str | None] = {}
        for attribute in attributes:
            texts.setdefault(attribute.name, attribute.text.value if attribute.text else None)
        fault = domain.fault_domain if domain else None
        return cls(hostname, fault.region.name if fault else None, fault.zone.name if fault else None, texts)


class Constraint(Struct, frozen=True):
    """One selector and one predicate, ready to be asked."""

    selector: str | _Pseudo
    predicate: str
    operand: str = ""
    pattern: re2._Regexp | None = None

    def holds(self, traits: Traits) -> bool:
        """Say whether an agent with these traits satisfies the predicate."""
        text: str | None
        match self.selector:
            case _Pseudo.HOSTNAME:
                found, text = True, traits.hostname
            case _Pseudo.REGION:
                found, text = traits.region is not None, traits.region
            case _Pseudo.ZONE:
                found, text = traits.zone is not None, traits.zone
            case name:
                found, text = name in traits.attributes, traits.attributes.get(str(name))
        if not found or self.predicate in ("exists", "not_exists"):
            return found != (self.predicate in _NEGATIONS)
        if text is None:  # numbers and ranges are not what text predicates are for: they exclude nobody
            return True
        same = self.pattern.fullmatch(text) is not None if self.pattern else text == self.operand
        return same != (self.predicate in _NEGATIONS)

    def __str__(self) -> str:
        what = (
            _PSEUDO_NAMES[self.selector]
            if isinstance(self.selector, _Pseudo)
            else f"attribute {self.selector}"
        )
        return f"{what} {_SPOKEN[self.predicate].format(self.operand)}"


class RoleConstraints(Struct, frozen=True):
    """The constraints of one role: any group, all of its constraints."""

    groups: tuple[tuple[Constraint, ...], ...]

    def allow(self, traits: Traits) -> bool:
        """Say whether an agent with these traits may be offered to the role."""
        return any(all(constraint.holds(traits) for constraint in group) for group in self.groups)

    def __str__(self) -> str:
        return ", or ".join(" and ".join(map(str, group)) for group in self.groups)


def compile_constraints(
    message: scheduler.OfferConstraints | None, roles: Collection[str]
) -> dict[str, RoleConstraints]:
    """Make the constraints of each role from the message of a framework with these roles.

    Raises ConstraintError when a role is not among `roles`, a list is empty, a selector or predicate is
    unset, or an expression is invalid or too big.
    """
    compiled: dict[str, RoleConstraints] = {}
    for role, constraints in (message.role_constraints if message else {}).items():
        if role not in roles:
            raise ConstraintError(f"offer constraints name role '{role}', which the framework does not have")
        if not constraints.groups:
            raise ConstraintError(f"offer constraints of role '{role}' have no groups")
        if not all(group.attribute_constraints for group in constraints.groups):
            raise ConstraintError(f"offer constraints of role '{role}' have an empty group")
        try:
            compiled[role] = RoleConstraints(
                tuple(tuple(map(_compile, group.attribute_constraints)) for group in constraints.groups)
            )
        except ConstraintError as error:
            raise ConstraintError(f"offer constraints of role '{role}': {error}") from None
    return compiled


def _compile(message: scheduler.AttributeConstraint) -> Constraint:
    selector = message.selector.attribute_name or message.selector.pseudoattribute_type
    if selector is None or selector is _Pseudo.UNKNOWN:
        raise ConstraintError("a constraint has no selector")
    for predicate in _PREDICATES:
        if (given := getattr(message.predicate, predicate)) is None:
            continue
        if predicate.endswith("_matches"):
            return Constraint(selector, predicate, given.regex, _compile_regex(given.regex))
        return Constraint(selector, predicate, getattr(given, "value", ""))
    raise ConstraintError("a constraint has no predicate")


def _compile_regex(regex: str) -> re2._Regexp:
    import re2  # takes memory in every master, and few frameworks have expressions

    options = re2.Options()
    options.max_mem = REGEX_MEMORY_BYTES
    options.log_errors = False
    try:
        pattern = re2.compile(regex, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ConstraintError(f"expression '{regex}' is invalid: {reason}") from None
    if pattern.programsize > REGEX_PROGRAM_SIZE:
        raise ConstraintError(
            f"expression '{regex}' is too big: {pattern.programsize} > {REGEX_PROGRAM_SIZE}"
        )
    return pattern
