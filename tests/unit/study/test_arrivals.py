"""When tasks come, and how long they run."""

from array import array
from itertools import pairwise
from math import log
from random import Random
from statistics import fmean, median, stdev

import pytest

from koinon.simulator.study.arrivals import arrivals, draw_s
from koinon.simulator.study.description import (
    Amounts,
    AtOnce,
    Constant,
    Exponential,
    Lognormal,
    Periodic,
    Poisson,
    Recorded,
    Trace,
)
from tests.unit.study.studies import ONE, workload

BIG = Amounts(8000)


def times(law, length_s, seed=1):
    return [one.at_s for one in arrivals(workload(law), seed, "f/w", length_s)]


def test_poisson_arrivals_come_at_their_rate_and_have_no_memory():
    found = times(Poisson(2.0), 20_000)
    gaps = [after - before for before, after in pairwise(found)]
    assert len(found) == pytest.approx(40_000, rel=0.02)
    assert fmean(gaps) == pytest.approx(0.5, rel=0.02)
    assert stdev(gaps) == pytest.approx(0.5, rel=0.03)


def test_periodic_arrivals_come_from_the_first_to_the_end_and_not_at_it():
    assert times(Periodic(10, first_s=5), 35) == [5, 15, 25]


def test_all_at_once_come_at_one_moment_if_it_lies_before_the_end():
    (only,) = arrivals(workload(AtOnce(3, 7)), 1, "f/w", 8)
    assert only == (7, [(ONE, 60.0)] * 3)
    assert times(AtOnce(3, 8), 8) == []


def test_rows_of_a_trace_with_the_same_time_come_together_and_as_they_were_recorded():
    trace = Trace(
        "t.csv", array("d", (0, 0, 4, 99)), array("d", (1, 2, 3, 4)), array("l", (0, 1, 0, 0)), [ONE, BIG]
    )
    assert list(arrivals(workload(trace, duration=Recorded()), 1, "f/w", 50)) == [
        (0, [(ONE, 1), (BIG, 2)]),
        (4, [(ONE, 3)]),
    ]
    drawn = list(arrivals(workload(trace, duration=Constant(9)), 1, "f/w", 50))
    assert [one.tasks[0][1] for one in drawn] == [9, 9]


def test_streams_depend_on_seed_and_name_only():
    def drawn(seed, name):
        found = arrivals(workload(Poisson(1.0), duration=Exponential(5)), seed, name, 100)
        return [(one.at_s, one.tasks) for one in found]

    assert drawn(1, "f/w") == drawn(1, "f/w")
    assert drawn(1, "f/w") != drawn(2, "f/w")
    assert drawn(1, "f/w") != drawn(1, "f/v")


def test_durations_follow_their_laws():
    random = Random(1)
    assert draw_s(Constant(3), random) == 3
    assert fmean(draw_s(Exponential(60), random) for _ in range(20_000)) == pytest.approx(60, rel=0.03)
    found = sorted(draw_s(Lognormal(60, 600), random) for _ in range(20_000))
    assert median(found) == pytest.approx(60, rel=0.03)
    assert log(found[19_800]) == pytest.approx(log(600), rel=0.02)
