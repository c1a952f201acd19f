"""`koinon simulate`: what would happen to this work on that cluster?

The file is read and checked, then each case runs: the file as it is, and once for each what-if. All cases have the same
tasks, so that they can be compared.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from koinon.cli.errors import Failure
from koinon.cli.options import json_option

if TYPE_CHECKING:
    from koinon.simulator.study.cluster import Cluster
    from koinon.simulator.study.description import Study
    from koinon.simulator.study.report import Report, WaitsBy

AS_IT_IS = "as it is"
#: The progress bar moves so often.
_STEPS = 200


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--what-if",
    "what_ifs",
    metavar="PATH=VALUE[,…]",
    multiple=True,
    help="Simulate this change of the file, too, and compare. Can be given several times.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write report.json, time series as CSV, and plots, in one folder for each case if there are several.",
)
@click.option(
    "--plots", type=click.Choice(("svg", "png", "none")), default="svg", help="Format of the plots [svg]."
)
@json_option
def simulate(file: Path, what_ifs: tuple[str, ...], out: Path | None, plots: str, as_json: bool) -> int:
    """Simulate a described workload on a described cluster.

    FILE (YAML, or JSON if its name ends in .json) has the agents, roles, frameworks and tasks. The real master's code
    offers resources to simulated frameworks; nothing runs. Shows what is used, how long tasks wait, and shares. The same
    file gives the same result.

    \b
        koinon simulate cluster.yaml --what-if agents.small.count=60
    """
    studies = _studies(file, what_ifs)
    reports: dict[str, Report] = {}
    for number, (case, study) in enumerate(studies.items()):
        directory = None
        if out is not None:
            directory = out if len(studies) == 1 else out / (f"what-if-{number}" if number else "as-it-is")
        reports[case] = _run(study, case, directory, plots)
    if out is not None and len(reports) > 1:
        with _writing():
            _write_comparison(reports, out, plots)
    _show(file, reports, as_json=as_json)
    return 0


# ── the file ──────────────────────────────────────────────────────────────────────────────────────
def _studies(file: Path, what_ifs: Sequence[str]) -> dict[str, Study]:
    """What is to be simulated, by case. Raises Failure that tells all that is wrong with the file or a change."""
    from koinon.simulator.study import document, reading

    def read_file(name: str) -> str:
        return (file.parent / name).read_text()

    def told(where: str, invalid: document.Invalid) -> Failure:
        problems = list(map(str, invalid.problems))
        begin = f"{where} cannot be used, it has "
        begin += f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        return Failure("\n  ".join([f"{begin}:", *problems]))

    try:
        given = document.parse(file.read_text(), as_json=file.suffix == ".json")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Failure(f"cannot read {file}: {why}") from None
    except document.Invalid as invalid:
        raise told(str(file), invalid) from None
    try:
        studies = {AS_IT_IS: reading.read_study(given, read_file)}
    except document.Invalid as invalid:
        raise told(str(file), invalid) from None
    for change in what_ifs:
        try:
            studies[change] = reading.read_study(document.changed(given, change), read_file)
        except document.Invalid as invalid:
            raise told(f"--what-if {change}", invalid) from None
    return studies


# ── a case ────────────────────────────────────────────────────────────────────────────────────────
def _run(study: Study, case: str, directory: Path | None, plots: str) -> Report:
    from koinon.simulator.study.cluster import Cluster
    from koinon.simulator.study.report import make_report, waits_by

    if directory is not None:
        with _writing():  # now, and not after all the work
            directory.mkdir(parents=True, exist_ok=True)
    with _unswept(), _progress(case) as show:
        cluster = Cluster(study)
        for step in range(1, _STEPS + 1):
            cluster.run(study.length_s * step / _STEPS)
            show(step / _STEPS)
        waits = waits_by(cluster)
        report = make_report(cluster, waits)
        if directory is not None:
            with _writing():
                _write(cluster, waits, report, directory, plots)
    return report


def _write(cluster: Cluster, waits: WaitsBy, report: Report, directory: Path, plots: str) -> None:
    from koinon.simulator.study.files import csv_files
    from koinon.simulator.study.report import to_json

    (directory / "report.json").write_bytes(to_json(report))
    for name, text in csv_files(cluster, waits).items():
        (directory / name).write_text(text)
    if plots != "none":
        from koinon.simulator.study.plots import draw

        draw(cluster, waits, directory, plots)


def _write_comparison(reports: dict[str, Report], out: Path, plots: str) -> None:
    from koinon.simulator.study.report import to_json

    (out / "comparison.json").write_bytes(to_json(reports))
    if plots != "none":
        from koinon.simulator.study.plots import draw_comparison

        draw_comparison(reports, out / f"comparison.{plots}")


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(f"cannot write {error.filename}: {error.strerror}") from None


@contextmanager
def _unswept() -> Iterator[None]:
    """Nothing in a running study is garbage that counting references does not find; looking for some takes a third
    of the time. A study that is over is.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


@contextmanager
def _progress(case: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda part: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(case.replace("[", "\\["), total=1.0)
        yield lambda part: progress.update(task, completed=part)


def _show(file: Path, reports: dict[str, Report], *, as_json: bool) -> None:
    if as_json:
        from koinon.simulator.study.report import to_json

        sys.stdout.write(to_json(reports).decode())
        return
    from koinon.cli.study_tables import show_comparison, show_report

    if len(reports) == 1:
        show_report(str(file), reports[AS_IT_IS])
    else:
        show_comparison(str(file), reports)
