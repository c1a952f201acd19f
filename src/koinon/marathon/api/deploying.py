"""From a wanted root to the answer that it is being made: in one place for all that changes something."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aiohttp import web

from koinon.marathon.api.requests import origin_of, switch
from koinon.marathon.core import canary, events
from koinon.marathon.core.changes import assign, stamp
from koinon.marathon.core.planner import plan
from koinon.marathon.model import Root, versions
from koinon.marathon.model.problems import BadArgument
from koinon.marathon.model.records import Step
from koinon.marathon.rendering.deployments import render_steps
from koinon.marathon.runtime import Runtime
from koinon.service.answers import json_answer

_HEADER = "Marathon-Deployment-Id"


class Accepted(NamedTuple):
    """A change that is stored."""

    deployment_id: str
    version: str
    root: Root  #: with it

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says of it."""
        return {_HEADER: self.deployment_id}

    def answer(self, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        """As most calls answer."""
        body = {"version": self.version, "deploymentId": self.deployment_id}
        return json_answer(body, status, self.headers | (headers or {}))


async def deploy(
    runtime: Runtime,
    request: web.Request,
    change: Callable[[Root], Root],
    *,
    force: bool | None = None,
    restart: frozenset[str] = frozenset(),
    kill: frozenset[str] = frozenset(),
) -> Accepted:
    """Make what `change` makes of the root of now; returns when that is durable. Raises Refused.

    `force` is taken from the request unless it is given.
    """
    if switch(request, "dryRun"):
        raise BadArgument("?dryRun is not there for this request: nothing was done")
    event = events.Deploy(
        target=change(runtime.core.root),
        deployment_id=runtime.new_id(),
        force=switch(request, "force") if force is None else force,
        restart=restart,
        kill=kill,
        origin=origin_of(request),
    )
    runtime.feed(event)
    return await stored(runtime, event.deployment_id)


async def stored(runtime: Runtime, deployment_id: str) -> Accepted:
    """The deployment that was fed to the core just now; returns when it is durable."""
    root = runtime.core.root
    deployment = runtime.core.state.deployments.get(deployment_id)
    version = root.version if deployment is None else deployment.version  # one without steps is over already
    await runtime.settled()
    return Accepted(deployment_id, version or versions.stamp(runtime.now()), root)


class Plan(NamedTuple):
    """What would be done."""

    target: Root
    changed: list[str]  #: ids of apps and pods
    steps: tuple[Step, ...]


def planned(runtime: Runtime, change: Callable[[Root], Root], restart: frozenset[str] = frozenset()) -> Plan:
    """What would be done for `change`; nothing is. Raises Refused."""
    before = runtime.core.root
    target = assign(before, change(before), runtime.rules)
    version = versions.after(before.version, runtime.now())
    target, changed = stamp(before, target, version, restart, ())
    canary.check(target, changed)
    return Plan(target, changed, plan(before, target, changed))


def dry_run(runtime: Runtime, change: Callable[[Root], Root]) -> web.Response:
    """The steps that would be taken. Raises Refused."""
    return json_answer({"steps": render_steps(planned(runtime, change).steps)})
