"""Traces: tasks as they came once, a line of CSV for each.

    arrival,duration,cpus,mem
    0,120,1,512
    3.5,2m,0.5,1GB

`arrival` counts from the begin of the study. What has no column, or nothing in it, is as the workload says for all. Other
columns are passed over. Times without a unit are seconds, sizes MB.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Callable, Iterator

from koinon.simulator.study.description import NAMES, Amounts, Trace
from koinon.simulator.study.units import parse_size_mb, parse_time_s

#: More problems of one trace are only counted.
_TOLD_MAX = 10


def read_trace(file: str, text: str, otherwise: Amounts, *, with_durations: bool) -> tuple[Trace, list[str]]:
    """The tasks, sorted by arrival, and sentences about what is wrong. Durations are read if they are wanted."""
    rows, problems = _rows(text, otherwise, with_durations)
    rows.sort(key=lambda row: row[0])
    kinds: dict[Amounts, int] = {}
    trace = Trace(
        file,
        array("d", (row[0] for row in rows)),
        array("d", (row[1] for row in rows) if with_durations else ()),
        array("l", (kinds.setdefault(row[2], len(kinds)) for row in rows)),
        [],
    )
    trace.kinds.extend(kinds)
    if len(problems) > _TOLD_MAX:
        problems[_TOLD_MAX:] = [f"and {len(problems) - _TOLD_MAX:,} problems more"]
    return trace, problems


_Row = tuple[float, float, Amounts]


def _rows(text: str, otherwise: Amounts, with_durations: bool) -> tuple[list[_Row], list[str]]:
    lines = csv.DictReader(text.splitlines())
    columns = [name.strip() for name in lines.fieldnames or ()]
    lines.fieldnames = columns
    needed = ["arrival", *(["duration"] if with_durations else [])]
    problems = [f"it has no column '{name}'" for name in needed if name not in columns]
    problems += [f"it has the column '{name}' twice" for name in set(columns) if columns.count(name) > 1]
    if problems:
        return [], sorted(problems)
    rows = []
    readers = {"arrival": _time_s, **{name: _READERS[name] for name in NAMES if name in columns}}
    if with_durations:
        readers["duration"] = _time_s
    for line in _each(lines, problems):
        found: dict[str, float] = {}
        before = len(problems)
        for name, read in readers.items():
            cell = (line.get(name) or "").strip()
            if not cell and name in NAMES:
                continue
            try:
                found[name] = read(cell)
            except ValueError as error:
                problems.append(f"line {lines.line_num}, {name}: '{cell}' {error}")
                found[name] = 0.0
        amounts = Amounts(
            *(
                round(found[name] * 1000) if name in found else usual
                for name, usual in zip(NAMES, otherwise, strict=True)
            )
        )
        if not any(amounts) and len(problems) == before:
            problems.append(
                f"line {lines.line_num}: the task asks for nothing, and the workload says nothing else"
            )
        rows.append((found["arrival"], found.get("duration", 0.0), amounts))
    if not rows and not problems:
        problems.append("it has no tasks")
    return rows, problems


def _each(lines: csv.DictReader[str], problems: list[str]) -> Iterator[dict[str, str]]:
    try:
        yield from lines
    except csv.Error as error:
        problems.append(f"line {lines.line_num + 1}: this is not CSV: {error}")


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not (math.isfinite(value) and value >= 0):
        raise ValueError("must be a number that is not negative")
    return value


def _whole(text: str) -> float:
    value = _amount(text)
    if value != int(value):
        raise ValueError("must be a whole number")
    return value


def _or_number(parse: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return _amount(text)
        except ValueError:
            return parse(text)

    return read


_time_s = _or_number(parse_time_s)
_READERS: dict[str, Callable[[str], float]] = {
    "cpus": _amount,
    "mem": _or_number(parse_size_mb),
    "disk": _or_number(parse_size_mb),
    "gpus": _whole,
}
