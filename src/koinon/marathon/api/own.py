"""`/v2/koinon/…`: what Marathon never had. Standard answers stay as clients know them.

GET  why/{id}                        what an app or pod waits for, in sentences
POST deploy?dryRun&force             apps, groups and pods, whole definitions, in one deployment: or only the plan
GET  deployments/{id}                how far it is, or how it ended
POST deployments/{id}/continue       let its canaries go on
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from koinon.marathon.api.deploying import deploy, planned
from koinon.marathon.api.errors import unknown
from koinon.marathon.api.reasons import action_progress, explain
from koinon.marathon.api.requests import invalid_json, object_of, path_of, switch
from koinon.marathon.api.shown import render_spec
from koinon.marathon.core import changes, events
from koinon.marathon.core.planner import config_of
from koinon.marathon.model import Deployment, Root
from koinon.marathon.model.problems import Invalid, Problem
from koinon.marathon.model.root import RunSpec
from koinon.marathon.model.settings import Rules
from koinon.marathon.rendering.deployments import render_steps
from koinon.marathon.runtime import Runtime
from koinon.service.answers import json_answer

#: So many ends of deployments are remembered, as long as this process leads.
_REMEMBERED = 1000
#: Of so many actions of a step the reasons are told, too.
_EXPLAINED_MAX = 20
_PREFIX = "/v2/koinon"


class Own:
    """The handlers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ends: OrderedDict[str, dict[str, Any]] = OrderedDict()
        runtime.bus.watch(self._note)

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        return [
            web.get(_PREFIX + "/why/{id:.+}", self.why),
            web.post(_PREFIX + "/deploy", self.deploy),
            web.get(_PREFIX + "/deployments/{deployment}", self.deployment),
            web.post(_PREFIX + "/deployments/{deployment}/continue", self.proceed),
        ]

    async def why(self, request: web.Request) -> web.StreamResponse:
        """Why an app or pod is as it is."""
        path = path_of(request)
        if (spec := self._runtime.core.root.run_spec(path)) is None:
            raise unknown("App", path)
        return json_answer(explain(self._runtime.core.state, spec, self._runtime.now()))

    async def deploy(self, request: web.Request) -> web.StreamResponse:
        """Make apps, groups and pods what the body says, or tell what would be done."""
        body = await object_of(request)
        parts = _parts(body)

        def change(root: Root) -> Root:
            return _combined(root, parts, self._runtime.rules)

        before = self._runtime.core.root
        plan = planned(self._runtime, change)
        told = {
            "steps": render_steps(plan.steps),
            "changes": [_difference(before, plan.target, path) for path in plan.changed],
            "lockedBy": sorted(
                {one.id for path in plan.changed for one in self._runtime.core.state.deployments_of(path)}
            ),
        }
        if switch(request, "dryRun"):
            return json_answer(told)
        accepted = await deploy(self._runtime, request, change)
        told["changes"] = [_difference(before, accepted.root, path) for path in plan.changed]
        answer = {"version": accepted.version, "deploymentId": accepted.deployment_id, **told}
        return json_answer(answer, headers=accepted.headers)

    async def deployment(self, request: web.Request) -> web.StreamResponse:
        """How far it is, or how it ended."""
        name = request.match_info["deployment"]
        if (found := self._runtime.core.state.deployments.get(name)) is not None:
            return json_answer(self._progress(found))
        if name not in self._ends:
            await self._runtime.settled()  # an end is told when it is durable
        if (end := self._ends.get(name)) is not None:
            return json_answer(end)
        raise unknown("Deployment", name)

    async def proceed(self, request: web.Request) -> web.StreamResponse:
        """Let its canaries go on."""
        self._runtime.feed(events.ContinueDeployment(request.match_info["deployment"]))
        await self._runtime.settled()
        return json_answer({"message": "It goes on"})

    def _progress(self, deployment: Deployment) -> dict[str, Any]:
        state, now, step = self._runtime.core.state, self._runtime.now(), deployment.current_step
        actions = deployment.steps[step].actions if step < len(deployment.steps) else ()
        return {
            "id": deployment.id,
            "version": deployment.version,
            "state": "running",
            "startedAt": deployment.started_at,
            "step": min(step + 1, len(deployment.steps)),
            "steps": len(deployment.steps),
            "actions": [
                action_progress(state, action, now, with_reasons=at < _EXPLAINED_MAX)
                for at, action in enumerate(actions)
            ],
            "canaries": dict(deployment.canaries_since),
        }

    def _note(self, event_type: str, fields: Mapping[str, Any], timestamp: str) -> None:
        """Remember how deployments end."""
        if event_type not in ("deployment_success", "deployment_failed"):
            return
        end = {
            "id": fields["id"],
            "version": fields["plan"]["version"],
            "state": "succeeded" if event_type == "deployment_success" else "failed",
            "endedAt": timestamp,
        }
        if "reason" in fields:
            end["reason"] = fields["reason"]
        self._ends[fields["id"]] = end
        if len(self._ends) > _REMEMBERED:
            self._ends.popitem(last=False)


def _parts(body: Mapping[str, Any]) -> dict[str, list[Any]]:
    """`apps`, `groups` and `pods` of a body. Raises Invalid."""
    found = {}
    for name in ("apps", "groups", "pods"):
        found[name] = given if (given := body.get(name)) is not None else []
        if not isinstance(found[name], list):
            raise invalid_json(f"/{name}", "error.expected.jsarray")
    return found


def _combined(root: Root, parts: Mapping[str, list[Any]], rules: Rules) -> Root:
    for at, group in enumerate(parts["groups"]):
        with _problems_of(f"/groups({at})"):
            if not isinstance(changes.group_request(group), changes.Structure):
                raise Invalid([Problem("/", "must say what is in the group: no version, no scaleBy")])
            root = changes.put_group(root, "/", group, rules)
    if parts["apps"]:
        with _problems_of("/apps"):
            root = changes.put_apps(root, parts["apps"], rules, partial=False)
    for at, pod in enumerate(parts["pods"]):
        with _problems_of(f"/pods({at})"):
            root = changes.put_pod(root, changes.group_id("/", pod), pod, rules)
    return root


@contextmanager
def _problems_of(place: str) -> Iterator[None]:
    """Problems are told with where they are in the whole body."""
    try:
        yield
    except Invalid as invalid:
        found = [
            Problem(place + (one.path if one.path != "/" else ""), one.message) for one in invalid.problems
        ]
        raise Invalid(found, schema=invalid.schema) from None


def _difference(before: Root, after: Root, path: str) -> dict[str, Any]:
    """What becomes of one app or pod."""
    old, new = before.run_spec(path), after.run_spec(path)
    return {
        "id": path,
        "kind": "pod" if path in before.pods or path in after.pods else "app",
        "change": _kind(old, new),
        "before": None if old is None else render_spec(old),
        "after": None if new is None else render_spec(new),
    }


def _kind(old: RunSpec | None, new: RunSpec | None) -> str:
    if old is None:
        return "create"
    if new is None:
        return "delete"
    return "update" if config_of(old) != config_of(new) else "scale"
