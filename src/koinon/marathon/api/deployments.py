"""`/v2/deployments`: changes under way, and how they are called off."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from koinon.marathon.api.deploying import stored
from koinon.marathon.api.errors import unknown
from koinon.marathon.api.requests import switch
from koinon.marathon.api.shown import Shown
from koinon.marathon.core import events
from koinon.marathon.model import Deployment
from koinon.marathon.model.records import Action
from koinon.marathon.rendering.deployments import render_action, render_steps
from koinon.marathon.runtime import Runtime
from koinon.service.answers import json_answer


class Deployments:
    """The handlers."""

    def __init__(self, runtime: Runtime, shown: Shown) -> None:
        self._runtime = runtime
        self._shown = shown

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        return [
            web.get("/v2/deployments", self.list_all),
            web.get("/v2/deployments/{id}", self.show),
            web.delete("/v2/deployments/{id}", self.cancel),
        ]

    async def list_all(self, request: web.Request) -> web.StreamResponse:
        """Those that run."""
        return json_answer([self._rendered(one) for one in self._runtime.core.state.deployments.values()])

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One that runs: where answers that start one may point to."""
        name = request.match_info["id"]
        if (found := self._runtime.core.state.deployments.get(name)) is None:
            raise unknown("Deployment", name)
        return json_answer(self._rendered(found))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Go back to what was before, as a new deployment; with `force` just stop."""
        force = switch(request, "force")
        event = events.CancelDeployment(request.match_info["id"], self._runtime.new_id(), force)
        self._runtime.feed(event)
        accepted = await stored(self._runtime, event.deployment_id)
        return web.Response(status=202) if force else accepted.answer()

    def _rendered(self, deployment: Deployment) -> dict[str, Any]:
        step = deployment.current_step
        actions = deployment.steps[step].actions if step < len(deployment.steps) else ()
        named = [action for one in deployment.steps for action in one.actions]
        pods = dict.fromkeys(one.run_spec for one in named if one.action.endswith("Pod"))
        apps = dict.fromkeys(one.run_spec for one in named if not one.action.endswith("Pod"))
        return {
            "id": deployment.id,
            "version": deployment.version,
            "affectedApps": list(apps),
            "affectedPods": list(pods),
            "steps": render_steps(deployment.steps),
            "currentActions": [self._with_readiness(action) for action in actions],
            "currentStep": min(step + 1, len(deployment.steps)),
            "totalSteps": len(deployment.steps),
        }

    def _with_readiness(self, action: Action) -> dict[str, Any]:
        made = render_action(action)
        if "app" in made:
            made["readinessCheckResults"] = self._shown.readiness(action.run_spec)
        return made
