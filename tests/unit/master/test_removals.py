"""Agents that are given up: how fast, after which time, and when none is."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.master.core import events as m
from koinon.master.core import registry
from koinon.master.core.state import Standing
from koinon.mesos import internal
from tests.unit.master.cluster import Cluster, failure, framework_info, refusal, register, statuses, task_info
from tests.unit.master.test_agents import entry

LIMITED = {"agent_removal_interval_s": 600.0}


def silent(count: int, **config: object) -> Cluster:
    """A cluster whose agents have been silent for just long enough."""
    cluster = Cluster(**config)
    for _ in range(count):
        cluster.join()
    cluster.tick(90)
    cluster.store()
    return cluster


def counted(cluster: Cluster) -> tuple[int, int, int]:
    counters = cluster.master.state.counters
    return tuple(counters[f"slave_unreachable_{what}"] for what in ("scheduled", "completed", "canceled"))


def unreachable(cluster: Cluster) -> list[str]:
    return list(cluster.master.state.unreachable_agents)


# ── the rate limit ────────────────────────────────────────────────────────────────────────────────
def test_without_a_limit_all_silent_agents_are_given_up_at_once():
    cluster = silent(3)
    assert unreachable(cluster) == ["M-S0", "M-S1", "M-S2"]
    assert counted(cluster) == (3, 3, 0)


def test_with_a_limit_they_are_given_up_one_by_one():
    cluster = silent(3, **LIMITED)
    assert unreachable(cluster) == ["M-S0"]
    assert counted(cluster) == (3, 1, 0)
    cluster.tick(599)
    cluster.store()
    assert unreachable(cluster) == ["M-S0"]
    cluster.tick(2)
    cluster.store()
    assert unreachable(cluster) == ["M-S0", "M-S1"]
    cluster.tick(600)
    cluster.store()
    assert counted(cluster) == (3, 3, 0)


def test_an_agent_that_answers_while_it_waits_for_its_turn_is_spared():
    cluster = silent(3, **LIMITED)
    cluster.say("channel-2", internal.Pong())
    assert counted(cluster) == (3, 1, 1)
    for _ in range(50):
        cluster.tick(12)
        cluster.say("channel-2", internal.Pong())
    cluster.store()
    assert unreachable(cluster) == ["M-S0", "M-S2"]


def test_an_agent_that_waits_for_its_turn_is_still_pinged():
    cluster = silent(2, **LIMITED)
    assert cluster.tick(15) == [m.SendToAgent("channel-2", internal.Ping())]


def test_an_agent_that_registers_while_it_waits_for_its_turn_is_spared():
    cluster = silent(2, **LIMITED)
    cluster.do(m.AgentChannelClosed("channel-2"))
    cluster.register(register("M-S1"))
    assert counted(cluster) == (2, 1, 1)
    assert cluster.master.state.doomed == {}


@pytest.mark.parametrize(
    "leaves", [m.AgentSaid("channel-2", internal.Unregister()), m.AgentGoneRequested("M-S1")]
)
def test_an_agent_that_waits_for_its_turn_may_leave_in_another_way(leaves):
    cluster = silent(2, **LIMITED)
    cluster.do(leaves)
    cluster.store()
    cluster.tick(700)
    assert unreachable(cluster) == ["M-S0"]
    assert list(cluster.master.state.agents) == []
    assert counted(cluster) == (2, 1, 1)


def test_tasks_of_an_agent_that_waits_for_its_turn_are_what_they_were():
    cluster = Cluster(**LIMITED)
    cluster.join()
    stream = cluster.subscribe(framework_info(checkpoint=True))
    cluster.join()
    cluster.tick(90)
    assert cluster.store() == [m.CloseChannel("channel-1"), failure(stream, "M-S0")]
    assert cluster.master.state.doomed == {"M-S1": cluster.now}
    assert cluster.master.state.agents["M-S1"].connected


def test_why_tells_that_a_task_is_on_an_agent_that_waits_for_its_turn():
    cluster = silent(1, **LIMITED)
    cluster.join()
    stream = cluster.subscribe(framework_info(checkpoint=True))
    cluster.tick()
    cluster.launch(stream, task_info(agent_id="M-S1"))
    cluster.tick(100)
    decision = cluster.master.why("t")[-1]
    assert (decision.code, decision.at_s) == ("agent_doomed", cluster.master.state.doomed["M-S1"])
    assert "--agent_removal_rate_limit" in decision.sentence


@given(
    st.lists(st.tuples(st.floats(0, 200), st.sampled_from(["join", "answer", "hang up"])), max_size=40),
    st.floats(1, 500),
)
def test_two_are_never_given_up_closer_together_than_the_limit_allows(steps, interval_s):
    cluster = Cluster(agent_removal_interval_s=interval_s, allocation_interval_s=1e6)
    given_up: list[float] = []
    open_channels: list[str] = []

    def note(effects: list[m.Effect]) -> None:
        writes = [effect for effect in effects if isinstance(effect, m.Store)]
        given_up.extend(
            cluster.now for write in writes for _, value in write.changes if b'"unreachable"' in value
        )

    for wait_s, what in steps:
        if what == "join":
            open_channels.append(cluster.join())
        elif open_channels and what == "answer":
            cluster.say(open_channels[0], internal.Pong())
        elif open_channels:
            cluster.do(m.AgentChannelClosed(open_channels.pop(0)))
        end = cluster.now + wait_s
        while (due := max(cluster.now, cluster.master.next_wakeup(cluster.now))) <= end:
            cluster.now = due
            note(cluster.do(m.ClockTicked()))
        cluster.now = end
        cluster.store()
    assert all(later - earlier >= interval_s - 1e-6 for earlier, later in pairwise(given_up))


# ── time to come back ─────────────────────────────────────────────────────────────────────────────
def test_a_disconnected_agent_is_given_up_in_time_though_its_pings_are_slow():
    cluster = Cluster(agent_ping_timeout_s=900.0, agent_reregister_timeout_s=600.0, allocation_interval_s=1e6)
    channel = cluster.join()
    cluster.tick(100)
    cluster.do(m.AgentChannelClosed(channel))
    cluster.tick(599)
    assert cluster.unstored == []
    cluster.tick(1)
    cluster.store()
    assert entry(cluster).standing is Standing.UNREACHABLE


def test_the_time_to_come_back_begins_anew_with_each_break_of_the_connection():
    cluster = Cluster(agent_ping_timeout_s=900.0, agent_reregister_timeout_s=600.0, allocation_interval_s=1e6)
    cluster.join()
    for number in (1, 2):
        cluster.do(m.AgentChannelClosed(f"channel-{number}"))
        cluster.tick(500)
        cluster.register(register("M-S0"))
    cluster.tick(500)
    assert cluster.unstored == []
    assert cluster.agent.connected


def test_an_agent_whose_return_is_being_stored_is_not_given_up():
    before = Cluster()
    before.join()
    cluster = Cluster(before.registry)
    cluster.register(register("M-S0", text="cpus:9"))  # it has changed, so it is stored first
    cluster.tick(700)
    cluster.store()
    assert cluster.agent.connected
    assert unreachable(cluster) == []


def test_an_agent_whose_change_is_being_stored_is_not_given_up_for_old_silence():
    cluster = Cluster()
    cluster.join()
    cluster.tick(80)
    cluster.register(register("M-S0", text="cpus:9"))
    cluster.tick(20)
    cluster.store()
    assert cluster.agent.connected


def test_a_farewell_counts_for_nothing_once_a_younger_process_of_the_agent_registers():
    cluster = Cluster()
    cluster.join()
    cluster.register(register("M-S0", text="cpus:9"))
    cluster.say("channel-1", internal.Unregister())
    cluster.store()
    assert cluster.agent.connected
    assert cluster.stored_agents == ["M-S0"]


# ── after an election ─────────────────────────────────────────────────────────────────────────────
def elected(count: int, back: int, **config: object) -> Cluster:
    """A new master of `count` agents, of which `back` came back in time."""
    before = Cluster()
    for _ in range(count):
        before.join()
    cluster = Cluster(before.registry, max_agent_ping_timeouts=1000, **config)
    for number in range(back):
        cluster.join(register(f"M-S{number}"))
    return cluster


@pytest.mark.parametrize(
    ("back", "limit", "resigns"),
    [(2, 0.5, False), (1, 0.5, True), (3, 0.0, True), (4, 0.0, False), (0, 1.0, False)],
)
def test_a_master_that_misses_too_many_of_its_agents_resigns(back, limit, resigns):
    cluster = elected(4, back, recovery_agent_removal_limit=limit)
    effects = [effect for effect in cluster.tick(610) if isinstance(effect, m.Resign)]
    assert bool(effects) is resigns
    cluster.store()
    assert len(unreachable(cluster)) == (0 if resigns else 4 - back)


def test_a_master_that_resigns_says_who_is_missing_and_what_to_do():
    cluster = elected(2, 1, recovery_agent_removal_limit=0.25)
    (effect,) = [effect for effect in cluster.tick(610) if isinstance(effect, m.Resign)]
    assert effect.reason == (
        "1 of 2 agents have not come back within 600 s of this master's election. That is more than"
        " --recovery_agent_removal_limit, 25%, so none is given up: find out why, or raise the limit."
        " Missing are M-S1 (a)."
    )


def test_agents_that_do_not_come_back_are_given_up_at_the_limited_rate():
    cluster = elected(3, 1, agent_removal_interval_s=100.0)
    for seconds, expected in ((600.5, 1), (98, 1), (2, 2)):
        cluster.tick(seconds)
        cluster.store()
        assert len(unreachable(cluster)) == expected
    assert counted(cluster) == (2, 2, 0)


def test_an_agent_that_comes_back_at_last_while_it_waits_for_its_turn_is_spared():
    cluster = elected(2, 0, agent_removal_interval_s=100.0)
    cluster.tick(601)
    cluster.store()
    cluster.join(register("M-S1"))
    cluster.tick(300)
    assert unreachable(cluster) == ["M-S0"]
    assert counted(cluster) == (2, 1, 1)


def test_an_agent_that_came_and_went_has_its_time_again():
    cluster = elected(1, 0, recovery_agent_removal_limit=0.0)
    cluster.tick(500)
    cluster.register(register("M-S0", text="cpus:9"))
    cluster.do(m.AgentChannelClosed("channel-1"))  # before the registry had it
    cluster.store()
    assert cluster.tick(500) == []
    cluster.tick(101)
    cluster.store()
    assert unreachable(cluster) == ["M-S0"]


def test_many_missing_agents_are_given_up_in_several_turns():
    cluster = elected(1200, 0, allocation_interval_s=1e6)
    cluster.tick(600)
    assert 0 < len(cluster.unstored) <= 500
    cluster.tick(0.1)
    cluster.store()
    assert len(unreachable(cluster)) == 1200


# ── declared gone ─────────────────────────────────────────────────────────────────────────────────
def test_an_agent_that_has_not_come_back_can_be_declared_gone_and_frameworks_hear_of_it():
    cluster = elected(1, 0)
    stream = cluster.subscribe()
    cluster.do(m.AgentGoneRequested("M-S0"))
    assert failure(stream, "M-S0") in cluster.store()
    assert list(cluster.master.state.gone_agents) == ["M-S0"]
    assert entry(cluster).standing is Standing.GONE


def test_what_is_being_removed_cannot_be_declared_gone_until_it_is_done():
    cluster = silent(1)
    cluster.register(register("M-S0"))
    assert refusal(cluster, m.AgentGoneRequested("M-S0"))[0] == 503


def test_a_gone_agent_may_be_forgotten_while_it_is_declared_gone():
    """The registry's garbage collection and the operator met."""
    cluster = Cluster(registry_max_agent_age_s=100.0, allocation_interval_s=1e6)
    cluster.join()
    cluster.tick(90)
    cluster.store()
    cluster.tick(900)  # it is to be forgotten, and the registry is slow
    assert cluster.unstored
    cluster.do(m.AgentGoneRequested("M-S0"))
    cluster.store()
    assert entry(cluster).standing is Standing.GONE
    assert statuses(cluster.tick()) == []


def test_thousands_are_forgotten_with_several_writes():
    """A store in ZooKeeper takes a megabyte at once."""
    info = register().agent_info
    gone = [registry.agent_change(f"M-S{number}", info, Standing.GONE, 0.0) for number in range(2500)]
    cluster = Cluster(
        {"cluster": b'"C"', **dict(gone)}, registry_max_agent_count=100, allocation_interval_s=1e6
    )
    cluster.tick(900)
    assert [len(write.changes) for write in cluster.unstored] == [1000, 1000, 400]
    cluster.store()
    assert len(cluster.master.state.gone_agents) == 100
    assert len(cluster.registry) == 101
