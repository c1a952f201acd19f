"""Files with jobs: JSON or YAML, each with a job or a list of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from koinon.cli.documents import documents
from koinon.cli.errors import Failure


def read(names: Sequence[str]) -> list[dict[str, Any]]:
    """All jobs in the files, parents before their children; `-` is standard input. Raises Failure."""
    found: list[dict[str, Any]] = []
    for name in names:
        jobs = [one for document in documents(name) for one in _listed(document)]
        if not jobs:
            raise Failure(f"{name} defines nothing")
        for job in jobs:
            if not isinstance(job, dict) or not isinstance(job.get("name"), str):
                raise Failure(
                    f"{name} must hold jobs, which are objects with a name, not {json.dumps(job)[:60]}"
                )
        found += jobs
    return _parents_first(found)


def _listed(document: Any) -> list[Any]:
    if isinstance(document, dict) and isinstance(document.get("jobs"), list):
        return list(document["jobs"])
    return document if isinstance(document, list) else [document]


def _parents_first(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As given, but for those that would come before their parents. Circles are left for Chronos to refuse."""
    rest = {job["name"]: job for job in jobs}
    if len(rest) < len(jobs):
        names = [job["name"] for job in jobs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise Failure(f"job '{twice}' is defined twice")
    ordered: list[dict[str, Any]] = []
    while rest:
        ready = [job for job in rest.values() if not _parents(job) & rest.keys()] or list(rest.values())
        for job in ready:
            ordered.append(rest.pop(job["name"]))
    return ordered


def _parents(job: dict[str, Any]) -> set[str]:
    parents = job.get("parents")
    return {str(one) for one in parents} if isinstance(parents, list) else set()
