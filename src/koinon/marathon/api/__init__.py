"""Marathon's REST API (`/v2/…`): parses, asks the core, waits until it is durable, renders.

apps tasks groups pods deployments queue    the endpoints          requests   what requests say
stream      events as they happen           deploying  from a wanted root to an answer
koinon      endpoints of our own            shown      objects as bytes of JSON
system      about the process
"""

from __future__ import annotations

from aiohttp import web

from koinon.marathon.api import stream, system
from koinon.marathon.api.apps import Apps
from koinon.marathon.api.deployments import Deployments
from koinon.marathon.api.errors import errors
from koinon.marathon.api.groups import Groups
from koinon.marathon.api.own import Own
from koinon.marathon.api.pods import Pods
from koinon.marathon.api.queue import Queue
from koinon.marathon.api.shown import Shown
from koinon.marathon.api.tasks import Tasks
from koinon.marathon.runtime import Runtime

__all__ = ["errors", "routes"]


def routes(runtime: Runtime) -> list[web.AbstractRouteDef]:
    """All endpoints. Of those that fit a path the first one answers."""
    shown = Shown(lambda: runtime.core.state, runtime.now)
    return [
        *Tasks(runtime, shown).routes(),
        *Apps(runtime, shown).routes(),
        *Groups(runtime, shown).routes(),
        *Pods(runtime, shown).routes(),
        *Deployments(runtime, shown).routes(),
        *Queue(runtime, shown).routes(),
        *Own(runtime).routes(),
        *stream.routes(runtime),
        *system.routes(runtime),
    ]
