"""Frameworks and agents come, change and go."""

import pytest

from koinon.allocator import Reason
from koinon.mesos.resources import ResourceError
from tests.unit.allocator.situations import ALL, R, add_agents, decline, reasons, takers

# ── suppression, activity, roles ────────────────────────────────────────────────────────────────────


def test_suppressed_roles_get_nothing_until_revived(allocator):
    allocator.add_framework("F", ["a", "b"], suppressed=["a"])
    add_agents(allocator, "S1")
    assert [made.role for made in allocator.allocate(0.0)] == ["b"]
    allocator.suppress("F")
    add_agents(allocator, "S2")
    assert allocator.allocate(0.1) == []
    assert reasons(allocator, "F") == [Reason.SUPPRESSED, Reason.SUPPRESSED]
    allocator.revive("F", ["a"])
    assert [made.role for made in allocator.allocate(0.2)] == ["a"]


def test_while_nobody_wants_anything_a_run_has_nothing_to_do_and_who_comes_gets_all(allocator):
    allocator.add_framework("F", ["*"], suppressed=["*"])
    agents = [f"S{number}" for number in range(2500)]  # more than a run takes
    add_agents(allocator, *agents)
    assert allocator.allocate(0.0) == []
    assert allocator.next_wakeup(0.0) == 1.0  # the next batch
    add_agents(allocator, "late")
    assert allocator.allocate(0.5) == []
    allocator.revive("F")
    offered = set()
    while allocator.next_wakeup(0.6) <= 0.6:
        offered |= takers(allocator.allocate(0.6)).keys()
    assert offered == {*agents, "late"}


def test_a_disconnected_framework_gets_nothing_but_keeps_what_it_holds(allocator):
    allocator.add_framework("F", ["*"], active=False)
    add_agents(allocator, "S1")
    assert allocator.allocate(0.0) == []
    assert reasons(allocator, "F") == [Reason.FRAMEWORK_INACTIVE]
    allocator.activate_framework("F")
    assert takers(allocator.allocate(0.1)) == {"S1": "F"}
    allocator.deactivate_framework("F")
    add_agents(allocator, "S2")
    assert allocator.allocate(0.2) == []
    assert allocator.shares() == {"*": 0.5}


def test_what_a_framework_holds_in_a_role_it_left_still_counts(allocator):
    allocator.add_framework("F", ["a"])
    add_agents(allocator, "S1", "S2")
    made = allocator.allocate(0.0)
    allocator.update_framework("F", ["b"])
    assert allocator.shares() == {"a": 1.0, "b": 0.0}
    for one in made:
        allocator.recover("F", one.agent_id, one.resources, refuse_s=5.0, now=0.1)
    assert allocator.shares() == {"b": 0.0}
    assert {one.role for one in allocator.allocate(0.1)} == {"b"}


def test_removing_a_framework_frees_all_that_it_held(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    (held,) = allocator.allocate(0.0)
    allocator.remove_framework("F")
    allocator.recover("F", "S", held.resources, refuse_s=None, now=0.0)  # late, and of no effect
    allocator.add_framework("G", ["*"])
    assert takers(allocator.allocate(0.1)) == {"S": "G"}


def test_weights_decide_how_roles_share(allocator):
    allocator.set_weight("heavy", 3.0)
    for role in ("light", "heavy"):
        allocator.add_framework(f"F-{role}", [role])
    add_agents(allocator, *(f"S{number}" for number in range(40)))
    allocator.allocate(0.0)
    assert allocator.shares() == {"light": 0.25, "heavy": 0.75}


# ── agents ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_agent_comes_with_what_is_used_on_it(allocator):
    used = R("cpus:1;mem:1024").allocated("*")
    add_agents(allocator, "S", used={"F": used})  # its framework is still to come back
    allocator.add_framework("F", ["*"], used={"S": used})  # told a second time
    assert allocator.allocated == {"cpus": 1000, "mem": 1024000}
    (offer,) = allocator.allocate(0.0)
    assert offer.resources == R(ALL).allocated("*") - used
    allocator.recover("F", "S", used, refuse_s=None, now=0.0)
    (more,) = allocator.allocate(0.1)
    assert more.resources == used


def test_a_framework_comes_with_what_it_uses_on_known_agents(allocator):
    add_agents(allocator, "S")
    used = R("cpus:1;mem:1024").allocated("*")
    allocator.add_framework("F", ["*"], used={"S": used, "unknown": used})
    (offer,) = allocator.allocate(0.0)
    assert offer.resources == R(ALL).allocated("*") - used


def test_inactive_agents_are_not_offered(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S", active=False)
    assert allocator.allocate(0.0) == []
    assert reasons(allocator, "F") == [Reason.AGENT_INACTIVE]
    allocator.activate_agent("S")
    made = allocator.allocate(0.1)
    allocator.deactivate_agent("S")
    decline(allocator, made, now=0.1)
    assert allocator.allocate(10.0) == []


def test_an_agent_that_returns_with_less_than_is_used_offers_nothing_of_that_kind(allocator):
    allocator.add_framework("F", ["*"])
    used = R("cpus:3;mem:1024").allocated("*")
    add_agents(allocator, "S", used={"F": used})
    allocator.update_agent("S", hostname="S.host", total=R("cpus:2;mem:2048"))
    (offer,) = allocator.allocate(0.0)
    assert offer.resources == R("mem:1024").allocated("*")
    allocator.recover("F", "S", R("cpus:2;mem:1024").allocated("*"), refuse_s=None, now=0.1)
    (offer,) = allocator.allocate(0.1)
    assert offer.resources == R("cpus:1;mem:1024").allocated("*")


def test_resources_of_a_removed_agent_do_not_come_back(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    (made,) = allocator.allocate(0.0)
    allocator.remove_agent("S")
    allocator.recover("F", "S", made.resources, refuse_s=5.0, now=0.0)
    assert (allocator.allocate(0.1), allocator.allocated, reasons(allocator, "F")) == (
        [],
        {},
        [Reason.NO_AGENTS],
    )


# ── mistakes of the caller ──────────────────────────────────────────────────────────────────────────


def test_what_was_not_allocated_cannot_be_recovered(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    with pytest.raises(ResourceError, match="holds nothing there"):
        allocator.recover("F", "S", R("cpus:1").allocated("*"), refuse_s=None, now=0.0)
    allocator.allocate(0.0)
    with pytest.raises(ResourceError):
        allocator.recover("F", "S", R("cpus:5").allocated("*"), refuse_s=None, now=0.0)
    assert allocator.allocated == allocator.totals


def test_nobody_is_added_twice(allocator):
    allocator.add_framework("F", [])
    add_agents(allocator, "S")
    with pytest.raises(ValueError, match="framework F is already known"):
        allocator.add_framework("F", ["*"])
    with pytest.raises(ValueError, match="agent S is already known"):
        add_agents(allocator, "S")
    with pytest.raises(ValueError, match="in no role"):
        add_agents(allocator, "S2", used={"F": R("cpus:1")})
    assert allocator.totals == R(ALL).scalars
