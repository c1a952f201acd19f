"""Pages that tools write from the code are as the tools write them."""

from pathlib import Path

import pytest

from docs import make_diagrams, make_fields, make_reference
from koinon.master.core.tables import OFFER_MOVES

PAGES = {**make_diagrams.pages(), **make_reference.pages(), **make_fields.pages()}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_committed_page_is_what_its_tool_writes(path: Path) -> None:
    assert path.read_text() == PAGES[path], "run `make docs`"


def test_states_with_the_same_ways_in_and_out_share_a_box() -> None:
    assert make_diagrams.diagram(OFFER_MOVES).splitlines() == [
        "stateDiagram-v2",
        '    state "OUTSTANDING" as outstanding',
        '    state "ACCEPTED<br/>DECLINED<br/>RESCINDED<br/>DISCARDED" as accepted',
        "    [*] --> outstanding",
        "    outstanding --> accepted",
        "    accepted --> [*]",
    ]
