"""Who goes when there are too many."""

from __future__ import annotations

import pytest

from koinon.marathon.core.selection import choose
from koinon.marathon.model import App, Instance
from koinon.marathon.model.records import AgentInfo


def instance(name: str, condition: str = "Running", since: str = "2026", rack: str = "r0") -> Instance:
    return Instance(
        id=name,
        run_spec="/a",
        version="v",
        condition=condition,  # type: ignore[arg-type]
        since=since,
        agent=AgentInfo("S0", "host", {"rack": rack}),
    )


def chosen(
    instances: list[Instance], number: int, app: App | None = None, named: tuple[str, ...] = ()
) -> str:
    return "".join(one.id for one in choose(instances, number, app or App("/a"), named))


def test_least_useful_first() -> None:
    all_of_them = [
        instance("a"),
        instance("b", "Starting"),
        instance("c", "Staging"),
        instance("d", "Unreachable"),
        instance("e", "Scheduled"),
    ]
    assert chosen(all_of_them, 5) == "edcba"


@pytest.mark.parametrize(("selection", "expected"), [("YOUNGEST_FIRST", "bca"), ("OLDEST_FIRST", "acb")])
def test_age(selection: str, expected: str) -> None:
    ages = [instance("a", since="2024"), instance("b", since="2026"), instance("c", since="2025")]
    assert chosen(ages, 3, App("/a", kill_selection=selection)) == expected  # type: ignore[arg-type]


def test_named_ones_first() -> None:
    assert chosen([instance("a"), instance("b", "Staging"), instance("c")], 2, named=("a",)) == "ab"


def test_groups_stay_even() -> None:
    racks = [instance(f"{n}", rack=rack) for n, rack in enumerate(("r0", "r0", "r0", "r0", "r1", "r1"))]
    left = {one.id for one in racks} - set(chosen(racks, 3, App("/a", constraints=(("rack", "GROUP_BY"),))))
    assert sorted(one.agent.attributes["rack"] for one in racks if one.id in left and one.agent) in (
        ["r0", "r0", "r1"],
        ["r0", "r1", "r1"],
    )


def test_no_more_than_there_are() -> None:
    assert chosen([instance("a")], 5, App("/a", constraints=(("rack", "GROUP_BY"),))) == "a"
