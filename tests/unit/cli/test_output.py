"""Tables are aligned when piped and fitted on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.cli.output import Cut, aligned, fitted, number, short_duration, text

COLUMNS = [text("ID", "id", cut=Cut.BEGIN), text("NAME", "name", cut=Cut.END), text("STATE", "state")]


def test_columns_are_aligned_and_numbers_stand_to_the_right() -> None:
    records = [{"id": "a", "cpus": 0.1}, {"id": "long", "cpus": 12.0}, {"id": "", "cpus": None}]
    assert aligned(records, [text("ID", "id"), number("CPUS", "cpus")]) == (
        "ID    CPUS\n"
        "a      0.1\n"
        "long    12\n"
        "-        -\n"
    )  # fmt: skip


def test_ids_lose_their_begin_and_names_their_end() -> None:
    row = ["0123456789abcdef", "a-rather-long-name", "RUNNING"]
    ((shown_id, name, state),) = fitted([row], COLUMNS, 31)
    assert (shown_id[0], shown_id[-3:], name[:3], name[-1], state) == ("…", "def", "a-r", "…", "RUNNING")
    assert len(shown_id) + len(name) + len(state) + 4 == 31


def test_what_must_not_be_cut_is_left_even_if_it_does_not_fit() -> None:
    row = ["0123456789abcdef", "a-rather-long-name", "RUNNING"]
    assert fitted([row], COLUMNS, 5)[0][2] == "RUNNING"


@given(
    st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1), st.integers(min_value=40, max_value=200)
)
def test_fitting_keeps_every_cell_that_fits_anyway(rows: list[tuple[str, str, str]], width: int) -> None:
    cells = [list(row) for row in rows]
    if sum(max(len(row[at]) for row in cells) for at in range(3)) + 4 <= width:
        assert fitted(cells, COLUMNS, width) == cells


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0s"), (119, "119s"), (120, "2m"), (7199, "120m"), (7200, "2h"), (3 * 86400, "3d")],
)
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert short_duration(seconds) == shown
