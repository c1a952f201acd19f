"""`/v2/pods`: definitions, what runs of them, and how they are changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from koinon.marathon.api.deploying import deploy, dry_run
from koinon.marathon.api.errors import unknown
from koinon.marathon.api.requests import body_of, invalid_json, path_of, switch, version_of
from koinon.marathon.api.shown import Shown
from koinon.marathon.core import changes, events
from koinon.marathon.model import Instance, Pod, Root, ids
from koinon.marathon.rendering.plain import plain
from koinon.marathon.rendering.pod_status import render_instance
from koinon.marathon.runtime import Runtime
from koinon.service.answers import json_answer
from koinon.service.lists import send_list

_JSON = "application/json"


class Pods:
    """The handlers."""

    def __init__(self, runtime: Runtime, shown: Shown) -> None:
        self._runtime = runtime
        self._shown = shown

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them; those with more in their path first."""
        return [
            web.head("/v2/pods", self.probe),
            web.get("/v2/pods", self.list_all, allow_head=False),
            web.post("/v2/pods", self.create),
            web.get("/v2/pods/::status", self.list_statuses),
            web.get("/v2/pods/{id:.+}::status", self.status),
            web.get("/v2/pods/{id:.+}::versions/{version}", self.version),
            web.get("/v2/pods/{id:.+}::versions", self.versions),
            web.delete("/v2/pods/{id:.+}::instances/{instance}", self.kill_one),
            web.delete("/v2/pods/{id:.+}::instances", self.kill),
            web.get("/v2/pods/{id:.+}", self.show),
            web.put("/v2/pods/{id:.+}", self.put),
            web.delete("/v2/pods/{id:.+}", self.delete),
        ]

    # ── to look ───────────────────────────────────────────────────────────────────────────────────
    async def probe(self, request: web.Request) -> web.StreamResponse:
        """There are pods here."""
        return web.Response()

    async def list_all(self, request: web.Request) -> web.StreamResponse:
        """All definitions."""
        return await send_list(request, (self._shown.pod(pod) for pod in self._root.pods.values()))

    async def list_statuses(self, request: web.Request) -> web.StreamResponse:
        """What runs of all."""
        return await send_list(request, (self._shown.pod_status(pod) for pod in self._root.pods.values()))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One definition."""
        return _answer(self._shown.pod(self._pod(path_of(request))))

    async def status(self, request: web.Request) -> web.StreamResponse:
        """What runs of one."""
        return _answer(self._shown.pod_status(self._pod(path_of(request))))

    async def versions(self, request: web.Request) -> web.StreamResponse:
        """Its versions, newest first."""
        pod = self._pod(path_of(request))
        return json_answer(self._runtime.core.state.versions_of(pod.id))

    async def version(self, request: web.Request) -> web.StreamResponse:
        """As it was."""
        pod, version = self._pod(path_of(request)), version_of(request.match_info["version"])
        found = self._runtime.core.state.definition(pod.id, version)
        if not isinstance(found, Pod):
            raise unknown("Pod", f"{pod.id}' in version '{version}")
        return _answer(self._shown.past(found))

    # ── to change ─────────────────────────────────────────────────────────────────────────────────
    async def create(self, request: web.Request) -> web.StreamResponse:
        """A new pod."""
        body, rules = await body_of(request), self._runtime.rules

        def change(root: Root) -> Root:
            return changes.create_pod(root, body, rules)

        if switch(request, "dryRun"):
            return dry_run(self._runtime, change)
        accepted = await deploy(self._runtime, request, change)
        pod = accepted.root.pods[ids.resolve(body["id"])]
        return _answer(self._shown.pod(pod), 201, accepted.headers | {"Location": f"/v2/pods{pod.id}"})

    async def put(self, request: web.Request) -> web.StreamResponse:
        """A pod as the body says, whole; created if there is none."""
        path, body, rules = path_of(request), await body_of(request), self._runtime.rules

        def change(root: Root) -> Root:
            return changes.put_pod(root, path, body, rules)

        if switch(request, "dryRun"):
            return dry_run(self._runtime, change)
        accepted = await deploy(self._runtime, request, change)
        return _answer(self._shown.pod(accepted.root.pods[path]), 200, accepted.headers)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """A pod no more."""
        path = path_of(request)
        accepted = await deploy(self._runtime, request, lambda root: changes.delete_pod(root, path))
        where = f"/v2/deployments/{accepted.deployment_id}"
        return web.Response(status=202, headers=accepted.headers | {"Location": where})

    # ── to kill ───────────────────────────────────────────────────────────────────────────────────
    async def kill(self, request: web.Request) -> web.StreamResponse:
        """Instances by their ids."""
        pod, given = self._pod(path_of(request)), await body_of(request)
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise invalid_json("/", "error.expected.jsarray")
        known = self._runtime.core.state.instances
        found = [known[one] for one in dict.fromkeys(given) if one in known]
        return json_answer(await self._kill(request, pod, [one for one in found if one.run_spec == pod.id]))

    async def kill_one(self, request: web.Request) -> web.StreamResponse:
        """One instance."""
        pod, name = self._pod(path_of(request)), request.match_info["instance"]
        instance = self._runtime.core.state.instances.get(name)
        if instance is None or instance.run_spec != pod.id:
            raise unknown("Instance", name)
        return json_answer((await self._kill(request, pod, [instance]))[0])

    async def _kill(
        self, request: web.Request, pod: Pod, victims: Sequence[Instance]
    ) -> list[dict[str, Any]]:
        strategy = plain(pod.scheduling.unreachable_strategy)
        rendered = [render_instance(one, strategy) for one in victims]
        if victims:
            names = frozenset(one.id for one in victims)
            self._runtime.feed(events.KillInstances(names, wipe=switch(request, "wipe")))
            await self._runtime.settled()
        return rendered

    # ── what there is ─────────────────────────────────────────────────────────────────────────────
    @property
    def _root(self) -> Root:
        return self._runtime.core.root

    def _pod(self, path: str) -> Pod:
        if (pod := self._root.pods.get(path)) is None:
            raise unknown("Pod", path)
        return pod


def _answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, content_type=_JSON, headers=headers)
