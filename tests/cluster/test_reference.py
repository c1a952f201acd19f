"""docs/reference/http-api.md says truly which calls of operators are served, and which are not yet."""

import http.client
import json
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from koinon.mesos import codec
from koinon.mesos.v1 import agent, master
from koinon.mesos.v1.base import V1Message
from tests.cluster.harness import Cluster, Role

PAGE = (Path(__file__).parents[2] / "docs/reference/http-api.md").read_text()


def smallest(kind: type[V1Message], name: str) -> dict[str, Any]:
    """The call with a body that holds no more than what a body must."""
    field = codec.fields_of(kind).get(name.lower())
    return {"type": name} if field is None else {"type": name, name.lower(): least(field.kind)}


def least(kind: Any) -> Any:
    """The least value of a type, as JSON has it."""
    if issubclass(kind, Enum):
        return next(iter(kind)).name
    if not issubclass(kind, V1Message):
        return {str: "x", bytes: ""}.get(kind, 0)
    required = {name: field.kind for name, field in codec.fields_of(kind).items() if field.required}
    return {name: least(inner) for name, inner in required.items()}


def not_supported(role: Role, kind: type[V1Message], calls: set[str]) -> set[str]:
    """The calls that the role answers with 501."""
    found = set()
    connection = http.client.HTTPConnection(role.address, timeout=10)
    for name in calls:
        body = json.dumps(smallest(kind, name))
        connection.request("POST", "/api/v1", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status == 501:
            assert "not supported yet" in text
            found.add(name)
    connection.close()
    return found


def said_to_be_unsupported(title: str) -> set[str]:
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.endswith("| not supported yet |")]
    return {name for line in lines for name in re.findall(r"`([A-Z_]+)`", line)}


@pytest.mark.parametrize(("title", "calls"), [("Master", master.Call), ("Agent", agent.Call)])
def test_page_lists_the_calls_that_are_not_supported_yet(
    cluster: Cluster, title: str, calls: type[master.Call] | type[agent.Call]
) -> None:
    role = cluster.master if title == "Master" else cluster.agents[0]
    # SUBSCRIBE is answered by a stream that does not end.
    names = {call.name for call in calls.Type} - {"UNKNOWN", "SUBSCRIBE"}
    assert said_to_be_unsupported(title) == not_supported(role, calls, names)
