"""Checks that the agent makes: of health, which may end a task, and others, which are only shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from koinon.marathon.matching.networks import Port
from koinon.marathon.model.app import App, ExecCommand, HealthCheck
from koinon.marathon.model.pod import PodCheck, PodHealthCheck
from koinon.mesos import v1

_Protocol = v1.NetworkInfo.Protocol


# ── apps ──────────────────────────────────────────────────────────────────────────────────────────
def health_check(app: App, ports: Sequence[Port]) -> v1.HealthCheck | None:
    """The first health check that is the agent's to make; agents make one at most."""
    for check in app.health_checks:
        if check.by_agent:
            return _health(check, ports)
    return None


def _health(check: HealthCheck, ports: Sequence[Port]) -> v1.HealthCheck | None:
    found = v1.HealthCheck(
        delay_seconds=float(check.delay_seconds),
        interval_seconds=float(check.interval_seconds),
        timeout_seconds=float(check.timeout_seconds),
        consecutive_failures=check.max_consecutive_failures,
        grace_period_seconds=float(check.grace_period_seconds),
    )
    if check.protocol == "COMMAND":
        found.type = v1.HealthCheck.Type.COMMAND
        found.command = v1.CommandInfo(value=check.command.value if check.command is not None else "")
        return found
    if (port := _port(check.port, check.port_index, ports)) is None:
        return None
    protocol = _Protocol.IPv6 if check.ip_protocol == "IPv6" else _Protocol.IPv4
    if check.protocol == "MESOS_TCP":
        found.type = v1.HealthCheck.Type.TCP
        found.tcp = v1.HealthCheck.TCPCheckInfo(protocol=protocol, port=port)
    else:
        found.type = v1.HealthCheck.Type.HTTP
        scheme = check.protocol.removeprefix("MESOS_").lower()
        found.http = v1.HealthCheck.HTTPCheckInfo(
            protocol=protocol, scheme=scheme, port=port, path=check.path
        )
    return found


def check(app: App, ports: Sequence[Port]) -> v1.CheckInfo | None:
    """The app's check, whose result is shown with its tasks."""
    if (given := app.check) is None:
        return None
    found = _timed(given.delay_seconds, given.interval_seconds, given.timeout_seconds)
    if given.exec is not None:
        return _by_command(found, given.exec.command)
    if given.http is not None:
        port = _port(given.http.port, given.http.port_index, ports)
        return None if port is None else _by_http(found, port, given.http.path)
    if given.tcp is not None:
        port = _port(given.tcp.port, given.tcp.port_index, ports)
        return None if port is None else _by_tcp(found, port)
    return None


def _port(number: int | None, index: int | None, ports: Sequence[Port]) -> int | None:
    """The number wins; the agent asks inside the container's network."""
    if number is not None:
        return number
    index = index or 0
    return ports[index].inside if index < len(ports) else None


# ── pods ──────────────────────────────────────────────────────────────────────────────────────────
def pod_health_check(given: PodHealthCheck, ports: Mapping[str, Port]) -> v1.HealthCheck | None:
    """Of one container; `ports` are its endpoints by name."""
    found = v1.HealthCheck(
        delay_seconds=float(given.delay_seconds),
        interval_seconds=float(given.interval_seconds),
        timeout_seconds=float(given.timeout_seconds),
        consecutive_failures=given.max_consecutive_failures,
        grace_period_seconds=float(given.grace_period_seconds),
    )
    if given.exec is not None:
        found.type = v1.HealthCheck.Type.COMMAND
        found.command = command(given.exec.command)
    elif given.http is not None and (port := ports.get(given.http.endpoint)) is not None:
        found.type = v1.HealthCheck.Type.HTTP
        found.http = v1.HealthCheck.HTTPCheckInfo(
            scheme=given.http.scheme.lower(), port=port.inside, path=given.http.path
        )
    elif given.tcp is not None and (port := ports.get(given.tcp.endpoint)) is not None:
        found.type = v1.HealthCheck.Type.TCP
        found.tcp = v1.HealthCheck.TCPCheckInfo(port=port.inside)
    else:
        return None
    return found


def pod_check(given: PodCheck, ports: Mapping[str, Port]) -> v1.CheckInfo | None:
    """Of one container."""
    found = _timed(given.delay_seconds, given.interval_seconds, given.timeout_seconds)
    if given.exec is not None:
        return _by_command(found, given.exec.command)
    if given.http is not None and (port := ports.get(given.http.endpoint)) is not None:
        return _by_http(found, port.inside, given.http.path)
    if given.tcp is not None and (port := ports.get(given.tcp.endpoint)) is not None:
        return _by_tcp(found, port.inside)
    return None


# ── both ──────────────────────────────────────────────────────────────────────────────────────────
def command(given: ExecCommand) -> v1.CommandInfo:
    """A shell line, or a program and its arguments."""
    if given.argv is not None:
        return v1.CommandInfo(shell=False, value=given.argv[0], arguments=list(given.argv))
    return v1.CommandInfo(value=given.shell)


def _timed(delay: float, interval: float, timeout: float) -> v1.CheckInfo:
    return v1.CheckInfo(
        delay_seconds=float(delay), interval_seconds=float(interval), timeout_seconds=float(timeout)
    )


def _by_command(found: v1.CheckInfo, given: ExecCommand) -> v1.CheckInfo:
    found.type = v1.CheckInfo.Type.COMMAND
    found.command = v1.CheckInfo.Command(command(given))
    return found


def _by_http(found: v1.CheckInfo, port: int, path: str | None) -> v1.CheckInfo:
    found.type = v1.CheckInfo.Type.HTTP
    found.http = v1.CheckInfo.Http(port=port, path=path)
    return found


def _by_tcp(found: v1.CheckInfo, port: int) -> v1.CheckInfo:
    found.type = v1.CheckInfo.Type.TCP
    found.tcp = v1.CheckInfo.Tcp(port)
    return found
