"""Groups as the API shows them."""

from __future__ import annotations

from typing import Any

from koinon.marathon.model import Group

#: The version of a root that has never been changed.
_NEVER = "1970-01-01T00:00:00.000Z"


def render_group(group: Group, version: str | None = None) -> dict[str, Any]:
    """The group as such; what is in it is added by whoever has been asked for it.

    `version`: another one than its own. `enforceRole` is there only when it is true: a widely used client knows no such field.
    """
    made: dict[str, Any] = {
        "id": group.id,
        "version": (group.version if version is None else version) or _NEVER,
        "dependencies": list(group.dependencies),
    }
    if group.enforce_role:
        made["enforceRole"] = True
    return made
