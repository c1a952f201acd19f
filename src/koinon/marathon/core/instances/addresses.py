"""Where an instance is asked: the addresses of its ports."""

from __future__ import annotations

from koinon.marathon.model import App, Instance


def address(instance: Instance, spec: App, index: int, port: int | None = None) -> tuple[str, int] | None:
    """Host and port of a declared port of the instance, or of the given one; None if it has none.

    On networks of their own, containers are asked at their own addresses, unless the port is one of the agent's, too.
    """
    assert instance.agent is not None
    task = instance.tasks[0]
    host = instance.agent.hostname
    mappings = (spec.container.port_mappings if spec.container is not None else None) or ()
    has_own_address = any(network.mode == "container" for network in spec.networks)
    if port is not None:
        return (task.ip_addresses[0] if has_own_address and task.ip_addresses else host), port
    if spec.port_definitions is not None:
        return (host, task.host_ports[index]) if index < len(task.host_ports) else None
    if index >= len(mappings):
        return None
    mapping = mappings[index]
    if mapping.host_port is not None:
        on_host = sum(one.host_port is not None for one in mappings[:index])
        return (host, task.host_ports[on_host]) if on_host < len(task.host_ports) else None
    if not task.ip_addresses or not mapping.container_port:
        return None
    return task.ip_addresses[0], mapping.container_port


def index_of_port(spec: App, name: str) -> int:
    """Of the declared port of that name; the first if there is none."""
    mappings = (spec.container.port_mappings if spec.container is not None else None) or ()
    names = [one.name for one in (spec.port_definitions if spec.port_definitions is not None else mappings)]
    return names.index(name) if name in names else 0
