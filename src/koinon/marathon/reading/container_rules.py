"""What an app's container, its volumes and its ports must be like."""

from __future__ import annotations

from collections.abc import Iterator

from koinon.marathon.model import App
from koinon.marathon.model.app import Container, Volume
from koinon.marathon.model.problems import Problem
from koinon.marathon.model.settings import Rules
from koinon.marathon.reading import common_rules as common


def container_problems(app: App, rules: Rules) -> Iterator[Problem]:
    """Of the container of `app`, if it has one."""
    if (container := app.container) is None:
        return
    if container.type == "DOCKER":
        yield from _docker_engine_problems(container)
    else:
        yield from _mesos_engine_problems(app, container, rules)
    for at, volume in enumerate(container.volumes):
        yield from _volume_problems(app, volume, f"/container/volumes({at})", rules)
    yield from common.linux_problems(container.linux_info, "/container/linuxInfo")


def _docker_engine_problems(container: Container) -> Iterator[Problem]:
    if container.docker is None:
        yield Problem("/container/docker", "must be given for a container of type DOCKER")
    elif container.docker.pull_config is not None:
        yield Problem("/container/docker/pullConfig", "is not supported by the Docker container engine")
    if container.linux_info is not None:
        yield Problem("/container/linuxInfo", "is not supported by the Docker container engine")


def _mesos_engine_problems(app: App, container: Container, rules: Rules) -> Iterator[Problem]:
    if (docker := container.docker) is None:
        return
    if docker.pull_config is not None:
        yield from common.feature_problems(rules, "secrets", "/container/docker/pullConfig")
        yield from common.secret_problems(
            docker.pull_config.secret, app.secrets, "/container/docker/pullConfig/secret"
        )
    if docker.parameters:
        yield Problem("/container/docker/parameters", "are for the Docker container engine only")
    if docker.privileged:
        yield Problem("/container/docker/privileged", "is for the Docker container engine only")


def _volume_problems(app: App, volume: Volume, at: str, rules: Rules) -> Iterator[Problem]:
    kinds = {
        "hostPath": volume.host_path,
        "persistent": volume.persistent,
        "external": volume.external,
        "secret": volume.secret,
    }
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) != 1:
        yield Problem(
            at, f"must have one of {', '.join(kinds)}" + (f", not {' and '.join(given)}" if given else "")
        )
        return
    if volume.persistent is not None or volume.external is not None:
        kind = given[0]
        yield Problem(f"{at}/{kind}", f"{kind} volumes are not supported yet")
    elif volume.secret is not None:
        yield from common.feature_problems(rules, "secrets", f"{at}/secret")
        yield from common.secret_problems(volume.secret, app.secrets, f"{at}/secret")
    elif volume.mode is None:
        yield Problem(f"{at}/mode", "must be RO or RW")


def port_problems(app: App) -> Iterator[Problem]:
    """Of port definitions and port mappings."""
    definitions = app.port_definitions or ()
    yield from common.name_problems(
        [one.name for one in definitions], "/portDefinitions({})/name", "the names of ports"
    )
    numbers = [str(one.port) if one.port else None for one in definitions]
    yield from common.name_problems(numbers, "/portDefinitions({})/port", "ports")
    mappings = (app.container.port_mappings if app.container is not None else None) or ()
    yield from common.name_problems(
        [one.name for one in mappings], "/container/portMappings({})/name", "the names of ports"
    )
    for at, mapping in enumerate(mappings):
        yield from common.port_network_problems(
            mapping.host_port, mapping.network_names, app.networks, f"/container/portMappings({at})"
        )
