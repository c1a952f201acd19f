"""Service ports: numbers for load balancers, unique over all apps, given where a definition says 0.

A changed app gets those back first that it had. For a new one the search starts at a place that follows from its id,
so that an app which is deleted and created again gets the same ports as long as nobody else has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from zlib import crc32

import msgspec

from koinon.marathon.model import App, Root
from koinon.marathon.model.app import PortDefinition
from koinon.marathon.model.problems import Invalid, Problem
from koinon.marathon.model.settings import Rules

replace = msgspec.structs.replace


def assign(before: Root, target: Root, rules: Rules, taken: Counter[int] | None = None) -> Root:
    """`target` with service ports for its zeros. Raises Invalid when there are no more.

    An app that is after that what it was in `before` is the same object as there; if all are, so is `apps`. `taken`: how many times each port
    stands in the apps of `before`, if that is known; it is not changed.
    """
    if target.apps is before.apps:
        return target
    changed = {path: app for path, app in target.apps.items() if before.apps.get(path) is not app}
    used = Counter(_ports(before.apps.values())) if taken is None else taken.copy()
    used.subtract(_ports(app for path in changed if (app := before.apps.get(path)) is not None))
    if len(target.apps) != len(before.apps) + sum(path not in before.apps for path in changed):
        used.subtract(_ports(before.apps[path] for path in before.apps.keys() - target.apps.keys()))
    used.update(_ports(changed.values()))
    made: dict[str, App] = {}
    for path, app in changed.items():
        old = before.apps.get(path)
        assigned = _assigned(app, old.service_ports if old is not None else (), used, rules)
        made[path] = old if assigned == old and old is not None else assigned
    apps: Mapping[str, App] = {**target.apps, **made}
    if len(apps) == len(before.apps) and all(before.apps.get(path) is app for path, app in made.items()):
        apps = before.apps
    return replace(target, apps=apps)


def _ports(apps: Iterable[App]) -> Iterator[int]:
    return (port for app in apps for port in app.service_ports if port)


def _assigned(app: App, former: Collection[int], taken: Counter[int], rules: Rules) -> App:
    declared = app.service_ports
    if 0 not in declared:
        return app
    own = [port for port in former if port and port not in declared]
    search = _free(app.id, taken, rules)
    ports = []
    for port in declared:
        if port == 0:
            # What it had is its own, whoever else has named that number meanwhile.
            port = own.pop(0) if own else next(search, 0)
            if port == 0:
                size = rules.local_port_max - rules.local_port_min
                raise Invalid(
                    [Problem("/", f"{app.id} needs a service port, and all {size} of them are taken")]
                )
            taken[port] += 1
        ports.append(port)
    if app.port_definitions is not None:
        definitions = zip(app.port_definitions, ports, strict=True)
        return replace(app, port_definitions=tuple(_numbered(one, port) for one, port in definitions))
    assert app.container is not None
    mappings = zip(app.container.port_mappings or (), ports, strict=True)
    made = tuple(one if one.service_port else replace(one, service_port=port) for one, port in mappings)
    return replace(app, container=replace(app.container, port_mappings=made))


def _numbered(definition: PortDefinition, port: int) -> PortDefinition:
    return definition if definition.port else replace(definition, port=port, assigned=True)


def _free(path: str, taken: Counter[int], rules: Rules) -> Iterator[int]:
    size = rules.local_port_max - rules.local_port_min
    start = crc32(path.encode()) % max(size, 1)
    for at in range(size):
        port = rules.local_port_min + (start + at) % size
        if not taken[port]:
            yield port
