"""Every operator, on every kind of field; and laws that hold whatever happens."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.marathon.matching import Match, Placements, Remaining, Settings, match, wanted_of
from koinon.marathon.matching.constraints import attribute_text, number_text
from koinon.marathon.matching.remaining import agent_of
from koinon.marathon.model import App
from koinon.marathon.model.records import AgentInfo
from koinon.mesos import v1
from koinon.mesos.attributes import parse_attributes

from .offers import matched, offer, placed, refused

VERSION = "2026-01-01T00:00:00.000Z"


def app(*constraints: tuple[str, ...], instances: int = 1) -> App:
    return App(
        id="/app",
        cpus=0.1,
        mem=1,
        port_definitions=(),
        constraints=constraints,
        version=VERSION,
        instances=instances,
    )


def at(value: str, agent: str = "S") -> AgentInfo:
    """An agent in rack `value`."""
    return AgentInfo(agent, f"host-{agent}", {"rack": value} if value else {})


def fits(constraint: tuple[str, ...], here: str, *racks: str, instances: int = 1) -> bool:
    """Whether an agent in rack `here` is accepted while instances are in those racks."""
    there = placed(*(at(rack, f"S{number}") for number, rack in enumerate(racks)))
    one = offer(attributes=f"rack:{here}" if here else "")
    spec = app(constraint, instances=instances)
    found = match(Remaining([one]), spec, placed=there, settings=Settings(), random=Random(1), now=0)
    return isinstance(found, Match)


# ── operators ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("constraint", "here", "racks", "expected"),
    [
        (("rack", "UNIQUE"), "a", "", True),
        (("rack", "UNIQUE"), "a", "bc", True),
        (("rack", "UNIQUE"), "a", "ba", False),
        (("rack", "unique"), "a", "ba", False),
        (("rack", "CLUSTER"), "a", "", True),
        (("rack", "CLUSTER"), "a", "aa", True),
        (("rack", "CLUSTER"), "a", "b", False),
        (("rack", "CLUSTER", "a"), "a", "", True),
        (("rack", "CLUSTER", "a"), "b", "", False),
        (("rack", "CLUSTER", "a"), "a", "b", True),
        (("rack", "MAX_PER", "2"), "a", "ab", True),
        (("rack", "MAX_PER", "2"), "a", "aba", False),
        (("rack", "LIKE", "a|b"), "a", "", True),
        (("rack", "LIKE", "a"), "ab", "", False),
        (("rack", "LIKE", ".*b"), "ab", "", True),
        (("rack", "LIKE", "(?!b).*"), "ab", "", True),
        (("rack", "UNLIKE", "a"), "a", "", False),
        (("rack", "UNLIKE", "a"), "ab", "", True),
        (("rack", "IS", "a"), "a", "", True),
        (("rack", "IS", "a"), "b", "", False),
        (("rack", "GROUP_BY"), "a", "", True),
        (("rack", "GROUP_BY"), "a", "ab", True),
        (("rack", "GROUP_BY"), "a", "aab", False),
        (("rack", "GROUP_BY"), "c", "aab", True),
    ],
)
def test_operators(constraint: tuple[str, ...], here: str, racks: str, expected: bool) -> None:
    assert fits(constraint, here, *racks) is expected


@pytest.mark.parametrize(
    ("here", "racks", "instances", "expected"),
    [
        # Two groups of five instances: three and two.
        ("a", "", 5, True),
        ("a", "aa", 5, True),
        ("a", "aaa", 5, False),
        ("b", "aaab", 5, True),
        ("a", "aabb", 5, True),
        ("b", "aaabb", 5, False),
        ("c", "ab", 5, False),
        ("b", "aaa", 5, True),
        ("a", "aaab", 6, False),
    ],
)
def test_group_by_with_a_number_divides_the_instances(
    here: str, racks: str, instances: int, expected: bool
) -> None:
    assert fits(("rack", "GROUP_BY", "2"), here, *racks, instances=instances) is expected


@pytest.mark.parametrize("operator", ["UNIQUE", "CLUSTER", "GROUP_BY", "MAX_PER", "LIKE", "UNLIKE", "IS"])
def test_without_the_attribute_only_unlike_accepts(operator: str) -> None:
    value = () if operator in ("UNIQUE", "CLUSTER", "GROUP_BY") else ("1",)
    assert fits(("rack", operator, *value), "") is (operator == "UNLIKE")


def test_instances_without_the_attribute_are_a_group_of_their_own() -> None:
    assert fits(("rack", "GROUP_BY"), "a", "a", "") is True
    assert fits(("rack", "GROUP_BY"), "a", "a", "a", "") is False
    assert fits(("rack", "CLUSTER"), "a", "") is False


# ── fields ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("field", ["hostname", "@hostname"])
def test_hosts(field: str) -> None:
    there = placed(AgentInfo("S1", "host-S1"))
    assert refused(offer(agent="S1"), app((field, "UNIQUE")), there)
    assert matched(offer(agent="S2"), app((field, "UNIQUE")), there)


@pytest.mark.parametrize(("field", "value"), [("@region", "r1"), ("@zone", "z1")])
def test_fault_domains(field: str, value: str) -> None:
    assert matched(offer(region="r1", zone="z1"), app((field, "IS", value)))
    assert refused(offer(region="r2", zone="z2"), app((field, "IS", value)))
    said = refused(offer(), app((field, "IS", value)))["UnfulfilledConstraint"]
    assert said == f"constraint '{field} IS {value}': the agent has no {field}"


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("x:2", "2"),
        ("x:2.50", "2.5"),
        ("x:0.3333", "0.333"),
        ("x:abc", "abc"),
        ("x:[7-9,1-3]", "[1-3,7-9]"),
    ],
)
def test_attributes_are_compared_as_text(attribute: str, text: str) -> None:
    (found,) = parse_attributes(attribute)
    assert attribute_text(found) == text
    assert matched(offer(attributes=attribute), app(("x", "IS", text)))


def test_sets_are_sorted() -> None:
    one = v1.Attribute(name="x", type=v1.Value.Type.SET, set=v1.Value.Set(item=["b", "a"]))
    assert attribute_text(one) == "{a,b}"


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (0.0, "0"), (-0.0001, "0"), (12.3456, "12.346"), (100, "100")]
)
def test_numbers(value: float, text: str) -> None:
    assert number_text(value) == text


def test_numbers_are_equal_however_they_are_written() -> None:
    assert matched(offer(attributes="x:2"), app(("x", "IS", "2.000")))


# ── who counts ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("condition", "counts"),
    [
        ("Provisioned", True),
        ("Staging", True),
        ("Starting", True),
        ("Running", True),
        ("Killing", True),
        ("Scheduled", False),
        ("Unreachable", False),
        ("UnreachableInactive", False),
        ("Failed", False),
        ("Finished", False),
    ],
)
def test_those_that_hold_an_agent_count(condition: str, counts: bool) -> None:
    there = placed(at("a"), condition=condition)
    assert len(Placements(there)) == counts


@pytest.mark.parametrize("version", ["2025-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"])
def test_those_of_other_configurations_do_not_count(version: str) -> None:
    other = placed(at("a"), version=version)
    assert matched(offer(attributes="rack:a"), app(("rack", "UNIQUE")), other)


# ── sentences ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("constraint", "racks", "said"),
    [
        (("rack", "UNIQUE"), "a", "constraint 'rack UNIQUE': one runs at a already"),
        (("rack", "MAX_PER", "2"), "aa", "constraint 'rack MAX_PER 2': 2 run at a already"),
        (("rack", "CLUSTER"), "b", "constraint 'rack CLUSTER': the others are at b, this is a"),
        (("rack", "GROUP_BY"), "aab", "constraint 'rack GROUP_BY': 2 run at a, only 1 elsewhere"),
        (("rack", "GROUP_BY", "1"), "b", "constraint 'rack GROUP_BY 1': there are 1 groups already"),
        (("rack", "LIKE", "b"), "", "constraint 'rack LIKE b': a does not match"),
    ],
)
def test_what_is_said(constraint: tuple[str, ...], racks: str, said: str) -> None:
    there = placed(*(at(rack) for rack in racks))
    assert refused(offer(attributes="rack:a"), app(constraint), there) == {"UnfulfilledConstraint": said}


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────
_RACKS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=8)


def run(constraint: tuple[str, ...], racks: list[str], tries: list[int], instances: int) -> list[str]:
    """Place instances on agents tried in some order, now and then one ends; the racks of those that are there."""
    spec = app(constraint, instances=instances)
    wanted = wanted_of(spec, Settings())
    random = Random(1)
    there: list[AgentInfo] = []
    for turn in tries:
        if turn % 7 == 0 and there:
            there.pop(turn % len(there))
            continue
        if len(there) == instances:
            break
        number = turn % len(racks)
        one = offer(agent=f"S{number}", attributes=f"rack:{racks[number]}")
        found = match(
            Remaining([one]),
            wanted,
            placed=placed(*there),
            settings=Settings(),
            random=random,
            now=0,
        )
        if isinstance(found, Match):
            assert found.agent == agent_of(one)
            there.append(found.agent)
    return [one.attributes["rack"] for one in there]


@given(_RACKS, st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 12))
def test_unique_is_unique(racks: list[str], tries: list[int], instances: int) -> None:
    assert max(Counter(run(("rack", "UNIQUE"), racks, tries, instances)).values(), default=0) <= 1


@given(_RACKS, st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 12), st.integers(1, 4))
def test_never_more_than_max_per(racks: list[str], tries: list[int], instances: int, most: int) -> None:
    assert (
        max(Counter(run(("rack", "MAX_PER", str(most)), racks, tries, instances)).values(), default=0) <= most
    )


@given(_RACKS, st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 12))
def test_a_cluster_is_in_one_place(racks: list[str], tries: list[int], instances: int) -> None:
    assert len(set(run(("rack", "CLUSTER"), racks, tries, instances))) <= 1


@given(_RACKS, st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 12), st.integers(1, 4))
def test_groups_are_as_even_as_possible(
    racks: list[str], tries: list[int], instances: int, groups: int
) -> None:
    counts = Counter(run(("rack", "GROUP_BY", str(groups)), racks, tries, instances))
    assert len(counts) <= groups
    assert max(counts.values(), default=0) <= -(-instances // groups)


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True), st.integers(1, 20))
def test_without_a_number_all_groups_seen_grow_alike(racks: list[str], instances: int) -> None:
    tries = [7 * number + 1 for number in range(400)]  # each rack in turn; none ends
    counts = Counter(run(("rack", "GROUP_BY"), racks, tries, instances))
    assert sum(counts.values()) == instances
    assert max(counts.values()) - min(counts.values()) <= 1
