"""Tables for people, JSON for programs.

A listing is a list of records (dicts of plain values); columns say which of them a person sees, and how.
On a terminal rich draws the table; piped, columns are aligned with spaces and nothing is cut.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Record = dict[str, Any]


class Column(NamedTuple):
    """One column: its title, and the text of a record in it."""

    title: str
    text: Callable[[Record], str]
    right: bool = False
    #: Whether a narrow terminal may cut it.
    flexible: bool = False


def text(title: str, key: str, *, flexible: bool = False) -> Column:
    """The value under `key` as it is; `-` when there is none."""
    return Column(
        title, lambda record: str(record[key]) if record[key] not in (None, "") else "-", flexible=flexible
    )


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
    rows = [
        [column.title for column in columns],
        *([column.text(record) for column in columns] for record in records),
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _draw(records: Sequence[Record], columns: Sequence[Column]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis" if column.flexible else "fold",
        )
    for record in records:
        table.add_row(*(column.text(record) for column in columns))
    Console(markup=False, highlight=False).print(table)
