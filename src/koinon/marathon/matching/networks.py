"""Where the ports of a task lead: networks of containers, what others discover, what the agent's checks ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from koinon.marathon.matching.wanted import PortWish, is_on_host
from koinon.marathon.model import ids
from koinon.marathon.model.app import App, Network
from koinon.marathon.model.pod import Endpoint
from koinon.marathon.model.root import RunSpec
from koinon.mesos import v1

_PortMapping = v1.NetworkInfo.PortMapping


class Port(Struct, frozen=True):
    """A declared port, and what became of it."""

    name: str | None
    protocols: tuple[str, ...]
    labels: Mapping[str, str]
    networks: tuple[str, ...]  #: names; none: all
    host: int | None
    inside: int  #: as the task itself sees it


def ports_of_app(
    app: App, wishes: Sequence[PortWish], host_ports: Sequence[int | None], assigned: Sequence[int]
) -> list[Port]:
    """In the order of declaration."""
    declared: list[tuple[str | None, str, dict[str, str], tuple[str, ...]]]
    if is_on_host(app):
        declared = [(one.name, one.protocol, one.labels, ()) for one in app.port_definitions or ()]
    else:
        mappings = app.container.port_mappings if app.container is not None else None
        declared = [(one.name, one.protocol, one.labels, one.network_names) for one in mappings or ()]
    return [
        Port(name, tuple(protocol.split(",")), labels, networks, host, wish.inside or port)
        for (name, protocol, labels, networks), wish, host, port in zip(
            declared, wishes, host_ports, assigned, strict=True
        )
    ]


def ports_of_endpoints(
    endpoints: Sequence[Endpoint],
    wishes: Sequence[PortWish],
    host_ports: Sequence[int | None],
    assigned: Sequence[int],
) -> list[Port]:
    """The same of a pod's endpoints."""
    return [
        Port(one.name, one.protocol, one.labels, one.network_names, host, wish.inside or port)
        for one, wish, host, port in zip(endpoints, wishes, host_ports, assigned, strict=True)
    ]


# ── networks ──────────────────────────────────────────────────────────────────────────────────────
def network_infos(
    networks: Iterable[Network], ports: Sequence[Port], bridge_name: str
) -> list[v1.NetworkInfo]:
    """The networks that a Mesos container joins; none on the agent's own."""
    return [
        v1.NetworkInfo(
            ip_addresses=[v1.NetworkInfo.IPAddress()],
            name=name,
            labels=labels_v1(network.labels),
            port_mappings=[
                _PortMapping(host_port=port.host, container_port=port.inside, protocol=protocol)
                for port in ports
                if port.host is not None and (not port.networks or name in port.networks)
                for protocol in port.protocols
            ],
        )
        for network, name in _named(networks, bridge_name)
    ]


def _named(networks: Iterable[Network], bridge_name: str) -> list[tuple[Network, str]]:
    return [
        (network, bridge_name if network.mode == "container/bridge" else network.name or "")
        for network in networks
        if network.mode != "host"
    ]


# ── discovery ─────────────────────────────────────────────────────────────────────────────────────
def reversed_name(path: str) -> str:
    """`/prod/web` → `web.prod`: the name of tasks, which names of hosts are made from."""
    return ".".join(reversed(ids.segments(path)))


def discovery(spec: RunSpec, ports: Sequence[Port]) -> v1.DiscoveryInfo:
    """What others may find out about a task."""
    return v1.DiscoveryInfo(
        visibility=v1.DiscoveryInfo.Visibility.FRAMEWORK,
        name=reversed_name(spec.id),
        ports=v1.Ports(ports=[found for port in ports for found in _discovered(spec, port)]),
    )


def _discovered(spec: RunSpec, port: Port) -> list[v1.Port]:
    if is_on_host(spec):
        scopes: list[dict[str, str]] = [{}]
    elif port.host is not None:
        scopes = [{"network-scope": "host"}]
    else:
        names = port.networks or [one.name or "" for one in spec.networks if one.mode == "container"]
        scopes = [{"network-scope": "container", "network-name": name} for name in names]
    number = port.inside if port.host is None else port.host
    return [
        v1.Port(number=number, name=port.name, protocol=protocol, labels=labels_v1({**port.labels, **scope}))
        for protocol in port.protocols
        for scope in scopes
    ]


def labels_v1(labels: Mapping[str, str]) -> v1.Labels | None:
    """As they stand in messages; None for none."""
    if not labels:
        return None
    return v1.Labels(labels=[v1.Label(key=key, value=value) for key, value in labels.items()])
