"""Who is offered what, and why not: one situation a test."""

from random import Random

import pytest

from koinon.allocator import (
    Allocation,
    Allocator,
    AllocatorConfig,
    Reason,
    compile_constraints,
    minimum_from_v1,
    parse_minimum,
)
from koinon.mesos import v1
from koinon.mesos.resources import ResourceError, Resources
from koinon.mesos.v1 import scheduler

ALL = "cpus:4;mem:4096;ports:[31000-32000]"


def R(text: str) -> Resources:
    return Resources.parse(text)


def make(**config) -> Allocator:
    return Allocator(AllocatorConfig(**config), Random(1))


@pytest.fixture
def allocator() -> Allocator:
    return make()


def add_agents(allocator, *agent_ids, resources=ALL, **traits):
    for agent_id in agent_ids:
        allocator.add_agent(agent_id, hostname=f"{agent_id}.host", total=R(resources), **traits)


def takers(allocations: list[Allocation]) -> dict[str, str]:
    """Who got each agent, when each went to one taker."""
    assert len({made.agent_id for made in allocations}) == len(allocations)
    return {made.agent_id: made.framework_id for made in allocations}


def decline(allocator, allocations, now, refuse_s=5.0):
    for made in allocations:
        allocator.recover(made.framework_id, made.agent_id, made.resources, refuse_s=refuse_s, now=now)


def reasons(allocator, framework_id, now=0.0) -> list[Reason]:
    return [decision.reason for decision in allocator.why(framework_id, now)]


# ── offers ────────────────────────────────────────────────────────────────────────────────────────


