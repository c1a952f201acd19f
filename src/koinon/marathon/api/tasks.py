"""Tasks: of one app, of a group, of all; listed as JSON or as lines of text, and killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from aiohttp import hdrs, web

from koinon.marathon.api.deploying import deploy
from koinon.marathon.api.errors import unknown
from koinon.marathon.api.requests import invalid_json, object_of, path_of, switch
from koinon.marathon.api.shown import Shown, encode
from koinon.marathon.core import changes, events
from koinon.marathon.model import App, Instance, Root, ids
from koinon.marathon.model.problems import BadRequest
from koinon.marathon.rendering.tasks import endpoints
from koinon.marathon.runtime import Runtime
from koinon.service.answers import json_answer
from koinon.service.lists import send_list

#: Words of `?status=`, and the states of Mesos's that they mean.
_STATUSES = {"running": frozenset({"TASK_RUNNING"}), "staging": frozenset({"TASK_STAGING", "TASK_STARTING"})}
_BEGIN, _END = b'{"tasks":[', b"]}"


class Tasks:
    """The handlers."""

    def __init__(self, runtime: Runtime, shown: Shown) -> None:
        self._runtime = runtime
        self._shown = shown

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them; they go before those of apps."""
        return [
            web.get("/v2/tasks", self.list_all),
            web.post("/v2/tasks/delete", self.kill),
            web.get("/v2/apps/{id:(?:.+/)?}*/tasks", self.list_group),
            web.get("/v2/apps/{id:.+}/tasks", self.list_app),
            web.delete("/v2/apps/{id:.+}/tasks", self.kill_app),
            web.delete("/v2/apps/{id:.+}/tasks/{task}", self.kill_one),
        ]

    # ── to look ───────────────────────────────────────────────────────────────────────────────────
    async def list_all(self, request: web.Request) -> web.StreamResponse:
        """Tasks of all apps."""
        apps = self._root.apps.values()
        if _wants_text(request):
            return self._text(request, apps)
        given = [*request.query.getall("status", []), *request.query.getall("status[]", [])]
        states = frozenset[str]().union(*(_STATUSES.get(one.lower(), frozenset()) for one in given))
        return await send_list(request, self._rendered(apps, states, with_service_ports=True), _BEGIN, _END)

    async def list_app(self, request: web.Request) -> web.StreamResponse:
        """Tasks of one app."""
        return await self._of(request, [self._app(path_of(request))])

    async def list_group(self, request: web.Request) -> web.StreamResponse:
        """Tasks of all apps of a group and below."""
        return await self._of(request, list(self._root.apps_within(path_of(request))))

    async def _of(self, request: web.Request, apps: Collection[App]) -> web.StreamResponse:
        if _wants_text(request):
            return self._text(request, apps)
        return await send_list(request, self._rendered(apps), _BEGIN, _END)

    def _rendered(
        self,
        apps: Iterable[App],
        states: frozenset[str] = frozenset(),
        *,
        with_service_ports: bool = False,
    ) -> Iterator[bytes]:
        for app in apps:
            found = self._shown.tasks(app.id, with_service_ports=with_service_ports)
            if states:
                found = [task for task in found if task["state"] in states]
            if found:
                yield encode(found)[1:-1]

    def _text(self, request: web.Request, apps: Iterable[App]) -> web.Response:
        networks = frozenset(",".join(request.query.getall("containerNetworks", [])).split(",")) - {""}
        state = self._runtime.core.state
        lines = [line for app in apps for line in endpoints(app, state.instances_of(app.id), networks)]
        return web.Response(text="".join(lines), content_type="text/plain")

    # ── to kill ───────────────────────────────────────────────────────────────────────────────────
    async def kill(self, request: web.Request) -> web.StreamResponse:
        """Tasks by their ids; those that nobody knows are passed over."""
        given = (await object_of(request)).get("ids")
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise invalid_json("/ids", "error.path.missing" if given is None else "error.expected.jsarray")
        wanted = []
        for task_id in given:
            try:
                wanted.append(ids.parse_task(task_id).instance)
            except ValueError as error:
                raise BadRequest(str(error)) from None
        known = self._runtime.core.state.instances
        victims = [known[one] for one in dict.fromkeys(wanted) if one in known]
        return await self._kill(request, victims)

    async def kill_app(self, request: web.Request) -> web.StreamResponse:
        """All tasks of an app, or those on one host."""
        app, host = self._app(path_of(request)), request.query.get("host", "*")
        victims = [
            instance
            for instance in self._runtime.core.state.instances_of(app.id)
            if host == "*" or (instance.agent is not None and instance.agent.hostname == host)
        ]
        return await self._kill(request, victims)

    async def kill_one(self, request: web.Request) -> web.StreamResponse:
        """One task of an app."""
        app, task_id = self._app(path_of(request)), request.match_info["task"]
        try:
            instance = self._runtime.core.state.instances.get(ids.parse_task(task_id).instance)
        except ValueError:
            instance = None
        if instance is None or instance.run_spec != app.id:
            raise unknown("Task", task_id)
        return await self._kill(request, [instance], one=True)

    async def _kill(
        self, request: web.Request, victims: list[Instance], *, one: bool = False
    ) -> web.StreamResponse:
        scale, wipe = switch(request, "scale"), switch(request, "wipe")
        if scale and wipe:
            raise BadRequest("You cannot use scale and wipe at the same time.")
        killed = [task for victim in victims for task in self._shown.tasks_of(victim)]
        names = frozenset(victim.id for victim in victims)
        if scale:
            fewer = Counter(victim.run_spec for victim in victims)
            accepted = await deploy(
                self._runtime, request, lambda root: changes.scale_down(root, fewer), kill=names
            )
            return accepted.answer()
        if names:
            self._runtime.feed(events.KillInstances(names, wipe=wipe))
            await self._runtime.settled()
        answer: dict[str, Any] = {"task": killed[0]} if one and killed else {"tasks": killed}
        return json_answer(answer)

    # ── what there is ─────────────────────────────────────────────────────────────────────────────
    @property
    def _root(self) -> Root:
        return self._runtime.core.root

    def _app(self, path: str) -> App:
        if (app := self._root.apps.get(path)) is None:
            raise unknown("App", path)
        return app


def _wants_text(request: web.Request) -> bool:
    """Only who asks for text, and not for JSON, gets it."""
    given = ",".join(request.headers.getall(hdrs.ACCEPT, []))
    accepted = [one.partition(";")[0].strip().lower() for one in given.split(",")]
    return "text/plain" in accepted and not {"*/*", "application/json", "application/*"} & set(accepted)
