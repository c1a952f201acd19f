"""What stands between an agent and a framework, and what the framework is told about it."""

import pytest

from koinon.allocator import Reason, minimum_from_v1, parse_minimum
from koinon.mesos import v1
from tests.unit.allocator.situations import ALL, R, add_agents, hostname_is, make, reasons, takers


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


def test_offer_constraints_exclude_agents_until_they_change(allocator):
    allocator.add_framework("F", ["*"], constraints=hostname_is("*", "S1.host"))
    add_agents(allocator, "S1", "S2", "S3")
    assert takers(allocator.allocate(0.0)) == {"S1": "F"}
    assert allocator.excluded_agents("F", "*") == ["S2", "S3"]
    (decision,) = allocator.why("F", 0.0)
    assert (decision.reason, decision.agents) == (Reason.CONSTRAINT, 2)
    assert decision.sentence == (
        "2 agents on S2.host, S3.host: the framework's offer constraints ask for: host name is 'S1.host'."
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
