"""What an app's health checks, check and readiness checks must be like."""

from __future__ import annotations

from collections.abc import Iterator

from koinon.marathon.model import App
from koinon.marathon.model.app import ExecCommand, HealthCheck, ReadinessCheck
from koinon.marathon.model.problems import Problem
from koinon.marathon.reading.common_rules import text_problems


def check_problems(app: App) -> Iterator[Problem]:
    """Of all checks of `app`."""
    for at, health in enumerate(app.health_checks):
        yield from _health_problems(app, health, f"/healthChecks({at})")
    if sum(one.by_agent and one.protocol != "COMMAND" for one in app.health_checks) > 1:
        yield Problem(
            "/healthChecks", "at most one can be made by the agent (MESOS_HTTP, MESOS_HTTPS, MESOS_TCP)"
        )
    yield from _agent_check_problems(app)
    if len(app.readiness_checks) > 1:
        yield Problem("/readinessChecks", "at most one is supported")
    for at, readiness in enumerate(app.readiness_checks):
        yield from _readiness_problems(app, readiness, f"/readinessChecks({at})")


def port_count(app: App) -> int:
    """How many ports there are to be named by `portIndex`."""
    if app.port_definitions is not None:
        return len(app.port_definitions)
    return len((app.container.port_mappings if app.container is not None else None) or ())


def _is_docker_engine(app: App) -> bool:
    return app.container is not None and app.container.type == "DOCKER"


def _health_problems(app: App, check: HealthCheck, at: str) -> Iterator[Problem]:
    if check.protocol == "COMMAND":
        if check.command is None:
            yield Problem(f"{at}/command", "must be given for the protocol COMMAND")
    elif check.command is not None:
        yield Problem(f"{at}/command", f"is for the protocol COMMAND, not for {check.protocol}")
    else:
        yield from _port_problems(app, check.port, check.port_index, at)
    if check.ip_protocol == "IPv6" and not (check.protocol.startswith("MESOS_") and _is_docker_engine(app)):
        yield Problem(
            f"{at}/ipProtocol", "IPv6 works only with MESOS_ protocols and containers of type DOCKER"
        )


def _port_problems(app: App, port: int | None, index: int | None, at: str) -> Iterator[Problem]:
    ports = port_count(app)
    if index is not None:
        if index >= ports:
            have = f"there are {ports} (counted from 0)" if ports else "there are none"
            yield Problem(f"{at}/portIndex", f"must address one of the ports of the app; {have}")
    elif port is None and ports == 0:
        yield Problem(f"{at}/portIndex", "the app has no ports: name one by 'port'")


def _agent_check_problems(app: App) -> Iterator[Problem]:
    if (check := app.check) is None:
        return
    if _is_docker_engine(app):
        yield Problem("/check", "is not supported by the Docker container engine")
    kinds = [name for name in ("http", "tcp", "exec") if getattr(check, name) is not None]
    if len(kinds) != 1:
        yield Problem(
            "/check", "must be one of http, tcp, exec" + (f", not {' and '.join(kinds)}" if kinds else "")
        )
    for name in ("http", "tcp"):
        if (one := getattr(check, name)) is not None:
            yield from _port_problems(app, one.port, one.port_index, f"/check/{name}")
    if check.exec is not None:
        yield from command_problems(check.exec.command, "/check/exec/command")


def command_problems(command: ExecCommand, at: str) -> Iterator[Problem]:
    """Of a command that is a shell line or arguments."""
    if (command.shell is None) == (command.argv is None):
        yield Problem(at, "must have one of shell, argv")
    yield from text_problems(command.shell, f"{at}/shell")
    for index, one in enumerate(command.argv or ()):
        yield from text_problems(one, f"{at}/argv({index})")


def _readiness_problems(app: App, check: ReadinessCheck, at: str) -> Iterator[Problem]:
    mappings = (app.container.port_mappings if app.container is not None else None) or ()
    ports = [one.name for one in app.port_definitions or ()] + [one.name for one in mappings]
    names = {name for name in ports if name is not None}
    if check.port_name not in names:
        known = ", ".join(sorted(names)) or "no port has a name"
        yield Problem(f"{at}/portName", f"'{check.port_name}' is the name of no port: {known}")
    if check.timeout_seconds >= check.interval_seconds:
        yield Problem(
            f"{at}/timeoutSeconds", f"must be less than intervalSeconds, which is {check.interval_seconds}"
        )
