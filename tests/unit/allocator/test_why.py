"""Why was it not offered?"""

from koinon.allocator import Reason
from tests.unit.allocator.situations import add_agents, reasons


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
