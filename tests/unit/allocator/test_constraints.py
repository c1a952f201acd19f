"""Offer constraints: what holds of which agent, and what is refused as invalid."""

import json

import pytest

from koinon.allocator.constraints import ConstraintError, Traits, compile_constraints
from koinon.mesos import codec, v1
from koinon.mesos.v1 import scheduler

TEXT, SCALAR = v1.Value.Type.TEXT, v1.Value.Type.SCALAR


def attribute(name, value):
    if isinstance(value, str):
        return v1.Attribute(name=name, type=TEXT, text=v1.Value.Text(value))
    return v1.Attribute(name=name, type=SCALAR, scalar=v1.Value.Scalar(value))


def domain(region, zone):
    fault = v1.DomainInfo.FaultDomain
    return v1.DomainInfo(fault_domain=fault(region=fault.RegionInfo(region), zone=fault.ZoneInfo(zone)))


AGENT = Traits.of(
    "host-7.example.org",
    [attribute("rack", "r1"), attribute("rack", "r2"), attribute("cores", 8.0)],
    domain("eu", "eu-1"),
)
BARE = Traits.of("bare", [])


def message(*groups):
    """Constraints of role `r` from groups of (selector, predicate) as in JSON."""
    written = [
        {"attribute_constraints": [{"selector": s, "predicate": p} for s, p in group]} for group in groups
    ]
    text = json.dumps({"role_constraints": {"r": {"groups": written}}})
    return codec.decode(scheduler.OfferConstraints, text.encode())


def holds(selector, predicate, traits):
    return compile_constraints(message([(selector, predicate)]), ["r"])["r"].allow(traits)


RACK = {"attribute_name": "rack"}
CORES = {"attribute_name": "cores"}
HOSTNAME = {"pseudoattribute_type": "HOSTNAME"}
REGION = {"pseudoattribute_type": "REGION"}
ZONE = {"pseudoattribute_type": "ZONE"}


@pytest.mark.parametrize(
    ("selector", "predicate", "on_agent", "on_bare"),
    [
        (RACK, {"exists": {}}, True, False),
        (RACK, {"not_exists": {}}, False, True),
        (RACK, {"text_equals": {"value": "r1"}}, True, False),
        (RACK, {"text_equals": {"value": "r2"}}, False, False),  # of two with one name the first counts
        (RACK, {"text_not_equals": {"value": "r1"}}, False, True),
        (RACK, {"text_matches": {"regex": "r[0-9]"}}, True, False),
        (RACK, {"text_matches": {"regex": "r"}}, False, False),  # all of the text has to match
        (RACK, {"text_not_matches": {"regex": "r[0-9]"}}, False, True),
        (CORES, {"exists": {}}, True, False),
        (CORES, {"text_equals": {"value": "9"}}, True, False),  # not text: excludes nobody
        (CORES, {"text_not_matches": {"regex": ".*"}}, True, True),
        (HOSTNAME, {"text_matches": {"regex": r"host-\d\.example\.org"}}, True, False),
        (HOSTNAME, {"exists": {}}, True, True),
        (REGION, {"text_equals": {"value": "eu"}}, True, False),
        (REGION, {"not_exists": {}}, False, True),
        (ZONE, {"text_not_equals": {"value": "eu-1"}}, False, True),
    ],
)
def test_predicates(selector, predicate, on_agent, on_bare):
    assert holds(selector, predicate, AGENT) is on_agent
    assert holds(selector, predicate, BARE) is on_bare


def test_one_group_suffices_and_all_of_its_constraints_are_needed():
    constraints = compile_constraints(
        message(
            [(RACK, {"text_equals": {"value": "r1"}}), (ZONE, {"text_equals": {"value": "elsewhere"}})],
            [(HOSTNAME, {"text_equals": {"value": "bare"}})],
        ),
        ["r"],
    )["r"]
    assert not constraints.allow(AGENT)
    assert constraints.allow(BARE)
    assert str(constraints) == "attribute rack is 'r1' and zone is 'elsewhere', or host name is 'bare'"


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ([], "no groups"),
        ([[]], "empty group"),
        ([[({}, {"exists": {}})]], "no selector"),
        ([[(RACK, {})]], "no predicate"),
        ([[(RACK, {"text_matches": {"regex": "("}})]], "invalid"),
        ([[(RACK, {"text_matches": {"regex": "(?=a)b"}})]], "invalid"),
        ([[(RACK, {"text_matches": {"regex": "x" * 200}})]], "too big"),
        ([[(RACK, {"text_not_matches": {"regex": "a{1000}"}})]], "invalid"),
    ],
)
def test_invalid_constraints_are_refused_with_a_sentence(groups, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        compile_constraints(message(*groups), ["r"])


def test_a_role_that_the_framework_does_not_have_is_refused():
    with pytest.raises(ConstraintError, match="'r', which the framework does not have"):
        compile_constraints(message([(RACK, {"exists": {}})]), ["other"])


def test_no_constraints_at_all_are_fine():
    assert compile_constraints(None, ["r"]) == {}
    assert compile_constraints(scheduler.OfferConstraints(), ["r"]) == {}


def test_a_pattern_that_would_stall_a_backtracking_matcher_does_not():
    agent = Traits.of("a" * 5000 + "b", [])
    assert not holds(HOSTNAME, {"text_matches": {"regex": "(a*)*c"}}, agent)
