"""What a framework declined it is not offered again, for a while."""

import pytest

from koinon.allocator import Reason
from tests.unit.allocator.situations import ALL, R, add_agents, decline, hostname_is, make, reasons, takers


def test_what_was_declined_is_offered_to_others_and_again_when_the_refusal_ends(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    decline(allocator, allocator.allocate(0.0), now=0.0)
    assert allocator.allocate(0.5) == []
    (decision,) = allocator.why("F", 1.0)
    assert (decision.reason, decision.agent_id) == (Reason.REFUSED, "S")
    assert decision.sentence == (
        "agent S on S.host: what is free (cpus 4, mem 4096) was offered to the framework, which declined it; it"
        " is offered again in 4 s, on REVIVE, or when there is more."
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


@pytest.mark.parametrize("agents", [10, 1500])
def test_revive_clears_few_refusals_and_many_again_and_again(allocator, agents):
    allocator.add_framework("F", ["*"])
    allocator.add_framework("G", ["*"], suppressed=["*"])
    add_agents(allocator, *(f"S{number}" for number in range(agents)))

    def all_offers():
        made = []
        while allocator.next_wakeup(0.0) <= 0.0:
            made += allocator.allocate(0.0)
        return made

    for _ in range(3):
        made = all_offers()
        assert len(made) == agents
        decline(allocator, made, now=0.0, refuse_s=1000.0)
        assert all_offers() == []
        assert allocator.refusals_by_role == {"*": agents}
        allocator.revive("F")
        assert allocator.refusals_by_role == {"*": 0}


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
