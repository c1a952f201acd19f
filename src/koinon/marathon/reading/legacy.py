"""Deprecated forms of an app's fields, turned into those of today.

uris                              → fetch
ports                             → portDefinitions
ipAddress, container.docker.network → networks
container.docker.portMappings, ipAddress.discovery.ports → container.portMappings
"""

from __future__ import annotations

from typing import Any

from koinon.marathon.model.problems import Problem

_ARCHIVES = (".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip")


def modern(raw: dict[str, Any], found: list[Problem], *, bridge_name: str = "mesos-bridge") -> dict[str, Any]:
    """The fields of `raw` without deprecated ones. What cannot stand together is told in `found`."""
    made = dict(raw)
    _fetch(made, found)
    _ports(made, found)
    _networks(made, found, bridge_name)
    _port_mappings(made, found)
    made.pop("ipAddress", None)
    return made


def _fetch(made: dict[str, Any], found: list[Problem]) -> None:
    uris = made.pop("uris", None)
    if uris is None:
        return
    wanted = [{"uri": uri, "extract": uri.endswith(_ARCHIVES)} for uri in uris]
    if made.get("fetch") and uris and [one["uri"] for one in made["fetch"]] != uris:
        found.append(Problem("/uris", "'fetch' and 'uris' say the same; only one of them may be given"))
    elif not made.get("fetch"):
        made["fetch"] = wanted


def _ports(made: dict[str, Any], found: list[Problem]) -> None:
    ports = made.pop("ports", None)
    if ports is None:
        return
    definitions = made.get("portDefinitions")
    if definitions is None:
        names = ({"name": "default"} if at == 0 else {} for at in range(len(ports)))
        made["portDefinitions"] = [{"port": port, **name} for port, name in zip(ports, names, strict=True)]
        made["_ports"] = True  # with other than host networking they become port mappings
    elif ports and [one.get("port", 0) for one in definitions] != ports:
        found.append(Problem("/ports", "'ports' and 'portDefinitions' say different things"))


def _networks(made: dict[str, Any], found: list[Problem], bridge_name: str) -> None:
    address = made.get("ipAddress")
    docker = (made.get("container") or {}).get("docker") or {}
    kind = docker.get("network")
    if docker.get("credential") is not None:
        found.append(Problem("/container/docker/credential", "is not supported any more; use 'pullConfig'"))
    if kind == "NONE":
        found.append(Problem("/container/docker/network", "NONE is not supported"))
    if "network" in docker or "credential" in docker:
        rest = {name: value for name, value in docker.items() if name not in ("network", "credential")}
        made["container"] = made["container"] | {"docker": rest}
    if address is None and kind is None:
        return
    if made.get("networks"):
        at = "/ipAddress" if address is not None else "/container/docker/network"
        found.append(Problem(at, "cannot be given together with 'networks'"))
        return
    if address is not None and made.get("portDefinitions"):
        found.append(
            Problem("/ipAddress", "cannot be given together with ports: each instance has all of its own")
        )
    name, labels = (address or {}).get("networkName"), (address or {}).get("labels")
    mode = {"HOST": "host", "BRIDGE": "container/bridge", "USER": "container", None: "container"}.get(
        kind, "host"
    )
    if kind is None and name == bridge_name:
        mode = "container/bridge"
    network: dict[str, Any] = {"mode": mode}
    if mode == "container" and name is not None:
        network["name"] = name
    if mode != "host" and labels:
        network["labels"] = labels
    made["networks"] = [network]
    made["_old_network"] = True
    if address is not None and made.get("container") is None:
        made["container"] = {"type": "MESOS"}


def _port_mappings(made: dict[str, Any], found: list[Problem]) -> None:
    container = made.get("container")
    if container is None:
        return
    docker = container.get("docker") or {}
    old = docker.get("portMappings")
    if "portMappings" in docker:
        rest = {name: value for name, value in docker.items() if name != "portMappings"}
        container = container | {"docker": rest}
    at = "/container/docker/portMappings"
    discovery = ((made.get("ipAddress") or {}).get("discovery") or {}).get("ports")
    if old and discovery:
        found.append(Problem("/ipAddress/discovery/ports", "cannot be given together with port mappings"))
    if old is None and discovery:
        at = "/ipAddress/discovery/ports"
        old = [
            {"containerPort": one.get("number", 0)} | {k: v for k, v in one.items() if k != "number"}
            for one in discovery
        ]
    if old is not None:
        if old and container.get("portMappings"):
            found.append(Problem(at, "cannot be given together with 'container.portMappings'"))
        else:
            container = container | {"portMappings": old or container.get("portMappings") or old}
    made["container"] = container
