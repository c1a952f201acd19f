"""Why was it not offered?"""

from koinon.allocator import Reason
from tests.unit.allocator.situations import R, add_agents, decline, reasons


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
        "agent S2 on S2.host: it went to framework G in role 'b', whose turn it was by fair share"
        " (theirs now 50.0%, this one's 50.0%)."
    )


def test_before_the_next_run_it_says_so(allocator):
    add_agents(allocator, "S")
    allocator.allocate(0.0)
    allocator.add_framework("F", ["*"])
    assert reasons(allocator, "F") == [Reason.NEXT_RUN]


def test_agents_with_the_same_reason_are_told_together_and_the_largest_in_detail(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S1", "S2")
    decline(allocator, allocator.allocate(0.0), now=0.0)
    allocator.update_agent("S2", hostname="S1.host", total=R("cpus:8;mem:64"))
    decline(allocator, allocator.allocate(0.5), now=0.5)
    (decision,) = allocator.why("F", 1.5)
    assert decision.sentence == (
        "2 agents on S1.host: what is free (on S2: cpus 8, mem 64) was offered to the framework, which declined it;"
        " it is offered again in 4 s, on REVIVE, or when there is more."
    )
