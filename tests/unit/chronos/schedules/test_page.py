"""The examples of the page about schedules are what happens."""

import re
from pathlib import Path

import pytest

from koinon.chronos.schedules import read
from tests.unit.chronos.schedules.reckoning import at, dues

PAGE = Path(__file__).parents[4] / "docs/reference/schedules.md"
EXAMPLES = re.findall(r"^\| `([^`]+)` \| (?:`([^`]+)`)? ?\| (\d{4}-.+) \|$", PAGE.read_text(), re.MULTILINE)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 11


@pytest.mark.parametrize(("text", "zone", "expected"), EXAMPLES)
def test_examples(text: str, zone: str, expected: str) -> None:
    times = expected.split(", ")
    assert dues(read(text, zone, now=at("2030-01-02T00:00:30Z")), len(times)) == times
