"""Clusters in virtual time: what waits, runs, fails and is shared, and the laws that always hold."""

import gc
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.simulator.study.cluster import Cluster
from koinon.simulator.study.description import (
    Amounts,
    AtOnce,
    Constant,
    Exponential,
    Failures,
    Framework,
    Group,
    Lognormal,
    Periodic,
    Poisson,
    Study,
)
from koinon.simulator.study.report import make_report, to_json, waits_by
from tests.unit.study.studies import (
    ONE,
    amounts,
    framework,
    group,
    obey_laws,
    simulated,
    study,
    waited_s,
    workload,
)


def report_of(cluster):
    return make_report(cluster, waits_by(cluster))


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────
def test_on_an_idle_cluster_a_task_waits_for_four_messages():
    # REVIVE, OFFERS, ACCEPT, RunTask, a millisecond each.
    cluster = simulated(study(framework(workload(AtOnce(1, 10)))))
    assert waited_s(cluster) == [0.004]
    assert report_of(cluster).tasks.finished == 1


def test_a_framework_revives_no_more_often_than_it_says():
    one = workload(Periodic(1, first_s=10, tasks=1), duration=Constant(0.1))
    cluster = simulated(study(framework(one, revive_s=3.0), length_s=15.5))
    # It revives at 10, 13 and 16; who comes in between waits for the next time.
    assert waited_s(cluster) == [0.004, 2.004, 1.004, 0.004]


def test_when_all_is_full_tasks_wait_for_others_to_end_and_in_the_order_of_arrival():
    first = workload(AtOnce(4), duration=Constant(100), name="first")
    second = workload(AtOnce(4, 10), duration=Constant(100), name="second")
    cluster = simulated(study(framework(first, second)), steps=10)
    assert waited_s(cluster, "f", "second") == pytest.approx([90] * 4, abs=0.1)
    assert cluster.measures.mean_used()[0] == pytest.approx(200 / 600, abs=0.001)


def test_what_does_not_fit_waits_until_enough_is_free_on_one_agent():
    small = workload(AtOnce(3), amounts(cpus=1), Constant(60), name="small")
    big = workload(AtOnce(1, 10), amounts(cpus=3), Constant(60), name="big")
    cluster = simulated(study(framework(small, big, refuse_s=3600.0)))
    (waited,) = waited_s(cluster, "f", "big")
    assert waited == pytest.approx(50, abs=0.1)


def test_a_task_of_another_kind_finds_what_was_declined_for_the_first():
    big = workload(AtOnce(2), amounts(cpus=3), Constant(500), name="big")
    small = workload(AtOnce(1, 60.5), amounts(cpus=1), Constant(60), name="small")
    cluster = simulated(study(framework(big, small, refuse_s=3600.0)))
    assert waited_s(cluster, "f", "small") == [0.004]


def test_constraints_and_gpus_decide_where_tasks_run():
    groups = (
        group("a", attributes={"rack": "a"}),
        group("b", attributes={"rack": "b"}),
        Group("g", 1, amounts(cpus=4, mem=4000, gpus=2), {"rack": "a"}),
    )
    bound = workload(AtOnce(9), duration=Constant(1e6), constraints={"rack": ("a", "c")})
    trained = workload(AtOnce(3), amounts(cpus=1, gpus=1), Constant(1e6))
    cluster = simulated(study(framework(bound), framework(trained, name="g", role="g"), groups=groups))
    hosts = {
        one.info.name: sorted(
            cluster.master.state.agents[task.agent_id].hostname for task in one.tasks.values()
        )
        for one in cluster.master.state.frameworks.values()
    }
    assert hosts == {"f": ["a-0"] * 4, "g": ["g-0"] * 2}


def test_what_came_before_the_warm_up_is_over_counts_in_no_wait():
    cluster = simulated(study(framework(workload(Periodic(100))), warm_up_s=250))
    assert len(waited_s(cluster)) == 3
    assert report_of(cluster).tasks.arrived == 6


def test_tasks_that_still_wait_are_told_as_lower_bounds():
    cluster = simulated(study(framework(workload(AtOnce(8), duration=Constant(1e6)))))
    waiting = report_of(cluster).frameworks["f"].waiting
    assert (waiting.tasks, waiting.started) == (8, 4)
    assert waiting.p50_s == pytest.approx(0.014, abs=0.02)
    assert waiting.p90_s == 600
    assert waiting.at_least == ["mean", "p90", "p99", "max"]


# ── failures ────────────────────────────────────────────────────────────────────────────────────────
def failing(every_s, repair_s, **more):
    groups = (group(count=4, failures=Failures(every_s, repair_s)), group("solid", 4))
    one = workload(AtOnce(16), duration=Constant(300))
    return study(framework(one), groups=groups, length_s=3600, **more)


