"""Offers and what waits: launched, declined, wanted or not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from koinon.marathon.core import backoff, launching
from koinon.marathon.core.config import Config
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Accept, Decline, Refused, Revive, Suppress, UseRoles
from koinon.marathon.core.instances import ending, life
from koinon.marathon.model import Pod, Root
from koinon.marathon.model.pod import PodContainer, Resources
from koinon.mesos import v1

from ..matching.offers import offer
from .launching_bench import NOW, SMALL, Bench, launched, of_type, versioned


# ── launching ─────────────────────────────────────────────────────────────────────────────────────
def test_an_instance_is_stored_as_provisioned_before_it_is_launched() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 1)
    (accept,) = of_type(bench.offer(offer(agent="S7")), Accept)
    (instance,) = bench.instances
    assert isinstance(accept, Accept)
    assert launched([accept]) == [f"{instance.id}._app.1"]
    assert instance.condition == "Provisioned"
    assert instance.agent is not None
    assert instance.agent.agent_id == "S7"
    assert f"instances/{instance.id}" in bench.stored
    assert accept.refuse_s == 0


def test_offers_that_nobody_needs_go_back_for_long() -> None:
    bench = Bench(SMALL)
    assert bench.offer(offer()) == [Decline([v1.OfferID("O-S0")], 120.0)]


def test_offers_are_kept_a_little_after_something_was_wanted() -> None:
    bench = Bench(SMALL, replace(SMALL, id="/other"))
    bench.want("/app", 1)
    effects = bench.offer(*(offer(agent=f"S{number}", id=f"O{number}") for number in range(3)))
    assert [type(one) for one in effects] == [Accept]
    bench.turn(after=0.5)
    assert launched(bench.want("/other", 1))
    assert bench.turn(after=0.9) == []
    (decline,) = of_type(bench.turn(after=0.2), Decline)
    assert isinstance(decline, Decline)
    assert len(decline.offer_ids) == 1
    assert decline.refuse_s == 120


def test_no_offer_is_kept_for_long() -> None:
    bench = Bench(*(replace(SMALL, id=f"/app{number}", cpus=99) for number in range(20)))
    bench.want("/app0", 1)
    assert bench.offer(offer()) == []
    kept_s = 0.0
    for number in range(1, 20):
        kept_s += 0.5
        if effects := of_type(
            bench.turn(after=0.25) + bench.want(f"/app{number}", 1) + bench.turn(after=0.25), Decline
        ):
            break
    assert effects == [Decline([v1.OfferID("O-S0")], 1.0)]
    assert kept_s == pytest.approx(5, abs=0.6)


def test_what_is_remembered_of_offers_does_not_grow() -> None:
    bench = Bench(SMALL)
    for number in range(500):
        effects = bench.want("/app", 1)
        made = [offer(agent=f"S{agent}", id=f"O{agent}-{number}") for agent in range(3)]
        assert launched(effects + bench.offer(*made, after=0.5))
        bench.become("Running", bench.instances[-1].id)
    launches = bench.core.state.launches
    assert launches.held
    assert len(launches.order) < 100


def test_an_agent_gets_no_more_than_five_at_once_and_comes_back_for_the_rest() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 7)
    (accept,) = of_type(bench.offer(offer("cpus:10;mem:1000")), Accept)
    assert isinstance(accept, Accept)
    assert len(launched([accept])) == 5
    assert len(accept.operations) == 1
    assert accept.refuse_s == 0
    (accept,) = of_type(bench.offer(offer("cpus:5;mem:950")), Accept)
    assert len(launched([accept])) == 2


def test_instances_spread_over_agents() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 4)
    effects = bench.offer(*(offer(agent=f"S{number}") for number in range(4)))
    assert len(of_type(effects, Accept)) == 4


def test_apps_take_turns() -> None:
    bench = Bench(replace(SMALL, id="/a"), replace(SMALL, id="/b"))
    bench.want("/a", 10)
    bench.want("/b", 2)
    names = [task.split(".")[0] for task in launched(bench.offer(offer("cpus:4;mem:1000")))]
    assert sorted(names) == ["a", "a", "b", "b"]


def test_a_pod_is_launched_as_a_group() -> None:
    pod = Pod(
        id="/pod", containers=tuple(PodContainer(name, resources=Resources(0.1, 10)) for name in ("x", "y"))
    )
    bench = Bench(pod)
    bench.want("/pod", 1)
    (instance,) = bench.instances
    assert launched(bench.offer(offer())) == [f"{instance.id}.x.1", f"{instance.id}.y.1"]
    (instance,) = bench.instances
    assert [task.id for task in instance.tasks] == [f"{instance.id}.x.1", f"{instance.id}.y.1"]


def test_unique_holds_within_a_round_and_after_it() -> None:
    bench = Bench(replace(SMALL, constraints=(("hostname", "UNIQUE"),)))
    bench.want("/app", 3)
    assert len(launched(bench.offer(offer(agent="S0"), offer(agent="S1")))) == 2
    assert not launched(bench.offer(offer(agent="S0"), offer(agent="S1")))
    assert len(launched(bench.offer(offer(agent="S2")))) == 1


def test_group_by_uses_offers_that_it_refused_before_others_were_used() -> None:
    bench = Bench(replace(SMALL, constraints=(("rack", "GROUP_BY"),)))
    bench.want("/app", 4)
    effects = bench.offer(
        offer("cpus:4;mem:4000", agent="S0", attributes="rack:a"),
        offer("cpus:4;mem:4000", agent="S1", attributes="rack:b"),
    )
    assert [len(launched([one])) for one in of_type(effects, Accept)] == [2, 2]


def test_group_by_asks_again_for_offers_that_it_refused() -> None:
    bench = Bench(replace(SMALL, cpus=4, constraints=(("rack", "GROUP_BY"),)))
    bench.want("/app", 5)
    bench.offer(offer(agent="S0", attributes="rack:a"), offer(agent="S1", attributes="rack:b"))
    assert launched(bench.offer(offer(agent="S2", attributes="rack:b"), after=6))
    assert not launched(bench.offer(offer(agent="S3", attributes="rack:b"), after=6))
    bench.turn(after=10)
    effects = bench.offer(offer(agent="S4", attributes="rack:a"))
    assert launched(effects)
    assert Revive(frozenset("*")) in bench.turn(after=0.6)


def test_offers_of_one_agent_that_come_one_after_another_are_combined() -> None:
    bench = Bench(replace(SMALL, cpus=2), config=Config(launch_tokens=1))
    bench.want("/app", 2)
    assert launched(bench.offer(offer("cpus:2;mem:100", agent="S0", id="O1")))
    bench.offer(offer("cpus:1;mem:100", agent="S1", id="O2"))
    bench.offer(offer("cpus:1;mem:100", agent="S1", id="O3"))
    first = bench.instances[0]
    (accept,) = of_type(bench.become("Running", first.id), Accept)
    assert isinstance(accept, Accept)
    assert [one.value for one in accept.offer_ids] == ["O2", "O3"]


def test_an_instance_that_is_wanted_no_more_is_not_launched() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 1)
    bench.turn(lambda core: ending.forget(core, bench.instances[0]))
    assert not launched(bench.offer(offer()))
    assert not bench.core.state.launches.queue


def test_a_definition_that_changes_in_a_round_is_launched_as_it_is_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launching, "_SLICE", 15)
    bench = Bench(SMALL, replace(SMALL, id="/other"))
    bench.want("/app", 1)
    bench.want("/other", 1)
    assert bench.offer(offer(agent="S0")) == []  # placed, and not accepted yet
    (instance, _) = bench.instances
    changed = versioned(replace(SMALL, cpus=2), "2026-01-02T00:00:00.000Z")
    bench.define(changed, versioned(replace(SMALL, id="/other")))
    bench.turn(lambda core: core.put(replace(instance, config=changed.version, version=changed.version)))
    core = bench.core
    core.queued["/app"] = None
    bench.turn(after=0.01)
    for number in range(1, 4):
        bench.offer(offer(agent=f"S{number}", id=f"O{number}"), after=0.01)
    bench.turn(after=0.01)
    assert core.state.instances[instance.id].condition == "Provisioned"
    assert core.state.instances[instance.id].version == changed.version


# ── offers that go away ───────────────────────────────────────────────────────────────────────────
def test_a_rescinded_offer_is_not_used() -> None:
    bench = Bench(SMALL, config=Config(launch_tokens=0))
    bench.want("/app", 1)
    assert bench.offer(offer("cpus:1;mem:1", id="O1"), offer("cpus:1;mem:99", id="O2")) == []
    assert bench.turn(launching.rescinded, "O1") == [Decline([v1.OfferID("O2")], 0.0)]
    assert not bench.core.state.launches.held


def test_without_a_master_there_are_no_offers() -> None:
    bench = Bench(SMALL, config=Config(launch_tokens=0))
    bench.want("/app", 1)
    bench.offer(offer())
    bench.turn(launching.disconnected)
    assert not bench.core.state.launches.held


# ── launch tokens ─────────────────────────────────────────────────────────────────────────────────
def test_so_many_launches_are_under_way_at_once() -> None:
    bench = Bench(SMALL, config=Config(launch_tokens=3, max_instances_per_offer=100))
    bench.want("/app", 8)
    assert len(launched(bench.offer(offer("cpus:10;mem:1000")))) == 3
    assert launched(bench.offer(offer("cpus:7;mem:1000"))) == []
    effects = bench.become("Running", *[one.id for one in bench.instances[:2]])
    assert len(launched(effects)) == 2


def test_tokens_are_renewed_from_time_to_time() -> None:
    bench = Bench(SMALL, config=Config(launch_tokens=3, max_instances_per_offer=100))
    bench.want("/app", 8)
    bench.offer(offer("cpus:10;mem:1000"))
    effects = bench.turn(after=30)
    assert of_type(effects, Revive)
    assert len(launched(bench.offer(offer("cpus:7;mem:1000")))) == 3


def test_offers_are_not_kept_for_long_while_tokens_are_missing() -> None:
    bench = Bench(SMALL, config=Config(launch_tokens=0))
    bench.want("/app", 1)
    assert bench.offer(offer()) == []
    assert Decline([v1.OfferID("O-S0")], 1.0) in bench.turn(after=5.1)


# ── backoff ───────────────────────────────────────────────────────────────────────────────────────
def test_an_app_that_fails_takes_no_offers_for_a_while() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 1)
    bench.offer(offer())
    bench.become("Failed", bench.instances[0].id)
    (waiting,) = bench.core.state.launches.waiting_of("/app")
    assert waiting.delayed_until == bench.now + 1
    assert bench.offer(offer()) == []
    assert launched(bench.turn(after=1)) == [f"{bench.instances[0].id}._app.2"]
    bench.become("Failed", bench.instances[0].id)
    bench.turn(after=1)
    assert Revive(frozenset("*")) in bench.turn(after=0.15)


def test_a_reset_of_the_delay_launches_at_once() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 1)
    bench.offer(offer())
    bench.become("Failed", bench.instances[0].id)
    assert Revive(frozenset("*")) in bench.turn(launching.reset_delay, "/app", after=0.6)
    assert launched(bench.offer(offer()))
    with pytest.raises(Refused) as refused:
        bench.turn(launching.reset_delay, "/app")
    assert refused.value.status == 404


def test_a_delay_grows_and_is_forgotten() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 1)
    for expected in (1, 1.15, 1.15**2):
        bench.turn(after=5)
        bench.offer(offer())
        bench.become("Failed", bench.instances[0].id)
        assert bench.core.state.delays["/app"].length_s == pytest.approx(expected)
    bench.turn(after=309)
    assert "/app" in bench.core.state.delays
    bench.turn(after=2)
    assert "/app" not in bench.core.state.delays


def test_the_longest_delay_is_followed_by_the_longest() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 1)
    for _ in range(60):
        bench.turn(after=1)
        bench.offer(offer())
        bench.become("Failed", bench.instances[0].id)
        delay = bench.core.state.delays["/app"]
        bench.turn(after=delay.length_s)
    assert delay.length_s == 300


def test_progress_begins_the_delay_anew() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 2)
    bench.offer(offer())
    first, second = [one.id for one in bench.instances]
    bench.become("Failed", first)
    bench.now += 0.5
    bench.become("Running", second)
    assert bench.core.state.delays["/app"].until == bench.now + 1


def test_a_new_configuration_knows_no_delay() -> None:
    bench = Bench(SMALL)
    spec = bench.core.state.root.apps["/app"]
    bench.turn(backoff.failed, spec)
    changed = versioned(SMALL, "2026-01-02T00:00:00.000Z")
    bench.define(changed)
    bench.want("/app", 1)
    assert launched(bench.offer(offer()))


# ── what the master is told ───────────────────────────────────────────────────────────────────────
def test_roles_are_told_and_offers_asked_for() -> None:
    bench = Bench(replace(SMALL, role="web"))
    effects = bench.want("/app", 1)
    assert Revive(frozenset({"web"})) in effects
    assert bench.core.state.launches.roles == {"*", "web"}


def test_the_roles_are_told_before_anything_else() -> None:
    core = Core(Config(), seed=1)
    core.state.root = Root(apps={"/app": versioned(replace(SMALL, role="web"))})
    core.begin(NOW)
    launching.subscribed(core)
    assert core.end() == [UseRoles(frozenset({"*", "web"}), frozenset())]


def test_a_revival_is_repeated_once_if_nothing_came_of_it() -> None:
    bench = Bench(SMALL)
    assert Revive(frozenset("*")) in bench.want("/app", 1)
    assert bench.turn(after=5) == [Revive(frozenset("*"))]
    assert bench.turn(after=5) == []
    assert bench.turn(after=100) == []


def test_revivals_are_rare() -> None:
    bench = Bench(*(replace(SMALL, id=f"/app{number}") for number in range(100)))
    revivals = 0
    for number in range(100):
        revivals += len(of_type(bench.want(f"/app{number}", 1), Revive))
        revivals += len(of_type(bench.turn(after=1), Revive))
    assert 100 / 5 <= revivals <= 100 / 5 + 3


def test_what_is_left_of_offers_is_awaited_before_others_are_asked_for() -> None:
    bench = Bench(SMALL, replace(SMALL, id="/other"))
    bench.want("/app", 1)
    bench.offer(offer())
    assert not of_type(bench.turn(life.schedule, bench.core.state.root.apps["/other"], 1, after=0.1), Revive)
    assert Revive(frozenset("*")) in bench.turn(after=0.5)


def test_a_role_with_nothing_to_launch_is_suppressed_after_a_while() -> None:
    bench = Bench(SMALL)
    bench.want("/app", 1)
    assert not of_type(bench.offer(offer()), Suppress)
    assert bench.turn(after=4) == []
    assert bench.turn(after=1.1) == [Suppress(frozenset("*"))]
    assert bench.turn(after=100) == []
    assert Revive(frozenset("*")) in bench.want("/app", 1)


def test_unless_the_operator_does_not_want_that() -> None:
    bench = Bench(SMALL, config=Config(suppress_offers=False))
    bench.want("/app", 1)
    bench.offer(offer())
    assert not of_type(bench.turn(after=10), Suppress)


# ── reasons ───────────────────────────────────────────────────────────────────────────────────────
def test_why_nothing_was_found_is_kept() -> None:
    bench = Bench(replace(SMALL, cpus=8, constraints=(("rack", "IS", "a"),)))
    bench.want("/app", 2)
    bench.offer(
        offer(agent="S0", attributes="rack:a"),
        offer(agent="S1", attributes="rack:b"),
        offer(agent="S2", attributes="rack:b"),
    )
    bench.offer(offer(agent="S2", attributes="rack:b", id="O2"), after=2)
    (waiting,) = bench.core.state.launches.waiting_of("/app")
    assert (waiting.count, waiting.processed, waiting.unused) == (2, 4, 4)
    latest = {row["reason"]: (row["declined"], row["processed"]) for row in waiting.summary_of_latest}
    assert len(latest) == 10
    assert latest["UnfulfilledRole"] == (0, 3)
    assert latest["UnfulfilledConstraint"] == (2, 3)
    assert latest["InsufficientCpus"] == (1, 1)
    assert latest["DeclinedScarceResources"] == (0, 0)
    attempt = {row["reason"]: (row["declined"], row["processed"]) for row in waiting.summary_of_attempt}
    assert attempt["UnfulfilledConstraint"] == (3, 4)
    assert list(waiting.explanations()) == [
        ("UnfulfilledConstraint", 2, "host-S2", "constraint 'rack IS a': it is b"),
        ("InsufficientCpus", 1, "host-S0", "8 cpus needed, 4 offered: 4 missing"),
    ]
    assert sorted(waiting.last_unused) == ["S0", "S1", "S2"]


def test_a_round_over_many_offers_goes_on_for_several_turns() -> None:
    bench = Bench(*(replace(SMALL, id=f"/app{number}", cpus=64) for number in range(20)))
    for number in range(20):
        bench.want(f"/app{number}", 1)
    assert bench.offer(*(offer(agent=f"S{number}") for number in range(1000))) == []
    effects = []
    for _ in range(20):
        effects += of_type(bench.turn(after=0.001), Decline)
    assert not effects  # somebody else may want them yet
    (decline,) = of_type(bench.turn(after=1), Decline)
    assert isinstance(decline, Decline)
    assert len(decline.offer_ids) == 1000
    assert all(waiting.processed == 1000 for waiting in bench.core.state.launches.waiting())
