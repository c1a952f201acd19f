"""Networks and ports of an app, as far as they follow from one another."""

from __future__ import annotations

from typing import Any

from koinon.marathon.model.problems import Problem
from koinon.marathon.model.settings import Rules

HOST, BRIDGE, CONTAINER = "host", "container/bridge", "container"


def complete_networks(raw: dict[str, Any], rules: Rules, found: list[Problem]) -> None:
    """`networks` with a mode for each, and a name for each that must have one."""
    networks = raw.get("networks") or [{"mode": HOST}]
    made = []
    for at, one in enumerate(networks):
        network = {"mode": CONTAINER} | one
        if network["mode"] == CONTAINER and network.get("name") is None:
            if rules.default_network_name is None:
                found.append(
                    Problem(
                        f"/networks({at})/name", "a container network must have a name: there is no default"
                    )
                )
            else:
                network["name"] = rules.default_network_name
        made.append(network)
    raw["networks"] = made


def fill_ports(raw: dict[str, Any], found: list[Problem]) -> None:
    """Port definitions with host networking, port mappings with any other."""
    from_ports, old_network = raw.pop("_ports", False), raw.pop("_old_network", False)
    modes = {one["mode"] for one in raw["networks"]}
    if HOST in modes:
        mappings = (raw.get("container") or {}).get("portMappings")
        if mappings and not old_network:
            found.append(
                Problem(
                    "/container/portMappings", "must not be given with host networking; use 'portDefinitions'"
                )
            )
        if raw.get("container") is not None:
            raw["container"] = {
                name: value for name, value in raw["container"].items() if name != "portMappings"
            }
        if raw.get("portDefinitions") is None:
            raw["portDefinitions"] = [{"port": 0, "name": "default"}]
        return
    definitions = raw.pop("portDefinitions", None) or []
    raw.pop("requirePorts", None)
    if definitions and not (from_ports or old_network):
        found.append(
            Problem(
                "/portDefinitions", "must not be given without host networking; use 'container.portMappings'"
            )
        )
    container = dict(raw.get("container") or {"type": "MESOS"})
    mappings = container.get("portMappings")
    if mappings is None:
        mappings = [{"containerPort": 0, "name": "default"}]
    mappings = [*mappings, *({} for _ in definitions[len(mappings) :])]
    if BRIDGE in modes:
        mappings = [{"hostPort": 0} | one for one in mappings]
    container["portMappings"] = mappings
    raw["container"] = container
