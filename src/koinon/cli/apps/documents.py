"""Files with definitions: JSON or YAML, each with an app, a pod, a group, or a list of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from koinon.cli.documents import documents
from koinon.cli.errors import Failure


class Documents(NamedTuple):
    """What files define."""

    apps: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    pods: list[dict[str, Any]]

    @property
    def body(self) -> dict[str, Any]:
        """As `/v2/koinon/deploy` takes it."""
        return {name: found for name, found in self._asdict().items() if found}


def read(names: Sequence[str]) -> Documents:
    """All definitions in the files; `-` is standard input. Raises Failure."""
    found = Documents([], [], [])
    for name in names:
        number = 0
        for document in documents(name):
            for one in document if isinstance(document, list) else [document]:
                number += 1
                _sort_in(found, one, name)
        if not number:
            raise Failure(f"{name} defines nothing")
    return found


def _sort_in(found: Documents, one: Any, name: str) -> None:
    if not isinstance(one, dict):
        raise Failure(
            f"{name} must hold objects, each with an app, a pod or a group, not {json.dumps(one)[:60]}"
        )
    if not isinstance(one.get("id"), str):
        raise Failure(f"{name}: something in it has no id")
    if "containers" in one:
        found.pods.append(one)
    elif "apps" in one or "groups" in one:
        found.groups.append(one)
    else:
        found.apps.append(one)
