"""All definitions at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from koinon.marathon.model import ids
from koinon.marathon.model.app import App
from koinon.marathon.model.pod import Pod

RunSpec = App | Pod  #: what instances are made of


class Group(msgspec.Struct, frozen=True, rename="camel"):
    """A group as such; what is in it is found by ids."""

    id: str
    dependencies: tuple[str, ...] = ()  #: absolute
    enforce_role: bool = False  #: of top-level groups
    version: str = ""  #: of the change that made or touched it last


class Root(msgspec.Struct, frozen=True, gc=False):
    """A snapshot: nobody changes the mappings once it is made. The group `/` is always there, and so is each parent."""

    apps: Mapping[str, App] = {}
    pods: Mapping[str, Pod] = {}
    groups: Mapping[str, Group] = msgspec.field(default_factory=lambda: {ids.ROOT: Group(ids.ROOT)})
    version: str = ""  #: of the change that made it

    def run_spec(self, path: str) -> RunSpec | None:
        """The app or pod of that id."""
        return self.apps.get(path) or self.pods.get(path)

    def run_specs(self) -> Iterator[RunSpec]:
        """All apps, then all pods."""
        yield from self.apps.values()
        yield from self.pods.values()

    def apps_within(self, group: str) -> Iterator[App]:
        """Of the group and all below."""
        return (app for path, app in self.apps.items() if ids.is_within(path, group))
