"""From a document to a study: everything is checked, and all that is wrong is told at once.

    study = read_study(parse(text), read_file)         # raises Invalid

What the file may hold is in docs/how-to/simulate.md.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from koinon.mesos.names import role_problem
from koinon.simulator.study.clock import TICK_S
from koinon.simulator.study.description import (
    NAMES,
    Amounts,
    Arrivals,
    AtOnce,
    Constant,
    Duration,
    Exponential,
    Failures,
    Framework,
    Group,
    Lognormal,
    Periodic,
    Poisson,
    Recorded,
    Study,
    Trace,
    Workload,
    may_run_on,
)
from koinon.simulator.study.document import Invalid, Problem
from koinon.simulator.study.tables import Table, is_number
from koinon.simulator.study.traces import read_trace
from koinon.simulator.study.units import parse_rate_per_s, parse_size_mb, time_text

_AGENTS_MAX = 1_000_000
_TASKS_MAX = 10_000_000
_RATE_MAX_PER_S = 100_000
#: Time series have no more points than this, unless the file says how far apart they are.
_POINTS_MAX = 500
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)

#: Reads a file that the document names. Raises OSError or ValueError.
ReadFile = Callable[[str], str]


def read_study(document: Any, read_file: ReadFile) -> Study:
    """The study that the document describes. Raises Invalid."""
    problems: list[Problem] = []
    top = Table(problems, "", document)
    length_s = top.time_s("length")
    if problems:  # whatever else is there, it is not too late for this length
        length_s = inf
    warm_up_s = top.time_s("warm_up", 0.0, above_0=False)
    if warm_up_s >= length_s:
        top.wrong("warm_up", f"must be shorter than the length of {time_text(length_s)}")
    groups = _groups(top, problems)
    study = Study(
        seed=top.whole("seed", 1, most=2**63 - 1),
        length_s=length_s,
        warm_up_s=warm_up_s,
        sample_s=top.time_s("sample", _sample_s(length_s), least_s=TICK_S),
        groups=groups,
        weights=_weights(top),
        frameworks=_frameworks(top, problems, groups, length_s, read_file),
        **_master(top),
    )
    top.close()
    if problems:
        raise Invalid(problems)
    return study


def _sample_s(length_s: float) -> float:
    return float(next((step_s for step_s in _STEPS_S if length_s / step_s <= _POINTS_MAX), _STEPS_S[-1]))


# ── the cluster ───────────────────────────────────────────────────────────────────────────────────
def _groups(top: Table, problems: list[Problem]) -> tuple[Group, ...]:
    groups, before = [], len(problems)
    for name, table in top.tables("agents", "group of agents"):
        failures = None
        if (below := table.optional("failures")) is not None:
            failures = Failures(below.time_s("every"), below.time_s("repair"))
            below.close()
        attributes = table.texts("attributes")
        for attribute, values in attributes.items():
            if len(values) > 1:
                table.wrong(f"attributes.{attribute}", "must be one text: all agents of a group are alike")
        groups.append(
            Group(
                name,
                table.whole("count", least=1, most=_AGENTS_MAX),
                _amounts(table, "resources", needed=True),
                {attribute: values[0] for attribute, values in attributes.items()},
                failures,
            )
        )
        table.close()
    if sum(group.count for group in groups) > _AGENTS_MAX:
        top.wrong("agents", f"there are more than {_AGENTS_MAX:,} in all groups together")
    # What is said of tasks that fit nowhere means nothing while the agents are not known.
    return tuple(groups) if len(problems) == before else ()


def _amounts(table: Table, key: str, *, needed: bool) -> Amounts:
    below = table.table(key) if needed else table.optional(key)
    if below is None:
        return Amounts()
    readers = {"cpus": _plain, "mem": _size, "disk": _size, "gpus": _whole}
    found = Amounts(*(round(below.read(name, readers[name], 0.0, 0.0) * 1000) for name in NAMES))
    below.close()
    if not any(found) and table.has(key) and not any(below.has(name) for name in NAMES):
        below.wrong("", "names no resource")
    return found


def _plain(value: Any) -> float:
    if not (is_number(value) and 0 <= value <= 1e9):
        raise ValueError("must be a number that is not negative")
    return float(value)


def _whole(value: Any) -> float:
    if not (is_number(value) and value == int(value)):
        raise ValueError("must be a whole number")
    return _plain(value)


def _size(value: Any) -> float:
    return parse_size_mb(value) if isinstance(value, str) else _plain(value)


def _weights(top: Table) -> dict[str, float]:
    weights = {}
    for name, table in top.tables("roles", "role", needed=False):
        if (problem := role_problem(name)) is not None:
            table.wrong("", problem)
        weights[name] = table.positive("weight", 1.0)
        table.close()
    return weights


def _master(top: Table) -> dict[str, Any]:
    if (table := top.optional("master")) is None:
        return {}
    found = {
        "allocation_interval_s": table.time_s("allocation_interval", 1.0),
        "agent_ping_timeout_s": table.time_s("agent_ping_timeout", 15.0),
        "max_agent_ping_timeouts": table.whole("max_agent_ping_timeouts", 5, least=1, most=1000),
    }
    table.close()
    return found


# ── the work ──────────────────────────────────────────────────────────────────────────────────────
def _frameworks(
    top: Table, problems: list[Problem], groups: tuple[Group, ...], length_s: float, read_file: ReadFile
) -> tuple[Framework, ...]:
    frameworks = []
    for name, table in top.tables("frameworks", "framework"):
        role = table.text("role")
        if role != "-" and (problem := role_problem(role)) is not None:
            table.wrong("role", problem)
        workloads, before = [], len(problems)
        for workload_name, below in table.tables("workloads", "workload"):
            workloads.append(_workload(workload_name, below, length_s, read_file))
            below.close()
        if len(problems) == before:
            _check_room(table, workloads, groups)
        frameworks.append(
            Framework(
                name,
                role,
                tuple(workloads),
                table.time_s("refuse", 120.0, above_0=False),
                table.time_s("revive", 5.0, above_0=False),
            )
        )
        table.close()
    return tuple(frameworks)


def _workload(name: str, table: Table, length_s: float, read_file: ReadFile) -> Workload:
    task = _amounts(table, "task", needed=table.raw("arrivals", "kind") != "trace")
    duration = _duration(table.table("duration"))
    arrivals = _arrivals(table.table("arrivals"), task, duration, length_s, read_file)
    if isinstance(duration, Recorded) and not isinstance(arrivals, Trace):
        table.wrong("duration.kind", "can be 'trace' only if the arrivals are")
    return Workload(name, arrivals, duration, task, table.texts("constraints"))


def _duration(table: Table) -> Duration:
    found: Duration
    match table.choice("kind", ("constant", "exponential", "lognormal", "trace")):
        case "constant":
            found = Constant(table.time_s("value", above_0=False))
        case "exponential":
            found = Exponential(table.time_s("mean"))
        case "lognormal":
            found = Lognormal(table.time_s("median"), table.time_s("p99"))
            if table.has("median") and table.has("p99") and found.p99_s < found.median_s:
                table.wrong("p99", "must not be below the median")
        case "trace":
            found = Recorded()
        case _:
            return Constant(1.0)  # what else is there belongs to some other kind
    table.close()
    return found


def _arrivals(
    table: Table, task: Amounts, duration: Duration, length_s: float, read_file: ReadFile
) -> Arrivals:
    found: Arrivals
    match table.choice("kind", ("poisson", "periodic", "at_once", "trace")):
        case "poisson":
            found = Poisson(table.read("rate", _rate, None, 1.0), _tasks(table, 1))
        case "periodic":
            found = Periodic(
                table.time_s("every", least_s=TICK_S),
                table.time_s("first", 0.0, above_0=False),
                _tasks(table, 1),
            )
        case "at_once":
            found = AtOnce(_tasks(table, None), table.time_s("at", 0.0, above_0=False))
        case "trace":
            found = _trace(table, task, duration, length_s, read_file)
        case _:
            return AtOnce(1)
    table.close()
    return found


def _tasks(table: Table, default: int | None) -> int:
    return table.whole("tasks", default, least=1, most=_TASKS_MAX)


def _rate(value: Any) -> float:
    rate_per_s = parse_rate_per_s(value) if isinstance(value, str) else 0.0
    if not rate_per_s:
        raise ValueError("must be a rate above 0, such as 10/s, 300/min, 2.5/h or 40/d")
    if rate_per_s > _RATE_MAX_PER_S:
        raise ValueError(f"must not be above {_RATE_MAX_PER_S:,}/s")
    return rate_per_s


def _trace(table: Table, task: Amounts, duration: Duration, length_s: float, read_file: ReadFile) -> Trace:
    file, before = table.text("file"), len(table.problems)
    try:
        text = read_file(file) if table.has("file") else ""
    except (OSError, ValueError) as error:
        table.wrong("file", f"{file} cannot be read: {getattr(error, 'strerror', None) or error}")
    if not table.has("file") or len(table.problems) > before:
        text = "arrival,duration,cpus\n0,0,1\n"  # for the sake of what else may be wrong
    trace, sentences = read_trace(file, text, task, with_durations=isinstance(duration, Recorded))
    for sentence in sentences:
        table.wrong("file", f"{file}: {sentence}")
    if len(trace) and trace.arrival_s[0] >= length_s:
        first = time_text(trace.arrival_s[0])
        table.wrong(
            "file",
            f"{file}: its first task comes after {first}, when all is over; times count from the begin",
        )
    return trace


def _check_room(table: Table, workloads: list[Workload], groups: tuple[Group, ...]) -> None:
    """A task that fits on no agent would wait for ever."""
    # Agents with GPUs are offered only to frameworks that use them.
    needs_gpus = any(kind.gpus for workload in workloads for kind in workload.kinds())
    offered = [group for group in groups if needs_gpus or not group.resources.gpus]
    if groups and not offered:
        table.wrong("", "all agents have gpus, and are kept for frameworks that ask for some")
    for workload in workloads if offered else ():
        allowed = [group for group in offered if may_run_on(workload.constraints, group.attributes)]
        kinds, path = workload.kinds(), f"workloads.{workload.name}"
        homeless = [kind for kind in kinds if not any(kind.fits(group.resources) for group in allowed)]
        if not allowed:
            table.wrong(f"{path}.constraints", "no agents that are offered to it have such attributes")
        elif homeless:
            where = "arrivals.file" if isinstance(workload.arrivals, Trace) else "task"
            sentence = f"a task of '{homeless[0].text()}' fits on no agent{_more(len(homeless) - 1)}"
            table.wrong(f"{path}.{where}", sentence)


def _more(others: int) -> str:
    return f", nor do {others} others" if others > 1 else ", nor does another" if others else ""
