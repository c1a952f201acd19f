"""Tables for people, JSON for programs.

A listing is a list of records (dicts of plain values); columns say which of them a person sees, and how.
On a terminal rich colours it and long cells are cut to fit; piped, nothing is cut.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

Record = dict[str, Any]

_GAP = 2
_CUT_MIN = 8
_STATE_STYLES = {
    **dict.fromkeys(("RUNNING", "ACTIVE"), "green"),
    **dict.fromkeys(("FAILED", "ERROR", "LOST", "DROPPED", "GONE", "UNREACHABLE", "DISCONNECTED"), "red"),
    **dict.fromkeys(
        (
            *("STAGING", "STARTING", "KILLING", "INACTIVE", "DEACTIVATED", "RECOVERED", "AWAITED"),
            *("DEPLOYING", "WAITING", "DELAYED"),
        ),
        "yellow",
    ),
    **dict.fromkeys(("FINISHED", "KILLED", "COMPLETED", "SUSPENDED"), "dim"),
}


class Cut(Enum):
    """What a narrow terminal may cut off a cell."""

    NOTHING = "nothing"
    BEGIN = "begin"  #: of ids, which differ at their ends
    END = "end"


class Column(NamedTuple):
    """One column: its title, and the text of a record in it."""

    title: str
    text: Callable[[Record], str]
    right: bool = False
    cut: Cut = Cut.NOTHING


def text(title: str, key: str, *, cut: Cut = Cut.NOTHING) -> Column:
    """The value under `key` as it is; `-` when there is none."""
    return Column(title, lambda record: str(record[key]) if record[key] not in (None, "") else "-", cut=cut)


def number(title: str, key: str) -> Column:
    """A number, without needless decimals, to the right."""
    return Column(title, lambda record: "-" if record[key] is None else f"{record[key]:.10g}", right=True)


def share(title: str, used: str, total: str) -> Column:
    """`used/total`, to the right."""
    return Column(title, lambda record: f"{record[used] or 0:.10g}/{record[total] or 0:.10g}", right=True)


def age(title: str, key: str) -> Column:
    """How long ago the time under `key` was (seconds since the epoch), as `3m`."""

    def since(record: Record) -> str:
        return "-" if not record[key] else short_duration(max(0.0, time.time() - record[key]))

    return Column(title, since, right=True)


def short_duration(duration_s: float) -> str:
    """`12s`, `3m`, `5h`, `2d`."""
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if duration_s >= 2 * unit_s:
            return f"{duration_s / unit_s:.0f}{unit}"
    return f"{duration_s:.0f}s"


def show(records: Sequence[Record], columns: Sequence[Column], *, as_json: bool) -> None:
    """Print the listing."""
    if as_json:
        show_json(records)
    elif sys.stdout.isatty():
        _draw(records, columns)
    else:
        sys.stdout.write(aligned(records, columns))


def show_json(value: Any) -> None:
    """Print `value` as JSON."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def aligned(records: Sequence[Record], columns: Sequence[Column]) -> str:
    """The table as plain text: a line of titles, a line for each record."""
    rows = _rows(records, columns)
    widths = _widths(rows)
    return "".join("  ".join(_aligned(row, widths, columns)).rstrip() + "\n" for row in rows)


def fitted(rows: Sequence[Sequence[str]], columns: Sequence[Column], width: int) -> list[list[str]]:
    """The rows, with cells of the columns that may be cut made short enough for `width`, if that can be."""
    widths = _widths(rows)
    excess = sum(widths) + _GAP * (len(widths) - 1) - width
    # The widest gives way first, a character at a time.
    while excess > 0:
        at = max(
            (
                at
                for at, column in enumerate(columns)
                if column.cut is not Cut.NOTHING and widths[at] > _CUT_MIN
            ),
            key=lambda at: widths[at],
            default=None,
        )
        if at is None:
            break
        widths[at] -= 1
        excess -= 1
    return [
        [_cut(cell, width, column.cut) for cell, width, column in zip(row, widths, columns, strict=True)]
        for row in rows
    ]


def _rows(records: Sequence[Record], columns: Sequence[Column]) -> list[list[str]]:
    return [
        [column.title for column in columns],
        *([column.text(record) for column in columns] for record in records),
    ]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(*rows, strict=True)]


def _aligned(row: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> list[str]:
    return [
        cell.rjust(width) if column.right else cell.ljust(width)
        for cell, width, column in zip(row, widths, columns, strict=True)
    ]


def _cut(cell: str, width: int, cut: Cut) -> str:
    if len(cell) <= width:
        return cell
    return "…" + cell[1 - width :] if cut is Cut.BEGIN else cell[: width - 1] + "…"


def _draw(records: Sequence[Record], columns: Sequence[Column]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    rows = fitted(_rows(records, columns), columns, console.width)
    widths = _widths(rows)
    for at, row in enumerate(rows):
        line = Text()
        for cell, shown, column in zip(row, _aligned(row, widths, columns), columns, strict=True):
            style = (
                "bold"
                if at == 0
                else _STATE_STYLES.get(cell, "")
                if column.title in ("STATE", "STATUS")
                else ""
            )
            line.append(shown, style).append(" " * _GAP)
        line.rstrip()
        console.print(line)