def test_tasks_of_an_agent_that_fails_run_again_when_the_master_has_missed_its_pings():
    cluster = simulated(failing(600.0, 1e6), steps=30)
    (tasks,) = cluster.measures.tasks.values()
    assert cluster.measures.failures > 0
    assert tasks.lost > 0
    assert tasks.finished == tasks.started == 16
    assert len(cluster.master.state.unreachable_agents) == cluster.measures.failures
    assert cluster.measures.agents_up == 8 - cluster.measures.failures


def test_tasks_are_missed_as_well_when_the_agent_is_back_before_it_is_given_up():
    cluster = simulated(failing(200.0, 10.0), steps=30)
    (tasks,) = cluster.measures.tasks.values()
    assert cluster.measures.failures > 10
    assert tasks.lost > 0
    assert tasks.finished == 16
    assert cluster.master.state.counters["slave_removals"] == 0


def test_pings_decide_how_soon_tasks_run_again():
    def ended_s(**master):
        series = simulated(failing(600.0, 1e6, sample_s=1.0, **master)).measures.series
        return max(
            time_s for time_s, running in zip(series.time_s, series.running["f"], strict=True) if running
        )

    assert ended_s(agent_ping_timeout_s=2.0) < ended_s(agent_ping_timeout_s=60.0) - 60


def test_more_agents_do_not_change_when_the_others_fail():
    def failed_at_s(count):
        given = study(groups=(group(count=count, failures=Failures(600.0, 60.0)),), length_s=600)
        cluster = Cluster(given)
        times = {}
        for second in range(1, 601):
            cluster.run(second)
            for at, agent in enumerate(cluster.agents[:5]):
                if not agent.up:
                    times.setdefault(at, second)
        return times

    assert failed_at_s(5) == failed_at_s(9) != {}


# ── shares ──────────────────────────────────────────────────────────────────────────────────────────
def greedy(name, task, mean_s=60.0):
    return framework(workload(AtOnce(20_000), task, Exponential(mean_s)), name=name, role=name, refuse_s=5.0)


def test_the_paper_s_example_ends_with_three_tasks_to_two_and_equal_dominant_shares():
    """Two roles, tasks of <1 CPU, 4 GB> and <3 CPUs, 1 GB>, on machines that have 9 CPUs for each 18 GB."""
    machines = (group(count=5, cpus=20 * 9, mem=20 * 18 * 1024),)
    frameworks = greedy("a", amounts(1, 4096)), greedy("b", amounts(3, 1024))
    cluster = simulated(study(*frameworks, groups=machines, length_s=1200, sample_s=10.0))
    running, shares = cluster.measures.series.running, cluster.measures.series.shares
    assert fmean(running["a"][60:]) == pytest.approx(300, rel=0.02)
    assert fmean(running["b"][60:]) == pytest.approx(200, rel=0.02)
    for points in shares.values():
        assert fmean(points[60:]) == pytest.approx(2 / 3, abs=0.015)


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_roles_share_by_their_weights(weight):
    frameworks = greedy("a", ONE, 30.0), greedy("b", ONE, 30.0)
    given = study(*frameworks, groups=(group(count=10),), length_s=1200, sample_s=10.0, weights={"a": weight})
    shares = simulated(given).measures.series.shares
    a, b = fmean(shares["a"][60:]), fmean(shares["b"][60:])
    assert a + b == pytest.approx(1, abs=0.01)
    assert a / b == pytest.approx(weight, rel=0.05)


def test_shares_of_roles_are_those_of_the_allocator_and_count_what_is_below():
    frameworks = [
        framework(workload(AtOnce(tasks), duration=Constant(1e6)), name=name, role=role)
        for name, role, tasks in (("a", "eng/a", 2), ("b", "eng/b", 3), ("c", "ops", 1))
    ]
    cluster = simulated(study(*frameworks, groups=(group(count=4),)))
    shares = {role: points[-1] for role, points in cluster.measures.series.shares.items()}
    assert shares == {"eng": 5 / 16, "eng/a": 2 / 16, "eng/b": 3 / 16, "ops": 1 / 16}
    assert cluster.master.allocator.shares() == pytest.approx(shares)


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────
def test_when_all_work_is_done_nothing_is_left_of_it():
    one = workload(Poisson(1.0), duration=Exponential(30))
    short = Study(groups=(group(count=4),), frameworks=(framework(one),), length_s=600, sample_s=10.0)
    cluster = simulated(short)
    cluster.run(3600)
    obey_laws(cluster)
    (record,) = cluster.master.state.frameworks.values()
    assert not record.tasks
    assert not record.offers
    assert not cluster.frameworks[0].launched
    assert not any(cluster.master.allocator.allocated.values())
    (tasks,) = cluster.measures.tasks.values()
    assert tasks.arrived == tasks.started == tasks.finished > 500


