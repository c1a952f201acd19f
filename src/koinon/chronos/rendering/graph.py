"""Who runs after whom, as text for other programs. Names of jobs need no quoting in either form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from koinon.chronos.model import Job
from koinon.chronos.rendering.summary import IDLE, Activity, status


def csv(jobs: Iterable[Job], activity: Mapping[str, Activity]) -> str:
    """A `node,<job>,<status>,<state>` line for each job, then a `link,<parent>,<child>` line for each edge."""
    by_name = _by_name(jobs)
    nodes = (f"node,{job.name},{status(job)},{activity.get(job.name, IDLE).state}\n" for job in by_name)
    links = (f"link,{parent},{child}\n" for parent, child in _edges(by_name))
    return "".join((*nodes, *links))


def dot(jobs: Iterable[Job]) -> str:
    """A digraph for Graphviz: nodes are numbers with the jobs as labels, edges lead from parent to child."""
    by_name = _by_name(jobs)
    numbers = {job.name: number for number, job in enumerate(by_name, 1)}
    nodes = (f'  {number} [ label="{name}" ];\n' for name, number in numbers.items())
    edges = (f"  {numbers[parent]} -> {numbers[child]};\n" for parent, child in _edges(by_name))
    return "".join(("digraph G {\n", *nodes, *edges, "}\n"))


def _by_name(jobs: Iterable[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: job.name)


def _edges(jobs: list[Job]) -> Iterator[tuple[str, str]]:
    return ((parent, job.name) for job in jobs for parent in job.parents)
