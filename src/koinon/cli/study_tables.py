"""What `koinon simulate` shows: a report as tables, or several cases beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from koinon.cli.output import Column, Cut, Record, show, text
from koinon.simulator.study.report import QUANTILES, Report
from koinon.simulator.study.units import size_text, time_text


def show_report(file: str, report: Report) -> None:
    """One case."""
    _head(file, report)
    tasks = report.tasks
    parts = {
        "finished": tasks.finished,
        "running": tasks.running,
        "on their way": tasks.launched,
        "waiting": tasks.waiting,
    }
    told = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
    lost = f"; {tasks.lost:,} launches lost" if tasks.lost else ""
    failures = f", {report.agent_failures:,} failures of agents" if report.agent_failures else ""
    print(f"{tasks.arrived:,} tasks: {told}{lost}{failures}")
    print()
    used = (
        text("RESOURCE", "name"),
        _right("HAS", "has"),
        _right("MEAN USE", "mean"),
        _right("MAX USE", "max"),
    )
    show(list(_resources(report)), used, as_json=False)
    print()
    shares = (
        text("ROLE", "name"),
        _right("WEIGHT", "weight"),
        _right("MEAN SHARE", "mean_share"),
        _right("MAX SHARE", "max_share"),
        *_WAITING,
    )
    show(list(_roles(report)), shares, as_json=False)
    print()
    frameworks = (text("FRAMEWORK", "name"), text("ROLE", "role"), *_PROGRESS, *_WAITING)
    show(list(_frameworks(report)), frameworks, as_json=False)
    _foot(report)


def show_comparison(file: str, reports: Mapping[str, Report]) -> None:
    """All cases. The first is the file as it is, the others are what-ifs, named by what they change."""
    _head(file, next(iter(reports.values())))
    print()
    cases = {name: f"what-if {number}" if number else name for number, name in enumerate(reports)}
    resources = list(dict.fromkeys(name for report in reports.values() for name in report.resources))
    case = text("CASE", "case")
    used = (case, _right("AGENTS", "agents"), *(_right(name.upper(), name) for name in resources), _CHANGE)
    show(
        [
            {
                "case": cases[name],
                "agents": f"{report.agents:,}",
                **{resource: _percent(one.mean) for resource, one in report.resources.items()},
                "change": " " if cases[name] == name else name,
            }
            for name, report in reports.items()
        ],
        used,
        as_json=False,
    )
    print()
    named = {cases[name]: report for name, report in reports.items()}
    roles = (
        text("ROLE", "name"),
        case,
        _right("WEIGHT", "weight"),
        _right("MEAN SHARE", "mean_share"),
        *_WAITING,
    )
    show(_by_case(named, _roles), roles, as_json=False)
    print()
    frameworks = (text("FRAMEWORK", "name"), case, *_PROGRESS, *_WAITING)
    show(_by_case(named, _frameworks), frameworks, as_json=False)
    _foot(*reports.values())


def _head(file: str, report: Report) -> None:
    warm = f" (waiting times: of tasks after {time_text(report.warm_up_s)})" if report.warm_up_s else ""
    print(f"{file}: {report.agents:,} agents for {time_text(report.length_s)}{warm}, seed {report.seed}")


def _foot(*reports: Report) -> None:
    if any(one.waiting.at_least for report in reports for one in report.frameworks.values()):
        print("\n≥ at least so long: of tasks that still waited at the end nobody knows more")


# ── columns and records ───────────────────────────────────────────────────────────────────────────
def _right(title: str, key: str) -> Column:
    return Column(title, lambda record: record.get(key, ""), right=True)


_CHANGE = text("CHANGE", "change", cut=Cut.END)
_PROGRESS = tuple(_right(name.upper(), name) for name in ("tasks", "finished", "running", "waiting", "lost"))
_WAITING = tuple(_right(name.upper(), name) for name in QUANTILES)


def _by_case(
    reports: Mapping[str, Report], records_of: Callable[[Report], Iterator[Record]]
) -> Sequence[Record]:
    """The records of all cases, those with the same name beside each other; the name stands once."""
    found: dict[str, list[Record]] = {}
    for case, report in reports.items():
        for record in records_of(report):
            same = found.setdefault(record["name"], [])
            same.append({**record, "case": case, "name": record["name"] if not same else " "})
    return [record for same in found.values() for record in same]


def _resources(report: Report) -> Iterator[Record]:
    for name, one in report.resources.items():
        has = size_text(one.has) if name in ("mem", "disk") else f"{one.has:,g}"
        yield {"name": name, "has": has, "mean": _percent(one.mean), "max": _percent(one.max)}


def _roles(report: Report) -> Iterator[Record]:
    for name, role in report.roles.items():
        yield {
            "name": name,
            "weight": f"{role.weight:g}",
            "mean_share": _percent(role.share_mean),
            "max_share": _percent(role.share_max),
            **role.waiting.texts(),
        }


def _frameworks(report: Report) -> Iterator[Record]:
    for name, framework in report.frameworks.items():
        tasks = framework.tasks
        yield {
            "name": name,
            "role": framework.role,
            "tasks": f"{tasks.arrived:,}",
            "finished": f"{tasks.finished:,}",
            "running": f"{tasks.running:,}",
            "waiting": f"{tasks.waiting + tasks.launched:,}",
            "lost": f"{tasks.lost:,}",
            **framework.waiting.texts(),
        }
        if len(framework.workloads) > 1:
            for workload, waiting in framework.workloads.items():
                yield {"name": f"  {workload}", "role": " ", **waiting.texts()}


def _percent(part: float) -> str:
    return f"{100 * part:.0f}%"
