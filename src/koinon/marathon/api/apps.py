"""`/v2/apps`: what there is, and how it is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aiohttp import web

from koinon.marathon.api import embeds, selectors
from koinon.marathon.api.deploying import deploy, dry_run
from koinon.marathon.api.errors import unknown
from koinon.marathon.api.requests import body_of, object_of, path_of, switch, version_of
from koinon.marathon.api.shown import Shown
from koinon.marathon.core import changes
from koinon.marathon.model import App, Root, ids
from koinon.marathon.runtime import Runtime
from koinon.service.answers import json_answer
from koinon.service.lists import send_list

_JSON = "application/json"


class Apps:
    """The handlers."""

    def __init__(self, runtime: Runtime, shown: Shown) -> None:
        self._runtime = runtime
        self._shown = shown

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them; those with more in their path first."""
        return [
            web.get("/v2/apps", self.list_all),
            web.post("/v2/apps", self.create),
            web.put("/v2/apps", self.put_many),
            web.patch("/v2/apps", self.patch_many),
            web.get("/v2/apps/{id:.+}/versions/{version}", self.version),
            web.get("/v2/apps/{id:.+}/versions", self.versions),
            web.post("/v2/apps/{id:.+}/restart", self.restart),
            web.get("/v2/apps/{id:(?:.+/)?}*", self.list_group),
            web.get("/v2/apps/{id:.+}", self.show),
            web.put("/v2/apps/{id:.+}", self.put),
            web.patch("/v2/apps/{id:.+}", self.patch),
            web.delete("/v2/apps/{id:.+}", self.delete),
        ]

    # ── to look ───────────────────────────────────────────────────────────────────────────────────
    async def list_all(self, request: web.Request) -> web.StreamResponse:
        """All apps that pass the filters."""
        passes = _filter(request)
        apps = (app for app in self._root.apps.values() if passes(app))
        return await self._send(request, apps, b'{"apps":[')

    async def list_group(self, request: web.Request) -> web.StreamResponse:
        """All apps of a group and those below."""
        group, root = path_of(request), self._root
        apps = root.apps_within(group)
        return await self._send(request, apps, b'{"*":[')

    async def _send(self, request: web.Request, apps: Iterator[App], begin: bytes) -> web.StreamResponse:
        wanted = embeds.of_apps(request.query.getall("embed", []), embeds.LIST)
        return await send_list(request, (self._shown.app(app, wanted) for app in apps), begin, b"]}")

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One app with all about it."""
        app = self._app(path_of(request))
        wanted = embeds.of_apps(request.query.getall("embed", []), embeds.SINGLE)
        return web.Response(body=b'{"app":%b}' % self._shown.app(app, wanted), content_type=_JSON)

    async def versions(self, request: web.Request) -> web.StreamResponse:
        """Versions of an app, newest first."""
        app = self._app(path_of(request))
        return json_answer({"versions": self._runtime.core.state.versions_of(app.id)})

    async def version(self, request: web.Request) -> web.StreamResponse:
        """An app as it was."""
        path, version = path_of(request), version_of(request.match_info["version"])
        found = self._runtime.core.state.definition(self._app(path).id, version)
        if not isinstance(found, App):
            raise unknown("App", f"{path}' in version '{version}")
        return web.Response(body=self._shown.past(found), content_type=_JSON)

    # ── to change ─────────────────────────────────────────────────────────────────────────────────
    async def create(self, request: web.Request) -> web.StreamResponse:
        """A new app."""
        body, rules = await body_of(request), self._runtime.rules

        def change(root: Root) -> Root:
            return changes.create_app(root, body, rules)

        if switch(request, "dryRun"):
            return dry_run(self._runtime, change)
        accepted = await deploy(self._runtime, request, change)
        app = accepted.root.apps[ids.resolve(body["id"])]
        shown = self._shown.created(app, accepted.deployment_id)
        headers = accepted.headers | {"Location": app.id}
        return web.Response(status=201, body=shown, content_type=_JSON, headers=headers)

    async def put(self, request: web.Request) -> web.StreamResponse:
        """An app changed or created."""
        path, body, rules = path_of(request), await body_of(request), self._runtime.rules
        partial = switch(request, "partialUpdate", default=True)
        if (version := changes.version_asked(body)) is not None:
            change = self._rollback(path, version_of(version))
        else:

            def change(root: Root) -> Root:
                return changes.put_app(root, path, body, rules, partial=partial)

        return await self._changed(request, change, path)

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """An app changed."""
        path, body, rules = path_of(request), await object_of(request), self._runtime.rules
        return await self._changed(request, lambda root: changes.patch_app(root, path, body, rules), path)

    async def put_many(self, request: web.Request) -> web.StreamResponse:
        """Apps changed or created, all or none."""
        bodies, rules = await body_of(request), self._runtime.rules
        partial = switch(request, "partialUpdate", default=True)
        return await self._changed(
            request, lambda root: changes.put_apps(root, bodies, rules, partial=partial)
        )

    async def patch_many(self, request: web.Request) -> web.StreamResponse:
        """Apps changed, all or none."""
        bodies, rules = await body_of(request), self._runtime.rules
        return await self._changed(request, lambda root: changes.patch_apps(root, bodies, rules))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """An app no more; also while it is being deployed, unless that is forbidden."""
        path = path_of(request)
        force = switch(request, "force", default=True)
        accepted = await deploy(
            self._runtime, request, lambda root: changes.delete_app(root, path), force=force
        )
        return accepted.answer()

    async def restart(self, request: web.Request) -> web.StreamResponse:
        """All instances of an app replaced, as in an upgrade."""
        path = self._app(path_of(request)).id
        accepted = await deploy(self._runtime, request, lambda root: root, restart=frozenset((path,)))
        return accepted.answer()

    async def _changed(
        self, request: web.Request, change: Callable[[Root], Root], path: str | None = None
    ) -> web.StreamResponse:
        if switch(request, "dryRun"):
            return dry_run(self._runtime, change)
        is_new = path is not None and path not in self._root.apps
        accepted = await deploy(self._runtime, request, change)
        if is_new and path is not None:
            return accepted.answer(201, {"Location": path})
        return accepted.answer()

    def _rollback(self, path: str, version: str) -> Callable[[Root], Root]:
        def change(root: Root) -> Root:
            past = self._runtime.core.state.definition(self._app(path).id, version)
            if not isinstance(past, App):
                raise unknown("App", f"{path}' in version '{version}")
            return changes.rollback_app(root, path, past, self._runtime.rules)

        return change

    # ── what there is ─────────────────────────────────────────────────────────────────────────────
    @property
    def _root(self) -> Root:
        return self._runtime.core.root

    def _app(self, path: str) -> App:
        if (app := self._root.apps.get(path)) is None:
            raise unknown("App", path)
        return app


def _filter(request: web.Request) -> Callable[[App], bool]:
    """What the query wants to see."""
    cmd, path = request.query.get("cmd", "").lower(), request.query.get("id", "").lower()
    labels = selectors.parse(text) if (text := request.query.get("label")) else None

    def passes(app: App) -> bool:
        return (
            (not cmd or (app.cmd is not None and cmd in app.cmd.lower()))
            and path in app.id.lower()
            and (labels is None or labels(app.labels))
        )

    return passes