def test_all_that_is_free_on_an_agent_goes_to_one_framework_with_its_role_on_it(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    assert allocator.allocate(0.0) == [Allocation("F", "*", "S", R(ALL).allocated("*"))]
    assert allocator.allocate(0.1) == []
    assert allocator.allocated == allocator.totals == {"cpus": 4000, "mem": 4096000}
    assert reasons(allocator, "F") == []


def test_agents_are_shared_out_evenly(allocator):
    for framework_id in "ABC":
        allocator.add_framework(framework_id, ["*"])
    add_agents(allocator, *(f"S{number}" for number in range(9)))
    got = list(takers(allocator.allocate(0.0)).values())
    assert sorted(got) == sorted("ABC" * 3)


def test_the_paper_s_example_with_whole_agents_offered():
    """9 CPUs and 18 GB on one agent; each framework takes one task of each offer and declines the rest."""
    allocator = make()
    demands = {"A": R("cpus:1;mem:4096"), "B": R("cpus:3;mem:1024")}
    tasks = dict.fromkeys(demands, 0)
    for framework_id in demands:
        allocator.add_framework(framework_id, ["*"])
    add_agents(allocator, "S", resources="cpus:9;mem:18432")
    now = 0.0
    while made := allocator.allocate(now):
        (offer,) = made
        demand = demands[offer.framework_id].allocated("*")
        if offer.resources.contains(demand):
            tasks[offer.framework_id] += 1
            rest, refuse_s = offer.resources - demand, None
        else:
            rest, refuse_s = offer.resources, 3600.0
        allocator.recover(offer.framework_id, "S", rest, refuse_s=refuse_s, now=now)
        now += 0.1
    assert tasks == {"A": 3, "B": 2}


def test_a_framework_with_several_roles_is_offered_one_agent_in_one_role_each(allocator):
    allocator.add_framework("F", ["a", "b"])
    add_agents(allocator, "S", resources="cpus:4;mem:4096;cpus(a):1;mem(a):512;cpus(b):2")
    made = {one.role: one.resources for one in allocator.allocate(0.0)}
    free = R("cpus:4;mem:4096")
    assert sum((one.unallocated() for one in made.values()), Resources()) == free + R(
        "cpus(a):1;mem(a):512;cpus(b):2"
    )
    first, last = made
    assert made[first].unallocated().contains(free)
    assert made[last].unallocated().reservations().keys() == {last}


def test_reservations_go_to_their_role_and_the_roles_below_it_only(allocator):
    allocator.add_framework("other", ["b"])
    add_agents(allocator, "S", resources="cpus(a):4;mem(a):512")
    assert allocator.allocate(0.0) == []
    assert reasons(allocator, "other") == [Reason.NOT_FOR_ROLE]
    allocator.add_framework("below", ["a/x"])
    assert takers(allocator.allocate(0.1)) == {"S": "below"}


def test_a_refined_reservation_needs_its_capability():
    for capabilities, got in (((), set()), (("RESERVATION_REFINEMENT",), {"F"})):
        allocator = make()
        allocator.add_framework("F", ["a/b"], capabilities=capabilities)
        kind = v1.Resource.ReservationInfo
        stack = [kind(type=kind.Type.STATIC, role="a"), kind(type=kind.Type.DYNAMIC, role="a/b")]
        cpus = v1.Resource(
            name="cpus", type=v1.Value.Type.SCALAR, scalar=v1.Value.Scalar(4.0), reservations=stack
        )
        allocator.add_agent("S", hostname="S.host", total=Resources.from_v1([cpus]))
        assert {made.framework_id for made in allocator.allocate(0.0)} == got


def test_revocable_resources_are_left_out_for_those_who_do_not_ask_for_them():
    cpus = v1.Resource(
        name="cpus",
        type=v1.Value.Type.SCALAR,
        scalar=v1.Value.Scalar(2.0),
        revocable=v1.Resource.RevocableInfo(),
    )
    total = R("mem:64") + Resources.from_v1([cpus])
    allocator = make()
    allocator.add_framework("F", ["*"])
    allocator.add_agent("S", hostname="S.host", total=total)
    (made,) = allocator.allocate(0.0)
    assert made.resources == R("mem:64").allocated("*")
    allocator.add_framework("revocable", ["*"], capabilities=["REVOCABLE_RESOURCES"])
    (made,) = allocator.allocate(0.1)
    assert made.framework_id == "revocable"
    assert made.resources.revocable() == made.resources


def shared_volume() -> Resources:
    disk = v1.Resource.DiskInfo
    kind = v1.Resource.ReservationInfo
    return Resources.from_v1(
        [
            v1.Resource(
                name="disk",
                type=v1.Value.Type.SCALAR,
                scalar=v1.Value.Scalar(100.0),
                reservations=[kind(type=kind.Type.STATIC, role="a")],
                disk=disk(
                    persistence=disk.Persistence(id="v"),
                    volume=v1.Volume(container_path="v", mode=v1.Volume.Mode.RW),
                ),
                shared=v1.Resource.SharedInfo(),
            )
        ]
    )


def test_a_shared_volume_is_offered_while_it_is_used_but_once_in_a_run():
    allocator = make(minimum=())
    for framework_id in "AB":
        allocator.add_framework(framework_id, ["a"], capabilities=["SHARED_RESOURCES"])
    allocator.add_framework("unaware", ["a"])
    allocator.add_agent("S", hostname="S.host", total=R("cpus:2") + shared_volume())
    first = allocator.allocate(0.0)
    assert sum(bool(made.resources.shared()) for made in first) == 1
    second = [made for made in allocator.allocate(1.0) if made.resources.shared()]
    assert len(second) == 1
    for made in first + second:
        allocator.recover(made.framework_id, "S", made.resources, refuse_s=None, now=1.0)
    assert allocator.allocated == {}


# ── gates ─────────────────────────────────────────────────────────────────────────────────────────


def domain(region):
    fault = v1.DomainInfo.FaultDomain
    return v1.DomainInfo(fault_domain=fault(region=fault.RegionInfo(region), zone=fault.ZoneInfo("z")))


@pytest.mark.parametrize(
    ("role", "agent", "unfit", "fit"),
    [
        ("*", {"resources": "cpus:4;mem:64;gpus:1"}, [], ["GPU_RESOURCES"]),
        ("*", {"domain": domain("far")}, [], ["REGION_AWARE"]),
        ("*", {"capabilities": ["HIERARCHICAL_ROLE"]}, ["MULTI_ROLE"], []),
    ],
)
def test_capabilities_that_an_agent_asks_for(role, agent, unfit, fit):
    allocator = make(region="near")
    allocator.add_framework("unfit", [role], capabilities=unfit)
    add_agents(allocator, "S", **agent)
    assert allocator.allocate(0.0) == []
    assert reasons(allocator, "unfit") == [Reason.CAPABILITY]
    allocator.add_framework("fit", [role], capabilities=fit)
    assert takers(allocator.allocate(0.1)) == {"S": "fit"}


def test_roles_below_others_need_an_agent_that_knows_of_them(allocator):
    allocator.add_framework("F", ["a/b"])
    add_agents(allocator, "old", capabilities=["MULTI_ROLE"])
    add_agents(allocator, "new")
    assert takers(allocator.allocate(0.0)) == {"new": "F"}


def test_gpus_and_the_own_region_need_nothing_when_configured_so():
    allocator = make(region="near", filter_gpu_resources=False)
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S", resources="cpus:4;gpus:1", domain=domain("near"))
    assert takers(allocator.allocate(0.0)) == {"S": "F"}


def hostname_is(role, *names):
    selector = scheduler.AttributeConstraint.Selector
    predicate = scheduler.AttributeConstraint.Predicate
    group = scheduler.OfferConstraints.RoleConstraints.Group
    groups = [
        group(
            attribute_constraints=[
                scheduler.AttributeConstraint(
                    selector=selector(pseudoattribute_type=selector.PseudoattributeType.HOSTNAME),
                    predicate=predicate(text_equals=predicate.TextEquals(name)),
                )
            ]
        )
        for name in names
    ]
    message = scheduler.OfferConstraints(
        role_constraints={role: scheduler.OfferConstraints.RoleConstraints(groups=groups)}
    )
    return compile_constraints(message, [role])


def test_offer_constraints_exclude_agents_until_they_change(allocator):
    allocator.add_framework("F", ["*"], constraints=hostname_is("*", "S1.host"))
    add_agents(allocator, "S1", "S2", "S3")
    assert takers(allocator.allocate(0.0)) == {"S1": "F"}
    assert allocator.excluded_agents("F", "*") == ["S2", "S3"]
    (decision,) = allocator.why("F", 0.0)
    assert (decision.reason, decision.agents) == (Reason.CONSTRAINT, 2)
    assert decision.sentence == (
        "2 agents (S2.host, S3.host): the framework's offer constraints ask for: host name is 'S1.host'."
    )
    allocator.update_framework("F", ["*"], constraints=hostname_is("*", "S2.host"))
    assert takers(allocator.allocate(0.1)) == {"S2": "F"}
    allocator.update_framework("F", ["*"])
    assert takers(allocator.allocate(0.2)) == {"S3": "F"}


def test_an_agent_that_comes_back_with_other_attributes_is_judged_anew(allocator):
    allocator.add_framework("F", ["*"], constraints=hostname_is("*", "new.host"))
    add_agents(allocator, "S")
    assert allocator.allocate(0.0) == []
    allocator.update_agent("S", hostname="new.host", total=R(ALL))
    assert takers(allocator.allocate(0.1)) == {"S": "F"}


def test_leftovers_below_the_minimum_are_not_offered(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S", resources="cpus:0.009;mem:31;disk:1000;ports:[1-10]")
    assert allocator.allocate(0.0) == []
    (decision,) = allocator.why("F", 0.0)
    assert decision.reason is Reason.TOO_LITTLE
    assert "cpus 0.01 or mem 32" in decision.sentence


def test_a_role_may_set_its_own_minimum():
    filters = v1.OfferFilters
    nothing = filters(min_allocatable_resources=filters.MinAllocatableResources())
    much = filters(
        min_allocatable_resources=filters.MinAllocatableResources(
            quantities=[filters.ResourceQuantities(quantities={"cpus": v1.Value.Scalar(8.0)})]
        )
    )
    assert minimum_from_v1(filters()) is None
    for own, got in ((nothing, {"small", "large"}), (much, {"large"})):
        allocator = make()
        allocator.add_framework("F", ["*"], minima={"*": minimum_from_v1(own)})
        add_agents(allocator, "small", resources="disk:5")
        add_agents(allocator, "large", resources="cpus:8")
        assert set(takers(allocator.allocate(0.0))) == got


def test_what_is_too_little_for_the_first_goes_to_whoever_wants_it(allocator):
    allocator.add_framework("A", ["*"])
    allocator.add_framework("B", ["*"], minima={"*": ()})
    add_agents(allocator, "S", resources="disk:5")
    assert takers(allocator.allocate(0.0)) == {"S": "B"}
    assert reasons(allocator, "A") == [Reason.TOO_LITTLE]


def test_the_minimum_is_read_as_alternatives():
    assert parse_minimum("cpus:0.01|mem:32;disk:10") == (
        (("cpus", 10),),
        (("disk", 10000), ("mem", 32000)),
    )
    assert parse_minimum("") == ()


def test_the_whitelist_keeps_other_hosts_out(allocator):
    allocator.add_framework("F", ["*"])
    allocator.set_whitelist(["S1.host"])
    add_agents(allocator, "S1", "S2")
    assert takers(allocator.allocate(0.0)) == {"S1": "F"}
    assert reasons(allocator, "F") == [Reason.NOT_WHITELISTED]
    allocator.set_whitelist(None)
    assert takers(allocator.allocate(0.1)) == {"S2": "F"}


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────


def test_what_was_declined_is_offered_to_others_and_again_when_the_refusal_ends(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    decline(allocator, allocator.allocate(0.0), now=0.0)
    assert allocator.allocate(0.5) == []
    (decision,) = allocator.why("F", 1.0)
    assert (decision.reason, decision.agent_id) == (Reason.REFUSED, "S")
    assert decision.sentence == (
        "1 agent (S.host): the framework refused what was free; it is offered again in 4 s, on REVIVE,"
        " or when there is more."
    )
    allocator.add_framework("G", ["*"])
    made = allocator.allocate(1.0)
    assert takers(made) == {"S": "G"}
    assert reasons(allocator, "F", 1.0) == [Reason.REFUSED]
    decline(allocator, made, now=1.0, refuse_s=100.0)
    assert allocator.refusals_by_role == {"*": 2}
    assert allocator.allocate(4.9) == []
    assert allocator.next_wakeup(4.9) == 5.0
    assert takers(allocator.allocate(5.0)) == {"S": "F"}
    assert allocator.refusals_by_role == {"*": 1}


def test_a_refusal_holds_back_less_but_not_more_than_was_refused(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    (offer,) = allocator.allocate(0.0)
    task = R("cpus:1;mem:1024").allocated("*")
    other = R("cpus:1").allocated("*")
    allocator.recover("F", "S", offer.resources - task - other, refuse_s=60.0, now=0.0)
    assert allocator.allocate(0.1) == []
    allocator.recover("F", "S", other, refuse_s=None, now=1.0)
    (again,) = allocator.allocate(1.0)  # a task has ended: now there is more
    assert again.resources == offer.resources - task


def test_several_refusals_stand_side_by_side_and_the_longer_counts(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    decline(allocator, allocator.allocate(0.0), now=0.0, refuse_s=100.0)
    allocator.add_framework("G", ["*"])
    (offer,) = allocator.allocate(0.1)
    allocator.recover("G", "S", offer.resources - R("cpus:1").allocated("*"), refuse_s=10.0, now=0.1)
    assert allocator.allocate(0.2) == []
    allocator.recover("G", "S", R("cpus:1").allocated("*"), refuse_s=20.0, now=0.2)
    (offer,) = allocator.allocate(0.3)  # G has refused two parts, not the whole
    assert offer.framework_id == "G"
    decline(allocator, [offer], now=0.3, refuse_s=50.0)
    assert allocator.refusals_by_role == {"*": 4}
    assert allocator.allocate(50.2) == []
    assert takers(allocator.allocate(50.3)) == {"S": "G"}


def test_a_repeated_refusal_lasts_as_long_as_the_longest(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S1")
    (offer,) = allocator.allocate(0.0)
    part = R("cpus:1").allocated("*")
    allocator.recover("F", "S1", part, refuse_s=50.0, now=0.0)
    allocator.recover("F", "S1", part, refuse_s=10.0, now=0.0)  # now two cpus are free
    assert [one.resources.cpus for one in allocator.allocate(0.0)] == [2.0]
    allocator.recover("F", "S1", part, refuse_s=None, now=1.0)
    assert allocator.allocate(49.0) == []
    assert len(allocator.allocate(50.0)) == 1
    assert offer.resources.cpus == 4.0


@pytest.mark.parametrize(
    ("refuse_s", "until_s"), [(0.0, 1.0), (0.1, 1.3), (2.0, 2.3), (1e12, 365 * 86400 + 0.3)]
)
def test_a_refusal_lasts_to_the_next_batch_at_least_and_a_year_at_most(refuse_s, until_s):
    allocator = make()
    allocator.add_framework("F", ["*"])
    allocator.allocate(0.0)
    add_agents(allocator, "S")
    decline(allocator, allocator.allocate(0.3), now=0.3, refuse_s=refuse_s)
    assert allocator.allocate(until_s - 0.1) == []
    assert takers(allocator.allocate(until_s)) == {"S": "F"}


def clear_by_revive(allocator):
    allocator.revive("F", ["*"])


def clear_by_revive_of_all(allocator):
    allocator.revive("F")


def clear_by_deactivation(allocator):
    allocator.deactivate_framework("F")
    allocator.activate_framework("F")


def clear_by_removal(allocator):
    allocator.remove_framework("F")
    allocator.add_framework("F", ["*"])


def clear_by_agent_removal(allocator):
    allocator.remove_agent("S")
    add_agents(allocator, "S")


def clear_by_agent_update(allocator):
    allocator.update_agent("S", hostname="S.host", total=R(ALL))


@pytest.mark.parametrize(
    "clear",
    [
        clear_by_revive,
        clear_by_revive_of_all,
        clear_by_deactivation,
        clear_by_removal,
        clear_by_agent_removal,
        clear_by_agent_update,
    ],
)
def test_refusals_are_cleared(allocator, clear):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    decline(allocator, allocator.allocate(0.0), now=0.0, refuse_s=1000.0)
    assert allocator.allocate(10.0) == []
    clear(allocator)
    assert allocator.refusals_by_role == {"*": 0}
    assert takers(allocator.allocate(10.0)) == {"S": "F"}


def test_refusals_of_one_role_do_not_hold_for_another(allocator):
    allocator.add_framework("F", ["a", "b"])
    add_agents(allocator, "S")
    (first,) = allocator.allocate(0.0)
    decline(allocator, [first], now=0.0)
    (second,) = allocator.allocate(0.0)
    assert {first.role, second.role} == {"a", "b"}
    decline(allocator, [second], now=0.0)
    allocator.revive("F", ["b"])
    (third,) = allocator.allocate(0.1)
    assert third.role == "b"


def test_a_new_framework_does_not_inherit_the_refusals_of_one_that_is_gone(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    decline(allocator, allocator.allocate(0.0), now=0.0, refuse_s=1000.0)
    allocator.remove_framework("F")
    allocator.add_framework("G", ["*"])
    assert takers(allocator.allocate(0.1)) == {"S": "G"}


def test_a_new_framework_does_not_inherit_the_constraints_of_one_that_is_gone(allocator):
    allocator.add_framework("F", ["*"], constraints=hostname_is("*", "elsewhere"))
    add_agents(allocator, "S")
    assert allocator.allocate(0.0) == []
    allocator.remove_framework("F")
    allocator.add_framework("G", ["*"])
    assert takers(allocator.allocate(0.1)) == {"S": "G"}


# ── suppression, activity, roles ──────────────────────────────────────────────────────────────────


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


# ── agents ────────────────────────────────────────────────────────────────────────────────────────


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


# ── mistakes of the caller ────────────────────────────────────────────────────────────────────────


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


# ── when, and why ─────────────────────────────────────────────────────────────────────────────────


def test_changes_are_allocated_at_once_and_everything_each_interval(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    assert allocator.next_wakeup(0.0) == 0.0
    made = allocator.allocate(0.0)
    assert allocator.next_wakeup(0.0) == 1.0
    decline(allocator, made, now=0.2, refuse_s=None)
    assert allocator.next_wakeup(0.2) == 0.2
    assert len(allocator.allocate(0.2)) == 1


def test_only_what_changed_is_looked_at_between_batches(allocator):
    add_agents(allocator, "S1", "S2")
    allocator.add_framework("F", ["*"])
    allocator.add_framework("G", ["*"])
    made = allocator.allocate(0.0)
    by_agent = {one.agent_id: one for one in made}
    decline(allocator, [by_agent["S1"]], now=0.5, refuse_s=None)
    assert [one.agent_id for one in allocator.allocate(0.5)] == ["S1"]
    assert [decision.time_s for decision in allocator.why(by_agent["S2"].framework_id, 0.5)] in ([], [0.5])


def test_whoever_comes_later_by_share_is_told_who_came_first(allocator):
    allocator.add_framework("F", ["a"])
    add_agents(allocator, "S1")
    allocator.allocate(0.0)
    allocator.add_framework("G", ["b"])
    add_agents(allocator, "S2")
    allocator.allocate(0.5)
    own, decision = allocator.why("F", 0.5)
    assert (own.reason, own.agent_id) == (Reason.NOTHING_FREE, "S1")
    assert (decision.reason, decision.time_s, decision.agents, decision.agent_id) == (
        Reason.OTHERS_FIRST,
        0.5,
        1,
        "S2",
    )
    assert decision.sentence == (
        "1 agent (S2.host): it went to framework G in role 'b', whose turn it was by fair share"
        " (theirs now 50.0%, this one's 50.0%)."
    )


def test_before_the_next_run_it_says_so(allocator):
    add_agents(allocator, "S")
    allocator.allocate(0.0)
    allocator.add_framework("F", ["*"])
    assert reasons(allocator, "F") == [Reason.NEXT_RUN]


def test_the_same_seed_gives_the_same_allocation():
    def run() -> list[Allocation]:
        allocator = make()
        for number in range(5):
            allocator.add_framework(f"F{number}", ["a", "b"][: 1 + number % 2])
        add_agents(allocator, *(f"S{number}" for number in range(50)), resources="cpus:4;mem:64;cpus(a):1")
        return allocator.allocate(0.0)

    assert run() == run()
