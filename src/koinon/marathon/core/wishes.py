"""What the master is told about offers: the roles that we have, and for which of them offers are wanted.

A role is *revived* when more instances of it wait than before, and once more after a while in case that was lost on the
way; it is *suppressed* when nothing of it has waited for a while. Revivals of a role keep a distance on average (the flag
`--min_revive_offers_interval`); a few in a row go out at once, so that one who creates an app now and another one
directly after waits for neither.
"""

from __future__ import annotations

from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Revive, Suppress, UseRoles
from koinon.marathon.core.queue import RoleWish, Waiting

#: Revivals of a role that may go out one after another.
_CREDIT = 3.0


def begin(core: Core) -> None:
    """A master has taken us in: it knows our roles, and offers to all of them but those we suppressed."""
    core.state.launches.new_role = True
    for wish in core.state.launches.wishes.values():
        wish.owed = wish.demands > 0
        wish.repeats = 1


def note(core: Core, waiting: Waiting) -> None:
    """It waits, or not any more; call it whenever that may have changed."""
    demands = bool(waiting.instances) and waiting.delayed_until is None
    if demands == waiting.demands:
        return
    waiting.demands = demands
    role = waiting.wanted.role
    wish = core.state.launches.wishes.setdefault(role, RoleWish(credit=_CREDIT))
    core.state.launches.wanted_at = core.now
    if demands:
        core.state.launches.new_role |= role not in core.state.launches.roles
        wish.demands += 1
        wish.owed = True
        wish.repeats = 1
        core.alarms.cancel(_suppress, role)
    else:
        wish.demands -= 1
        if not wish.demands:
            wish.owed = False
            core.alarms.set(core.now + core.config.min_revive_offers_interval_s, _suppress, role)


def ask_again(core: Core, role: str | None = None) -> None:
    """Offers that somebody waits for (or now has a use for) were given back; of that role, or of all."""
    for name, wish in core.state.launches.wishes.items():
        if role in (None, name):
            wish.owed = wish.demands > 0


def tell(core: Core) -> None:
    """Say what has changed."""
    launches = core.state.launches
    revived = []
    # While a round goes on the offers that are held may do, and without launch tokens none would.
    if not launches.in_round and launches.tokens > 0:
        for role, wish in launches.wishes.items():
            if not wish.owed:
                continue
            if core.now < launches.returning_until:
                core.alarms.set(launches.returning_until, _owed, role)
            elif _may_revive(core, role, wish):
                wish.owed = wish.suppressed = False
                revived.append(role)
                core.alarms.set(core.now + core.config.min_revive_offers_interval_s, _repeat, role)
    _use_roles(core)
    if revived:
        core.effects.append(Revive(frozenset(revived)))


def _may_revive(core: Core, role: str, wish: RoleWish) -> bool:
    interval_s = core.config.min_revive_offers_interval_s
    if wish.credited_at is not None and interval_s > 0:
        wish.credit = min(_CREDIT, wish.credit + (core.now - wish.credited_at) / interval_s)
    wish.credited_at = core.now
    if wish.credit >= 1.0 or interval_s <= 0:
        wish.credit -= 1.0
        return True
    core.alarms.set(core.now + (1.0 - wish.credit) * interval_s + 0.001, _owed, role)
    return False


def _owed(core: Core, _: str) -> None:
    tell(core)


def _repeat(core: Core, role: str) -> None:
    """Say it once more, if it is still true."""
    wish = core.state.launches.wishes[role]
    if wish.demands and wish.repeats:
        wish.repeats -= 1
        wish.owed = True
        tell(core)


def _suppress(core: Core, role: str) -> None:
    """Nothing has waited for a while."""
    wish = core.state.launches.wishes[role]
    if core.config.suppress_offers and not wish.demands and not wish.suppressed:
        wish.suppressed = True
        core.effects.append(Suppress(frozenset({role})))


def _use_roles(core: Core) -> None:
    """The default role and those of all apps and pods; those with nothing to launch may be suppressed.

    A role that nobody has any more is given up when another one comes, or with the next master.
    """
    launches = core.state.launches
    if not launches.new_role:
        return
    launches.new_role = False
    roles = {core.config.rules.role}
    roles.update(role for role, wish in launches.wishes.items() if wish.demands)
    roles.update(spec.role for spec in core.state.root.run_specs())
    if roles != launches.roles:
        launches.roles = frozenset(roles)
        suppressed = frozenset(
            role for role in roles if (wish := launches.wishes.get(role)) is not None and wish.suppressed
        )
        core.effects.append(UseRoles(launches.roles, suppressed))
