"""A chain of jobs that leave footprints, and the laws of what they leave.

Each task leaves footprints in a file outside of its sandbox, so that what really ran is known without asking anybody.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
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
    task_id: str
    window_ms: int

    @property
    def job(self) -> str:
        """Whose task it is."""
        return ids.parse_task(self.task_id).job


class Chain:
    """Extract writes a table of sales; two transforms sum up a region each; the report waits for both.

    Each window has files of its own. So who starts too early, or for another window than its parents, finds nothing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._log = directory / "footprints"
        self._log.touch()

    def jobs(self, schedule: str, **of_all: Any) -> list[dict[str, Any]]:
        """All four, parents first."""
        extract = (
            "{ echo region,amount; for i in 1 2 3 4 5; do echo north,$i; echo south,$((i * 10)); done; }"
        )
        sum_up = "awk -F, '$1 == \"REGION\" { sum += $2 } END { print sum }' "
        of_all = {"missedRuns": "all", **of_all}
        return [
            self._job("extract", f"{extract} > {self._new('sales')}", schedule=schedule, **of_all),
            *(
                self._job(
                    region,
                    f"{sum_up.replace('REGION', region)} {self._file('sales')} > {self._new(region)}",
                    parents=["extract"],
                    **of_all,
                )
                for region in ("north", "south")
            ),
            self._job(
                "report",
                f"echo north $(cat {self._file('north')}), south $(cat {self._file('south')})",
                parents=["north", "south"],
                **of_all,
            ),
        ]

    def _file(self, name: str) -> str:
        return f"{self.directory}/{name}.$CHRONOS_JOB_RUN_WINDOW"

    def _new(self, name: str) -> str:
        """Its file, which is there as a whole or not at all."""
        return f"{self._file(name)}.$$ && mv {self._file(name)}.$$ {self._file(name)}"

    def _job(self, name: str, command: str, **more: Any) -> dict[str, Any]:
        """One line at the begin, one at the end of a task: short appends are whole."""

        def note(what: str) -> str:
            return f'echo "$(date +%s.%N) {what} $MESOS_TASK_ID $CHRONOS_JOB_RUN_WINDOW" >> {self._log}'

        whole = f"{note('begin')} && {command} && {note('end')}"
        return {"name": name, "command": whole, "cpus": 0.1, "mem": 32, "disk": 0, **more}

    def footprints(self) -> list[Footprint]:
        """All of them, in the order in which they were left."""
        found = []
        for line in self._log.read_text().splitlines():
            at, what, task_id, window = line.split(" ")
            found.append(Footprint(float(at), what, task_id, int(window)))
        return found

    def completed(self, job: str) -> list[Footprint]:
        """Ends of a job's tasks."""
        return [one for one in self.footprints() if (one.job, one.what) == (job, "end")]


def check(chronoses: Jobs, chain: Chain, cycles: int, start: float, period_s: int) -> None:
    """The laws: each window has one completed start of each job, after its parents'; and the history says the same.

    Of what was lost with its machine nobody can know whether it came to its end; it does not count.
    """
    windows = Counter(round(start * 1000) + n * period_s * 1000 for n in range(cycles))
    told = {job: chronoses.runs(job) for job in CHAIN}
    lost = {run["taskId"] for job in CHAIN for run in told[job] if run.get("mesosState") == GONE}
    ends: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in chain.footprints():
        if one.what == "end" and one.task_id not in lost:
            ends[one.job, one.window_ms].append(one.at)
    for job in CHAIN:
        ended = Counter({window: len(times) for (name, window), times in ends.items() if name == job})
        story = f"{job}: {json.dumps(told[job], indent=1)}"
        assert ended == windows, f"{_difference(ended, windows)}\n{story}"
        succeeded = Counter(_milliseconds(run["window"]) for run in told[job] if run["state"] == "succeeded")
        assert succeeded == windows, f"{_difference(succeeded, windows)} in the history\n{story}"
        assert {run["state"] for run in told[job]} <= {"succeeded", "failed", "skipped"}, story
    for one in chain.footprints():
        if one.what == "begin":
            for parent in PARENTS.get(one.job, ()):
                [done] = ends[parent, one.window_ms]
                assert done < one.at, f"{one} has begun before {parent} was done"


def _difference(found: Counter[int], wanted: Counter[int]) -> str:
    return f"missing: {sorted(wanted - found)}, too many: {sorted(found - wanted)}"


def _milliseconds(stamp: str) -> int:
    return round(seconds(stamp) * 1000)


def wait_quiet(chronoses: Jobs, cycles: int) -> None:
    """Returns when everything has run that was to run."""

    def done() -> bool:
        return not chronoses.runs(state="launching,running,waiting") and all(
            len(chronoses.runs(job, state="succeeded")) >= cycles for job in CHAIN
        )

    eventually(done, f"{cycles} cycles have run", 120)