def test_a_running_study_leaves_no_garbage_that_only_a_collection_would_find():
    # The command turns collections off.
    one = workload(Poisson(5.0), duration=Exponential(3))
    cluster = Cluster(study(framework(one), groups=(group(count=4, failures=Failures(100, 10)),)))
    cluster.run(60)
    gc.collect()
    cluster.run(600)
    assert gc.collect() < 20


_TASK = st.builds(amounts, cpus=st.sampled_from((0.5, 1, 3)), mem=st.sampled_from((100, 1000)), gpus=st.sampled_from((0, 0, 1)))  # fmt: skip
_ARRIVALS = st.one_of(
    st.builds(Poisson, st.floats(0.01, 1), st.integers(1, 5)),
    st.builds(Periodic, st.floats(5, 100), st.floats(0, 50), st.integers(1, 20)),
    st.builds(AtOnce, st.integers(1, 40), st.floats(0, 100)),
)
_DURATIONS = st.one_of(
    st.builds(Constant, st.floats(0, 100)),
    st.builds(Exponential, st.floats(0.1, 100)),
    st.builds(Lognormal, st.floats(1, 10), st.floats(10, 1000)),
)


@st.composite
def _studies(draw):
    groups = [
        Group(
            f"g{at}",
            draw(st.integers(1, 4)),
            amounts(cpus=draw(st.integers(1, 8)), mem=4000, gpus=draw(st.sampled_from((0, 2)))),
            {"rack": draw(st.sampled_from("ab"))},
            draw(st.one_of(st.none(), st.builds(Failures, st.floats(20, 500), st.floats(1, 200)))),
        )
        for at in range(draw(st.integers(1, 3)))
    ]
    frameworks = [
        Framework(
            f"f{at}",
            draw(st.sampled_from(("a", "a/x", "b"))),
            tuple(
                workload(
                    draw(_ARRIVALS),
                    draw(_TASK),
                    draw(_DURATIONS),
                    name=f"w{number}",
                    constraints=draw(st.sampled_from(({}, {}, {"rack": ("a",)}))),
                )
                for number in range(draw(st.integers(1, 3)))
            ),
            draw(st.sampled_from((0.0, 5.0, 120.0))),
            draw(st.sampled_from((0.0, 5.0))),
        )
        for at in range(draw(st.integers(1, 3)))
    ]
    return study(
        *frameworks,
        groups=tuple(groups),
        length_s=300,
        seed=draw(st.integers(0, 2**63)),
        weights={"a": draw(st.sampled_from((1.0, 2.5)))},
    )


@settings(max_examples=25)
@given(_studies())
def test_the_laws_hold_whatever_comes_and_fails(given_study):
    cluster = simulated(given_study, steps=12)
    # What is said in the end adds up as well.
    report = report_of(cluster)
    tasks = report.tasks
    assert tasks.arrived == tasks.finished + tasks.running + tasks.launched + tasks.waiting
    assert all(0 <= one.mean <= 1 and 0 <= one.max <= 1 for one in report.resources.values())
    for one in report.frameworks.values():
        quantiles = [one.waiting.p50_s, one.waiting.p90_s, one.waiting.p99_s, one.waiting.max_s]
        assert quantiles == [None] * 4 or quantiles == sorted(quantiles)


# ── determinism ─────────────────────────────────────────────────────────────────────────────────────
def _everything(given_study, steps=1):
    cluster = simulated(given_study, steps=steps)
    waits = {key: tasks.waits_s.tobytes() for key, tasks in cluster.measures.tasks.items()}
    return to_json(report_of(cluster)), cluster.measures.series, waits


def test_the_same_seed_gives_the_same_result_however_often_one_looks_and_another_seed_another():
    groups = (group(count=8, failures=Failures(300, 100)),)
    one = framework(workload(Poisson(1.0), duration=Lognormal(10, 200)))
    first = _everything(study(one, groups=groups))
    assert _everything(study(one, groups=groups), steps=7) == first
    assert _everything(study(one, groups=groups, seed=2)) != first


def test_amounts_are_added_as_numbers():
    assert Amounts(1, 2).fits(Amounts(1, 2))
    assert not Amounts(1, 2).fits(Amounts(1, 1, 9, 9))
    assert Amounts(1500, 0, 0, 1000).text() == "cpus:1.5;gpus:1"
