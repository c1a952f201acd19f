"""Traces: what a CSV file may hold."""

import pytest

from koinon.simulator.study.description import Amounts
from koinon.simulator.study.traces import read_trace

ONE = Amounts(1000, 512_000)


def trace_of(text, *, with_durations=True, otherwise=ONE):
    trace, problems = read_trace("t.csv", text, otherwise, with_durations=with_durations)
    assert problems == []
    return [
        (arrival_s, trace.duration_s[at] if with_durations else None, trace.kinds[trace.kind[at]])
        for at, arrival_s in enumerate(trace.arrival_s)
    ]


def test_rows_are_sorted_and_what_is_empty_or_has_no_column_is_as_the_workload_says():
    assert trace_of("arrival,duration,cpus,note\n30,1m,2,late\n0,2,,early\n10,0.5s,0.5,\n") == [
        (0, 2, ONE),
        (10, 0.5, Amounts(500, 512_000)),
        (30, 60, Amounts(2000, 512_000)),
    ]


def test_durations_are_read_only_if_they_are_wanted():
    assert trace_of("arrival\n1\n2\n", with_durations=False) == [(1, None, ONE), (2, None, ONE)]


def test_sizes_may_have_units_and_names_blanks_around_them():
    (row,) = trace_of(" arrival , duration,mem,disk,gpus\n0,1,2GB,100,1\n")
    assert row == (0, 1, Amounts(1000, 2_048_000, 100_000, 1000))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["it has no column 'arrival'", "it has no column 'duration'"]),
        ("arrival,duration\n", ["it has no tasks"]),
        ("arrival,duration,cpus,cpus\n0,1,1,1\n", ["it has the column 'cpus' twice"]),
        (
            "arrival,duration,cpus,mem,gpus\n-1,x,nan,1G,0.5\n1\n",
            [
                "line 2, arrival: '-1' must be a time such as 250ms, 90s, 5m, 1h30m or 2d",
                "line 2, cpus: 'nan' must be a number that is not negative",
                "line 2, mem: '1G' must be a number of MB, or a size such as 512MB, 64GB or 2TB",
                "line 2, gpus: '0.5' must be a whole number",
                "line 2, duration: 'x' must be a time such as 250ms, 90s, 5m, 1h30m or 2d",
                "line 3, duration: '' must be a time such as 250ms, 90s, 5m, 1h30m or 2d",
            ],
        ),
        (
            "arrival,duration,cpus,mem\n0,1,0,0\n",
            ["line 2: the task asks for nothing, and the workload says nothing else"],
        ),
        (
            f"arrival,duration\n0,1\n{'9' * 200_000},1\n",
            ["line 3: this is not CSV: field larger than field limit"],
        ),
        ("arrival,duration\n0,1\x00\n", ["line 2, duration: '1\x00' must be a time such as"]),
    ],
)
def test_what_is_wrong_is_told_by_line(text, told):
    _, problems = read_trace("t.csv", text, ONE, with_durations=True)
    assert len(problems) == len(told)
    for problem, begin in zip(problems, told, strict=True):
        assert problem.startswith(begin)


def test_of_many_problems_the_first_are_told_and_the_others_counted():
    text = "arrival,duration\n" + "x,1\n" * 50
    _, problems = read_trace("t.csv", text, ONE, with_durations=True)
    assert len(problems) == 11
    assert problems[-1] == "and 40 problems more"
