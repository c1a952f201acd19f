"""An app from JSON: its form is read, deprecated fields are turned into those of today, what is left out is filled in,
and what it means is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from koinon.marathon.model import App, ids
from koinon.marathon.model.problems import Invalid, Problem, within
from koinon.marathon.model.settings import Rules
from koinon.marathon.reading import fields, schema
from koinon.marathon.reading.app_rules import SINGLE_INSTANCE_LABEL, app_problems
from koinon.marathon.reading.legacy import modern
from koinon.marathon.reading.networking import complete_networks, fill_ports
from koinon.marathon.rendering.apps import definition

_Item = TypeVar("_Item")


def app(
    body: Any,
    *,
    base: str = ids.ROOT,
    rules: Rules,
    role: str | None = None,
    place: str = "",
    problems: list[Problem] | None = None,
) -> App:
    """The app of a full definition. `role` is what it gets if it names none. Raises Invalid.

    Relative ids are seen from the group `base`. `place` is where the body stands in the request. What is wrong with
    the meaning is added to `problems` if that is given, and nothing is raised for it.
    """
    raw = schema.read(fields.APP, body, place)
    found: list[Problem] = []
    made = _finish(modern(raw, found, bridge_name=rules.mesos_bridge_name), base, rules, role, found)
    tell(found, place, problems)
    return made


def updated(
    old: App, body: Any, *, rules: Rules, place: str = "", problems: list[Problem] | None = None
) -> App:
    """`old` with the top-level fields that `body` has, each replaced whole; null unsets one. Otherwise as app()."""
    raw = schema.read(fields.APP_UPDATE, body, place)
    found: list[Problem] = []
    change = modern(raw, found, bridge_name=rules.mesos_bridge_name)
    merged = definition(old)
    if "networks" in change and _is_host(change["networks"]) != _is_host(merged["networks"]):
        # The ports of the other kind of network mean nothing here.
        merged.pop("portDefinitions", None)
        merged.pop("requirePorts", None)
        if "container" in merged:
            merged["container"].pop("portMappings", None)
    for name in _unset(body):
        merged.pop(name, None)
    made = _finish(merged | change | {"id": old.id}, ids.ROOT, rules, old.role, found)
    tell(found, place, problems)
    return made


def tell(found: list[Problem], place: str, problems: list[Problem] | None) -> None:
    """Add what was found to `problems`, or raise Invalid with it if there is no such list."""
    placed = [within(place, one) for one in found]
    if problems is not None:
        problems.extend(placed)
    elif placed:
        raise Invalid(placed)


def _is_host(networks: list[dict[str, Any]]) -> bool:
    return all(one.get("mode", "container") == "host" for one in networks)


_CALLED_BEFORE: Mapping[str, str] = {"ports": "portDefinitions", "uris": "fetch", "ipAddress": "networks"}


def _unset(body: Mapping[str, Any]) -> set[str]:
    return {_CALLED_BEFORE.get(name, name) for name, value in body.items() if value is None and name != "id"}


def _finish(raw: dict[str, Any], base: str, rules: Rules, role: str | None, found: list[Problem]) -> App:
    """The app of fields of today's form."""
    raw.pop("version", None)
    raw["id"] = ids.resolve(raw["id"], base)
    if "dependencies" in raw:
        raw["dependencies"] = [ids.resolve(one, base) for one in raw["dependencies"]]
    if "constraints" in raw:
        raw["constraints"] = [[one[0], one[1].upper(), *one[2:]] for one in raw["constraints"]]
    raw.setdefault("role", role or rules.role)
    if not raw.get("args"):
        raw.pop("args", None)
    complete_networks(raw, rules, found)
    fill_ports(raw, found)
    _complete_checks(raw)
    _complete_strategies(raw)
    made = msgspec.convert(raw, App)
    made = msgspec.structs.replace(
        made,
        constraints=_unique(made.constraints),
        dependencies=_unique(made.dependencies),
        health_checks=_unique(made.health_checks),
    )
    found.extend(app_problems(made, rules))
    return made


def _unique(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """Without what is there twice, once nothing is left out any more; these are sets in truth."""
    return tuple(one for at, one in enumerate(items) if one not in items[:at])


def _complete_checks(raw: dict[str, Any]) -> None:
    container = raw.get("container") or {}
    has_ports = bool(raw.get("portDefinitions") or container.get("portMappings"))
    if raw.get("healthChecks"):
        raw["healthChecks"] = [_complete_check(dict(one), has_ports) for one in raw["healthChecks"]]
    for one in raw.get("readinessChecks") or ():
        if not one.get("httpStatusCodesForReady"):
            one.pop("httpStatusCodesForReady", None)


def _complete_check(check: dict[str, Any], has_ports: bool) -> dict[str, Any]:
    protocol = check.get("protocol", "HTTP")
    if has_ports and protocol != "COMMAND" and "port" not in check:
        check.setdefault("portIndex", 0)
    if protocol not in ("HTTP", "HTTPS"):
        check.pop("ignoreHttp1xx", None)  # means nothing, and is not shown
    return check


def _complete_strategies(raw: dict[str, Any]) -> None:
    if (raw.get("labels") or {}).get(SINGLE_INSTANCE_LABEL) == "true":
        raw["upgradeStrategy"] = {"minimumHealthCapacity": 0.0, "maximumOverCapacity": 0.0} | (
            raw.get("upgradeStrategy") or {}
        )
    kinds = [
        one
        for one in (raw.get("container") or {}).get("volumes") or ()
        if one.keys() & {"persistent", "external"}
    ]
    if kinds:
        raw["upgradeStrategy"] = {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.0} | (
            raw.get("upgradeStrategy") or {}
        )
    if any("persistent" in one for one in kinds):
        raw.setdefault("residency", {})
        raw.setdefault("unreachableStrategy", "disabled")
