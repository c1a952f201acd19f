"""Times, sizes and rates, as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.simulator.study.units import parse_rate_per_s, parse_size_mb, parse_time_s, size_text, time_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        (" 2 d ", 172800),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("10mins", 600),
        ("1hrs", 3600),
        ("2weeks", 1209600),
    ],
)
def test_times_are_read_in_all_usual_units(text, seconds):
    assert parse_time_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5x", "h", "1h x", "-5s", "1h-", "5 m s"])
def test_what_is_no_time_is_told_with_examples(text):
    with pytest.raises(ValueError, match="must be a time such as"):
        parse_time_s(text)


def test_sizes_are_powers_of_1024():
    assert parse_size_mb("512MB") == 512
    assert parse_size_mb("1.5GB") == 1536
    assert parse_size_mb("2 TB") == 2 * 1024**2
    for text in ("64", "64G", "GB", "-1GB"):
        with pytest.raises(ValueError, match="number of MB, or a size"):
            parse_size_mb(text)


def test_rates_name_their_time():
    assert parse_rate_per_s("10/s") == 10
    assert parse_rate_per_s("300/min") == 5
    assert parse_rate_per_s("7.2 / h") == pytest.approx(0.002)
    for text in ("10", "10/x", "/s", "ten/s"):
        with pytest.raises(ValueError, match="must be a rate"):
            parse_rate_per_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.004, "4ms"),
        (0.9994, "999ms"),
        (0.9996, "1s"),
        (82.44, "82.4s"),
        (1800, "30m"),
        (3600, "1h"),
        (9000, "2.5h"),
        (10 * 86400, "10d"),
        (4000 * 86400, "4,000d"),
    ],
)
def test_times_are_shown_with_three_digits(seconds, text):
    assert time_text(seconds) == text


def test_sizes_are_shown_in_the_largest_unit_that_fits():
    assert [size_text(size) for size in (512, 65536, 3.5 * 1024**2)] == ["512MB", "64GB", "3.5TB"]


@given(st.floats(0.001, 1e8))
def test_a_time_that_was_shown_reads_as_nearly_the_same(seconds):
    assert parse_time_s(time_text(seconds).replace(",", "")) == pytest.approx(seconds, rel=0.01)
