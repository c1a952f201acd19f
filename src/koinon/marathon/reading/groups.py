"""What can be asked of a group: another structure, scaling, or an earlier version."""

from __future__ import annotations

from typing import Any

import msgspec

from koinon.marathon.model.problems import Invalid, Problem
from koinon.marathon.reading import schema
from koinon.marathon.reading.fields import APP_FIELDS, PATH_ID, TIMESTAMP
from koinon.marathon.reading.schema import Anything, Flag, Kind, Listed, Number, Object

DEPTH_MAX = 50  #: of groups in groups, in one request


class _Group(Object):
    """Holds groups of its own kind."""

    def __init__(self) -> None:
        fields: dict[str, Kind] = {
            "id": PATH_ID,
            "dependencies": Listed(PATH_ID, unique=True),
            "enforceRole": Flag(),
            "scaleBy": Number(least=0),
            "version": TIMESTAMP,
        }
        super().__init__(fields)
        fields["apps"] = Listed(Anything())  # each is read when it is known what group it is in
        fields["groups"] = Listed(_Nested(fields))


class _Nested(Object):
    def __init__(self, fields: dict[str, Kind]) -> None:
        super().__init__(fields, required=["id"])

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if path.count("/groups(") > DEPTH_MAX:
            found.append(Problem(path, f"groups may be {DEPTH_MAX} deep, not more"))
            return schema.BAD
        return super().read(value, path, found)


GROUP = _Group()
GROUP_PATCH = Object({"enforceRole": Flag()})


class Structure(msgspec.Struct, frozen=True):
    """The group shall be like this: its body, read but for the apps in it."""

    body: dict[str, Any]


class ScaleBy(msgspec.Struct, frozen=True):
    """Each app shall have so many times its instances."""

    factor: float


class ToVersion(msgspec.Struct, frozen=True):
    """It shall be as it was in that root version."""

    version: str


def group_request(body: Any) -> Structure | ScaleBy | ToVersion:
    """What the body of a PUT asks for. Raises Invalid."""
    raw = schema.read(GROUP, body)
    for name in ("scaleBy", "version"):
        if name in raw and len(raw) > 1:
            others = ", ".join(sorted(raw.keys() - {name}))
            raise Invalid([Problem(f"/{name}", f"must stand alone, not with {others}")])
    if "scaleBy" in raw:
        return ScaleBy(raw["scaleBy"])
    if "version" in raw:
        return ToVersion(raw["version"])
    return Structure(raw)


def group_patch(body: Any) -> bool | None:
    """Whether the group's role shall be enforced; None: as for new groups. Raises Invalid."""
    found: bool | None = schema.read(GROUP_PATCH, body).get("enforceRole")
    return found


def version_asked(body: Any) -> str | None:
    """The version that an app shall go back to, if the body says no more than that (and `id`). Raises Invalid.

    None: it asks for something else.
    """
    if not isinstance(body, dict) or body.get("version") is None:
        return None
    version: str = schema.read(Object({"version": TIMESTAMP}), body)["version"]
    others = sorted(
        name for name in body.keys() & APP_FIELDS.keys() - {"id", "version"} if body[name] is not None
    )
    if others:
        raise Invalid([Problem("/version", f"may only be combined with 'id', not with {', '.join(others)}")])
    return version
