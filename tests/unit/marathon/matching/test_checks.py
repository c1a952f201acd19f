"""Checks that agents make of the tasks of apps."""

from __future__ import annotations

from typing import Any

import pytest

from koinon.marathon.model.app import (
    Check,
    Command,
    Container,
    ExecCheck,
    ExecCommand,
    HealthCheck,
    HttpCheck,
    Network,
    PortDefinition,
    PortMapping,
    TcpCheck,
)
from koinon.mesos import v1

from .launches import app, launch

BRIDGE = (Network("container/bridge"),)


def health(check: HealthCheck, **fields: Any) -> v1.HealthCheck | None:
    return launch(app(health_checks=(check,), port_definitions=(PortDefinition(),), **fields)).health_check


def test_checks_that_marathon_makes_are_not_the_agents() -> None:
    assert health(HealthCheck("HTTP")) is None


def test_an_agents_health_check_by_http() -> None:
    found = health(HealthCheck("MESOS_HTTPS", 1, 2, 3, 4, 5, path="/up", ip_protocol="IPv6"))
    assert found == v1.HealthCheck(
        grace_period_seconds=1.0,
        interval_seconds=2.0,
        timeout_seconds=3.0,
        delay_seconds=4.0,
        consecutive_failures=5,
        type=v1.HealthCheck.Type.HTTP,
        http=v1.HealthCheck.HTTPCheckInfo(
            protocol=v1.NetworkInfo.Protocol.IPv6, scheme="https", port=31000, path="/up"
        ),
    )


def test_an_agents_health_check_by_tcp_and_by_command() -> None:
    found = health(HealthCheck("MESOS_TCP", port=9))
    assert found is not None
    assert found.tcp is not None
    assert found.tcp.port == 9
    found = health(HealthCheck("COMMAND", command=Command("true")))
    assert found is not None
    assert found.type is v1.HealthCheck.Type.COMMAND
    assert found.command == v1.CommandInfo(value="true")


def test_agents_look_inside_the_container() -> None:
    task = launch(
        app(
            health_checks=(HealthCheck("MESOS_HTTP", port_index=1),),
            container=Container("MESOS", port_mappings=(PortMapping(80, 0), PortMapping(81, 0))),
            networks=BRIDGE,
            port_definitions=None,
        ),
        ports="31000-31001",
    )
    assert task.health_check is not None
    assert task.health_check.http is not None
    assert task.health_check.http.port == 81


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            Check(http=HttpCheck("/x")),
            v1.CheckInfo(type=v1.CheckInfo.Type.HTTP, http=v1.CheckInfo.Http(port=31000, path="/x")),
        ),
        (Check(tcp=TcpCheck(7)), v1.CheckInfo(type=v1.CheckInfo.Type.TCP, tcp=v1.CheckInfo.Tcp(7))),
        (
            Check(exec=ExecCheck(ExecCommand(argv=("a", "b")))),
            v1.CheckInfo(
                type=v1.CheckInfo.Type.COMMAND,
                command=v1.CheckInfo.Command(v1.CommandInfo(shell=False, value="a", arguments=["a", "b"])),
            ),
        ),
    ],
)
def test_checks(given: Check, expected: v1.CheckInfo) -> None:
    expected.delay_seconds, expected.interval_seconds, expected.timeout_seconds = 15.0, 60.0, 20.0
    assert launch(app(check=given, port_definitions=(PortDefinition(),))).check == expected
