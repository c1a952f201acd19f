"""Chronos's REST API under both of its prefixes, and what is ours beside it: parses, asks the core, waits until that is
durable, renders.

jobs     definitions, listed, searched, posted, deleted     history  what has been, in the database and under way
runs     run, kill, mark, complete                          own      why a job waits; enabled, disabled
graph    who runs after whom, and statistics                shell    what the API needs of the process around it
"""

from __future__ import annotations

from aiohttp import web

from koinon.chronos.api import leader
from koinon.chronos.api.errors import errors
from koinon.chronos.api.graph import Graph
from koinon.chronos.api.history import RunHistory
from koinon.chronos.api.jobs import Jobs, Shown
from koinon.chronos.api.own import Own
from koinon.chronos.api.requests import LINES
from koinon.chronos.api.runs import Runs
from koinon.chronos.api.shell import Shell

__all__ = ["errors", "routes"]


def routes(shell: Shell) -> list[web.AbstractRouteDef]:
    """All endpoints. Of those that fit a path the first one answers."""
    found: list[web.AbstractRouteDef] = []
    shown = Shown()
    for prefix, line in LINES.items():
        found += Jobs(shell, shown, prefix, line).routes()
        found += Runs(shell, prefix).routes()
        found += Graph(shell, prefix).routes()
        found += leader.routes(shell, prefix)
    return [
        *found,
        *leader.routes(shell, ""),
        *RunHistory(shell).routes(),
        *Own(shell).routes(),
    ]
