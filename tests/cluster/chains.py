"""A chain of jobs that leave footprints, and the laws of what they leave.

Each task leaves footprints in a file outside of its sandbox, so that what really ran is known without asking anybody.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from koinon.chronos.model import ids
from koinon.timestamps import seconds
from tests.cluster.chronoses import Jobs
from tests.cluster.harness import eventually

CHAIN = ("extract", "north", "south", "report")
GONE = "TASK_GONE_BY_OPERATOR"
PARENTS = {"north": ["extract"], "south": ["extract"], "report": ["north", "south"]}


class Footprint(NamedTuple):
    """What a task did, in its own words."""

    at: float
    what: str  #: `begin` or `end`
    job: str
    due_ms: int
    attempt: int


class Chain:
    """Extract writes a table of sales; two transforms sum up a region each; the report waits for both."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._log = directory / "footprints"
        self._log.touch()

    def jobs(self, schedule: str, **of_all: Any) -> list[dict[str, Any]]:
        """All four, parents first."""
        sales = f"{self.directory}/sales.csv"
        extract = (
            f"{{ echo region,amount; for i in 1 2 3 4 5; do echo north,$i; echo south,$((i * 10)); done; }} > {sales}.$$"
            f" && mv {sales}.$$ {sales}"
        )
        return [
            self._job("extract", extract, schedule=schedule, missedRuns="all", **of_all),
            *(
                self._job(
                    region,
                    f"awk -F, '$1 == \"{region}\" {{ sum += $2 }} END {{ print sum }}' {sales}"
                    f" > {self.directory}/{region}.$$ && mv {self.directory}/{region}.$$ {self.directory}/{region}",
                    parents=["extract"],
                    **of_all,
                )
                for region in ("north", "south")
            ),
            self._job(
                "report",
                f"echo north $(cat {self.directory}/north), south $(cat {self.directory}/south)",
                parents=["north", "south"],
                **of_all,
            ),
        ]

    def _job(self, name: str, command: str, **more: Any) -> dict[str, Any]:
        """One line at the begin, one at the end of a task: short appends are whole."""

        def note(what: str) -> str:
            return f'echo "$(date +%s.%N) {what} $MESOS_TASK_ID" >> {self._log}'

        whole = f"{note('begin')} && {command} && {note('end')}"
        return {"name": name, "command": whole, "cpus": 0.1, "mem": 32, "disk": 0, **more}

    def footprints(self) -> list[Footprint]:
        """All of them, in the order in which they were left."""
        found = []
        for line in self._log.read_text().splitlines():
            at, what, task = line.split(" ", 2)
            place = ids.parse_task(task)
            found.append(Footprint(float(at), what, place.job, place.due_ms, place.attempt))
        return found

    def completed(self, job: str) -> list[Footprint]:
        """Ends of a job's tasks."""
        return [one for one in self.footprints() if (one.job, one.what) == (job, "end")]


def check(chronoses: Jobs, chain: Chain, cycles: int, start: float, period_s: int) -> None:
    """The laws: history and footprints tell the same story, and it is the right one.

    Of what was lost with its machine nobody can know whether it came to its end; it does not count.
    """
    due = [round(start * 1000) + n * period_s * 1000 for n in range(cycles)]
    told = {job: chronoses.runs(job) for job in CHAIN}
    lost = {run["taskId"] for job in CHAIN for run in told[job] if run.get("mesosState") == GONE}
    ended: dict[str, Counter[int]] = defaultdict(Counter)
    for one in chain.footprints():
        if one.what == "end" and ids.task_id(*one[2:]) not in lost:
            ended[one.job][one.due_ms] += 1
    for job in CHAIN:
        assert set(ended[job].values()) == {1}, f"{job} has completed twice: {ended[job]}"
        succeeded = Counter(
            round(seconds(run["due"]) * 1000) for run in told[job] if run["state"] == "succeeded"
        )
        assert succeeded == ended[job], (
            f"the history of {job} is not what happened: {json.dumps(told[job], indent=1)}"
        )
        assert {run["state"] for run in told[job]} <= {"succeeded", "failed", "skipped"}
    assert sorted(ended["extract"]) == due, "each window has one completed start"
    for job, parents in PARENTS.items():
        _check_order(chronoses, job, parents)


def _check_order(chronoses: Jobs, job: str, parents: list[str]) -> None:
    """Between two starts of a job each of its parents has succeeded; and since the last one not all of them have.

    When windows are made up for, parents may succeed twice before a child starts, which is once for both then.
    """
    times = [0.0, *_starts(chronoses, job)]
    successes = {parent: _successes(chronoses, parent) for parent in parents}
    for before, after in pairwise(times):
        for parent, ends in successes.items():
            assert any(before <= end <= after for end in ends), (
                f"{job} has started at {after} without {parent}: {times} {ends}"
            )
    assert not _is_due(chronoses, job, parents), f"{job} has not run at last: {times} {successes}"


def _is_due(chronoses: Jobs, job: str, parents: list[str]) -> bool:
    """Whether each of its parents has succeeded since it started."""
    last = max(_starts(chronoses, job), default=0.0)
    return all(any(end > last for end in _successes(chronoses, parent)) for parent in parents)


def _starts(chronoses: Jobs, job: str) -> list[float]:
    """When its runs started first: of the attempts at one due time the first has to wait for the parents."""
    starts: dict[str, float] = {}
    for run in reversed(chronoses.runs(job)):
        if "launched" in run:
            starts.setdefault(run["due"], seconds(run["launched"]))
    return sorted(starts.values())


def _successes(chronoses: Jobs, job: str) -> list[float]:
    return [seconds(run["ended"]) for run in chronoses.runs(job, state="succeeded")]


def wait_quiet(chronoses: Jobs, cycles: int) -> None:
    """Returns when everything has run that was to run."""

    def done() -> bool:
        return (
            len(chronoses.runs("extract", state="succeeded")) == cycles
            and not chronoses.runs(state="launching,running,waiting")
            and not any(_is_due(chronoses, job, parents) for job, parents in PARENTS.items())
        )

    eventually(done, f"{cycles} cycles have run", 120)
