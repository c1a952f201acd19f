"""Ids, delays and percentiles."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.chronos.model import Job, Percentiles, Run, ids


@given(
    st.from_regex(r"[A-Za-z0-9_.#-]([A-Za-z0-9_.# -]{0,8}[A-Za-z0-9_.#-])?", fullmatch=True),
    st.integers(0, 10**14),
    st.integers(0, 10**6),
)
def test_a_task_id_says_what_run_it_is_of(name: str, due_ms: int, attempt: int) -> None:
    assert ids.parse_task(Run(name, due_ms, attempt).id) == (name, due_ms, attempt, "")


def test_the_longest_name_makes_an_id_that_can_name_a_directory() -> None:
    assert len(ids.task_id("x" * ids.NAME_LENGTH_MAX, 10**15, 2**31)) <= 255


def test_ids_that_others_have_made_are_read() -> None:
    assert ids.parse_task("ct:5:1:a:--date=x:y") == ("a", 5, 1, "--date=x:y")
    assert ids.parse_task("ct:5:1:a") == ("a", 5, 1, "")


@pytest.mark.parametrize("text", ["", "ct:", "ct:x:0:a:", "ct:5:a:", "marathon.5", " ct:5:0:a:", "ct:٣:0:a:"])
def test_what_is_no_id_of_ours_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no task id"):
        ids.parse_task(text)


def test_a_retry_waits_longer_each_time_up_to_a_limit() -> None:
    job = Job("a", retry_backoff_factor=2.0, max_retry_delay_seconds=100.0)
    assert [job.retry_delay(attempt, 30.0) for attempt in range(4)] == [30.0, 60.0, 100.0, 100.0]
    assert job.retry_delay(10**9, 30.0) == 100.0


def test_a_retry_waits_as_long_as_its_job_says_and_never_less() -> None:
    assert Job("a", retry_delay_seconds=5.0).retry_delay(3, 30.0) == 5.0
    assert Job("a", retry_delay_seconds=0.0).retry_delay(0, 30.0) == 0.0
    assert Job("a").retry_delay(0, 7200.0) == 7200.0


def test_no_samples_make_percentiles_of_zero() -> None:
    assert Percentiles.of([]) == Percentiles()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_lie_in_order_within_the_samples(samples: list[float]) -> None:
    found = Percentiles.of(samples)
    ordered = [min(samples), found.median, found.p75, found.p95, found.p98, found.p99, max(samples)]
    assert all(low <= high + 1e-9 * high for low, high in pairwise(ordered))
    assert found.count == len(samples)
