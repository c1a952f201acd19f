"""Groups as the API shows them."""

from __future__ import annotations

from typing import Any

from koinon.marathon.model import Group


def render_group(group: Group, version: str | None = None) -> dict[str, Any]:
    """The group as such; what is in it is added by whoever has been asked for it.

    `version`: another one than its own. `enforceRole` is there only when it is true: a widely used client knows no such field.
    """
    made: dict[str, Any] = {
        "id": group.id,
        "version": group.version if version is None else version,
        "dependencies": list(group.dependencies),
    }
    if group.enforce_role:
        made["enforceRole"] = True
    return made
