"""`/v2/groups`: the tree of apps and pods, as it is and as it was, and how it is changed as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from koinon.marathon.api import embeds
from koinon.marathon.api.deploying import deploy, dry_run
from koinon.marathon.api.embeds import AppEmbeds, GroupEmbeds
from koinon.marathon.api.errors import unknown
from koinon.marathon.api.requests import body_of, path_of, switch, version_of
from koinon.marathon.api.shown import Shown, encode
from koinon.marathon.core import changes
from koinon.marathon.model import Group, Root, ids
from koinon.marathon.model.problems import BadArgument, NotFound
from koinon.marathon.rendering.groups import render_group
from koinon.marathon.runtime import Runtime
from koinon.service.answers import json_answer
from koinon.service.lists import joined, send, send_list

#: At the end of a path: a group's id, or nothing for the root.
_GROUP = "{id:(?:.+/)?}"


class _Tree:
    """What lies directly in which group of a root."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.groups = _by_parent(root.groups)
        self.apps = _by_parent(root.apps)
        self.pods = _by_parent(root.pods)


def _by_parent(paths: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        if path != ids.ROOT:
            found.setdefault(path.rpartition("/")[0] or ids.ROOT, []).append(path)
    return found


class Groups:
    """The handlers."""

    def __init__(self, runtime: Runtime, shown: Shown) -> None:
        self._runtime = runtime
        self._shown = shown
        self._known_tree: _Tree | None = None

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them; those with more in their path first."""
        found: list[web.AbstractRouteDef] = [
            web.get(f"/v2/groups/{_GROUP}apps", self.apps),
            web.get(f"/v2/groups/{_GROUP}versions", self.versions),
            web.get(f"/v2/groups/{_GROUP}versions/{{version}}", self.version),
            web.put(f"/v2/groups/{_GROUP}versions/{{version}}", self.roll_back),
            web.patch("/v2/groups/{id:.+}", self.patch),
        ]
        for path in ("/v2/groups", "/v2/groups/{id:.*}"):
            found += [
                web.get(path, self.show),
                web.post(path, self.create),
                web.put(path, self.put),
                web.delete(path, self.delete),
            ]
        return found

    # ── to look ───────────────────────────────────────────────────────────────────────────────────
    async def show(self, request: web.Request) -> web.StreamResponse:
        """A group with what is in it."""
        group, given = self._group(_path_of(request)), request.query.getall("embed", [])
        pieces = self._rendered(
            self._tree, group, embeds.of_groups(given), embeds.of_apps(given, AppEmbeds())
        )
        return await send(request, pieces)

    async def apps(self, request: web.Request) -> web.StreamResponse:
        """All apps in it and below."""
        wanted = embeds.of_apps(request.query.getall("embed", []), AppEmbeds())
        apps = self._root.apps_within(_path_of(request))
        return await send_list(request, (self._shown.app(app, wanted) for app in apps))

    async def versions(self, request: web.Request) -> web.StreamResponse:
        """Versions of the root in which it existed, newest first."""
        path = self._group(_path_of(request)).id
        exists, found = True, dict[str, None]()
        if self._root.version:
            found[self._root.version] = None
        for change in reversed(self._runtime.core.state.changes.values()):
            if exists:
                found[change.version] = None
            if path in change.groups:
                exists = change.groups[path][0] is not None
        return json_answer(list(found))

    async def version(self, request: web.Request) -> web.StreamResponse:
        """A group as it was."""
        path, version = _path_of(request), version_of(request.match_info["version"])
        root = self._root_at(version)
        if (group := root.groups.get(path)) is None:
            raise unknown("Group", path)
        return await send(request, self._rendered(_Tree(root), group, GroupEmbeds(), AppEmbeds(), past=True))

    def _rendered(
        self,
        tree: _Tree,
        group: Group,
        wanted: GroupEmbeds,
        of_apps: AppEmbeds,
        *,
        past: bool = False,
    ) -> Iterator[bytes]:
        root, shown = tree.root, self._shown
        version = root.version if group.id == ids.ROOT else group.version
        yield encode(render_group(group, version=version))[:-1]
        if wanted.apps:
            apps = (root.apps[path] for path in tree.apps.get(group.id, ()))
            rendered = (shown.past(app) if past else shown.app(app, of_apps) for app in apps)
            yield from joined(rendered, b',"apps":[')
        if wanted.pods:
            pods = (root.pods[path] for path in tree.pods.get(group.id, ()))
            yield from joined(
                (shown.past(pod) if past else shown.pod_status(pod) for pod in pods), b',"pods":['
            )
        if wanted.groups:
            yield b',"groups":['
            for at, path in enumerate(tree.groups.get(group.id, ())):
                if at:
                    yield b","
                yield from self._rendered(tree, root.groups[path], wanted, of_apps, past=past)
            yield b"]"
        yield b"}"

    # ── to change ─────────────────────────────────────────────────────────────────────────────────
    async def create(self, request: web.Request) -> web.StreamResponse:
        """A new group with what is to be in it."""
        base, body, rules = _path_of(request), await body_of(request, any_type=True), self._runtime.rules
        accepted = await deploy(
            self._runtime, request, lambda root: changes.create_group(root, base, body, rules)
        )
        return accepted.answer(201, {"Location": changes.group_id(base, body)})

    async def put(self, request: web.Request) -> web.StreamResponse:
        """What is in a group, as the body says; or as it was; or so many times as many instances."""
        base, body, rules = _path_of(request), await body_of(request, any_type=True), self._runtime.rules
        path = changes.group_id(base, body)
        match changes.group_request(body):
            case changes.ToVersion(version):
                change = self._rollback(path, version_of(version))
            case changes.ScaleBy(factor):

                def change(root: Root) -> Root:
                    return changes.scale_group(root, path, factor, rules)
            case _:

                def change(root: Root) -> Root:
                    return changes.put_group(root, base, body, rules)

        if switch(request, "dryRun"):
            return dry_run(self._runtime, change)
        return (await deploy(self._runtime, request, change)).answer()

    async def roll_back(self, request: web.Request) -> web.StreamResponse:
        """A group as it was in the version of the path (so some clients ask)."""
        change = self._rollback(_path_of(request), version_of(request.match_info["version"]))
        return (await deploy(self._runtime, request, change)).answer()

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """Whether a group at the top enforces its role."""
        path, body, rules = _path_of(request), await body_of(request, any_type=True), self._runtime.rules
        await deploy(self._runtime, request, lambda root: changes.patch_group(root, path, body, rules))
        return web.Response()

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """A group no more, with all that is in it."""
        path = _path_of(request)
        accepted = await deploy(self._runtime, request, lambda root: changes.delete_group(root, path))
        return accepted.answer()

    def _rollback(self, path: str, version: str) -> Callable[[Root], Root]:
        def change(root: Root) -> Root:
            if (past := self._runtime.core.state.root_at(version)) is None:
                raise BadArgument(_no_version(version))
            return changes.rollback_group(root, path, past, self._runtime.rules)

        return change

    # ── what there is ─────────────────────────────────────────────────────────────────────────────
    @property
    def _root(self) -> Root:
        return self._runtime.core.root

    @property
    def _tree(self) -> _Tree:
        if self._known_tree is None or self._known_tree.root is not self._root:
            self._known_tree = _Tree(self._root)
        return self._known_tree

    def _group(self, path: str) -> Group:
        if (group := self._root.groups.get(path)) is None:
            raise unknown("Group", path)
        return group

    def _root_at(self, version: str) -> Root:
        if (root := self._runtime.core.state.root_at(version)) is None:
            raise NotFound(_no_version(version))
        return root


def _no_version(version: str) -> str:
    return f"There is no version '{version}' of the groups (any more)"


def _path_of(request: web.Request) -> str:
    return path_of(request) if "id" in request.match_info else ids.ROOT
