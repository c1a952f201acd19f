"""A pod from JSON: its form is read, what is left out is filled in, and what it means is checked."""

from __future__ import annotations

from typing import Any

import msgspec

from koinon.marathon.model import Pod, ids
from koinon.marathon.model.problems import Problem
from koinon.marathon.model.settings import Rules
from koinon.marathon.reading import pod_fields, schema
from koinon.marathon.reading.apps import tell
from koinon.marathon.reading.networking import CONTAINER, complete_networks
from koinon.marathon.reading.pod_rules import pod_problems


def pod(body: Any, *, rules: Rules, role: str | None = None, problems: list[Problem] | None = None) -> Pod:
    """The pod of a full definition. `role` is what it gets if it names none. Raises Invalid.

    What is wrong with the meaning is added to `problems` if that is given, and nothing is raised for it.
    """
    raw = schema.read(pod_fields.POD, body)
    found: list[Problem] = []
    raw.pop("version", None)
    raw["id"] = ids.resolve(raw["id"])
    raw.setdefault("role", role or rules.role)
    complete_networks(raw, rules, found)
    if all(one["mode"] != CONTAINER for one in raw["networks"]):
        for container in raw["containers"]:
            for endpoint in container.get("endpoints", ()):
                endpoint.setdefault("hostPort", 0)
    made = msgspec.convert(raw, Pod)
    found.extend(pod_problems(made, rules))
    tell(found, "", problems)
    return made
