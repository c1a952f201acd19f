"""The page about faults is what was measured, and tells of every fault."""

from tests.partitions import table
from tests.partitions.faults import FAULTS


def test_the_page_is_what_was_measured() -> None:
    assert table.PAGE.read_text() == table.page(), "write it with `python -m tests.partitions --write`"


def test_every_fault_has_a_row() -> None:
    page = table.PAGE.read_text()
    assert [fault.name for fault in FAULTS if f"| {fault.name} |" not in page] == []
