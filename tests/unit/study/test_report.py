"""Reports: what is said about tasks that still wait, and the files."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.simulator.study.description import AtOnce, Constant, Poisson
from koinon.simulator.study.files import csv_files
from koinon.simulator.study.report import Waits, make_report, to_json, waits_by
from tests.unit.study.studies import framework, group, simulated, study, workload

TIMES = st.lists(st.floats(0, 1000).map(lambda value: round(value, 3)), max_size=40)


def test_without_open_waits_quantiles_are_those_of_the_tasks():
    waits = Waits([3.0, 1.0, 2.0, 4.0], [])
    assert [waits.quantile_s(part) for part in (0.25, 0.5, 0.51, 0.99, 1.0)] == [
        (1.0, True),
        (2.0, True),
        (3.0, True),
        (4.0, True),
        (4.0, True),
    ]
    assert waits.summary().mean_s == 2.5


def test_open_waits_count_for_as_long_as_they_are():
    # The textbook's example: three of ten are seen no longer than until 2, 3 and 5.
    waits = Waits([1, 2, 4, 4, 6, 7, 8], [2.5, 3, 5])
    assert waits.parts == pytest.approx(
        [0.1, 0.2, 1 - 0.8 * 5 / 6, 1 - 0.8 * 4 / 6, 0.6444, 0.8222, 1.0], abs=1e-4
    )
    assert waits.quantile_s(0.5) == (6, True)
    assert waits.quantile_s(1.0) == (8, False)
    assert waits.summary().at_least == ["mean", "max"]


def test_what_open_waits_leave_unknown_is_told_from_below():
    waits = Waits([1.0], [5.0, 6.0, 7.0])
    assert waits.quantile_s(0.2) == (1.0, True)
    assert waits.quantile_s(0.5) == (5.0, False)
    assert Waits([], [5.0]).summary().at_least == ["mean", "p50", "p90", "p99", "max"]
    assert Waits([], []).summary().texts() == dict.fromkeys(("p50", "p90", "p99", "max"), "-")
    assert waits.summary().texts() == {"p50": "≥5s", "p90": "≥7s", "p99": "≥7s", "max": "≥7s"}


@given(TIMES, TIMES)
def test_parts_grow_and_bounds_never_shrink(over_s, open_s):
    waits = Waits(over_s, open_s)
    assert waits.parts == sorted(waits.parts)
    assert all(0 < part <= 1 + 1e-9 for part in waits.parts)
    found = [waits.quantile_s(part)[0] for part in (0.1, 0.5, 0.9, 0.99, 1.0)]
    assert found == sorted(found)


@given(st.lists(st.floats(0.001, 1000), min_size=1))
def test_open_waits_that_have_only_begun_change_nothing(over_s):
    assert Waits(over_s, [0.0] * 5).parts == pytest.approx(Waits(over_s, []).parts)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def cluster():
    frameworks = (
        framework(workload(Poisson(0.2), duration=Constant(30)), name="web", role="eng/web"),
        framework(workload(AtOnce(20), duration=Constant(1e6)), name="batch", role="ops"),
    )
    return simulated(study(*frameworks, groups=(group(count=4),), warm_up_s=60))


def rows(text):
    return list(csv.DictReader(StringIO(text)))


def test_series_have_a_row_for_each_point_and_agree_with_each_other(cluster):
    files = csv_files(cluster, waits_by(cluster))
    assert list(files) == ["utilisation.csv", "shares.csv", "queues.csv", "waiting.csv"]
    used, shares, queues = (rows(files[name]) for name in ("utilisation.csv", "shares.csv", "queues.csv"))
    assert [row["time_s"] for row in used] == [str(60 * number) for number in range(11)]
    assert list(used[0]) == ["time_s", "cpus", "mem", "agents_up"]
    assert list(shares[0]) == ["time_s", "eng", "eng/web", "ops"]
    assert list(queues[0]) == ["time_s", "web waiting", "batch waiting", "web running", "batch running"]
    for use, share, queue in zip(used, shares, queues, strict=True):
        running = int(queue["web running"]) + int(queue["batch running"])
        assert float(use["cpus"]) == pytest.approx(running / 16)
        assert float(share["eng"]) + float(share["ops"]) == pytest.approx(float(use["cpus"]), abs=2e-6)
        assert use["agents_up"] == "4"


def test_waiting_is_told_by_framework_workload_and_role_and_not_where_it_is_unknown(cluster):
    parts = rows(csv_files(cluster, waits_by(cluster))["waiting.csv"])
    assert list(parts[0]) == [
        *("part", "framework web", "framework batch", "workload web/w", "workload batch/w"),
        *("role eng", "role eng/web", "role ops"),
    ]
    assert len(parts) == 101
    # All of batch came in the warm-up.
    assert {row["framework batch"] for row in parts} == {""}
    assert parts[50]["framework web"] == parts[50]["role eng"]


def test_the_report_names_everything_once(cluster):
    report = make_report(cluster, waits_by(cluster))
    assert (report.agents, report.agent_failures, report.length_s, report.warm_up_s) == (4, 0, 600, 60)
    assert list(report.resources) == ["cpus", "mem"]
    assert report.resources["cpus"].has == 16
    assert list(report.roles) == ["eng", "eng/web", "ops"]
    assert report.frameworks["batch"].tasks.waiting + report.frameworks["batch"].tasks.running == 20
    assert list(report.frameworks["web"].workloads) == ["w"]
    assert to_json(report).startswith(b'{\n  "seed": 1,\n  "length_s": 600.0,')
