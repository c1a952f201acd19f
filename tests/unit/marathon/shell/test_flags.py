"""Marathon's flags."""

from pathlib import Path

import pytest

from koinon.flags import FlagError, load
from koinon.marathon.flags import CONVENTIONS, PREFIXES, MarathonFlags


def flags(*argv: str, **environ: str) -> MarathonFlags:
    given = ["--master=zk://h:2181/mesos", *argv]
    return load(MarathonFlags, given, environ=environ, prefixes=PREFIXES, conventions=CONVENTIONS)


def test_a_usual_command_line_is_understood() -> None:
    found = flags(
        "--zk=zk://user:pass@h1:2181,h2:2181/marathon",
        "--hostname=m1",
        "--http_port=8081",
        "--enable_features=task_killing,gpu_resources",
        "--task_launch_timeout=600000",
        "--failover_timeout=1200",
        "--disable_ha",
        "--disable_suppress_offers",
        MARATHON_MESOS_ROLE="web",
        MARATHON_CHECKPOINT="",
        MARATHON_APP_ID="/marathon",
        MARATHON_APP_LABEL_X="1",
    )
    assert found.zk is not None
    assert found.zk.path == "/marathon"
    assert (found.task_launch_timeout, found.failover_timeout) == (600.0, 1200.0)
    assert (found.ha, found.suppress_offers, found.mesos_role, found.checkpoint) == (
        False,
        False,
        "web",
        True,
    )
    assert found.enable_features == ("task_killing", "gpu_resources")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--zk is required (or --work_dir, to keep everything on this machine)"),
        (["--zk=zk://h:1"], "--zk needs a path: zk://host:port/marathon"),
        (["--work_dir=/x", "--enable_features=secrets"], "--enable_features: there is no 'secrets'"),
        (["--work_dir=/x", "--local_port_min=20000"], "--local_port_min and --local_port_max must be ports"),
        (["--work_dir=/x", "--launch_tokens=0"], "--launch_tokens must be 1 at least"),
        (["--work_dir=/x", "--plugin_dir=/y"], "--plugin_dir is not served: there are no plugins"),
        (["--work_dir=/x", "--zk_timeot=5"], "unknown flag --zk_timeot; did you mean --zk_timeout?"),
        (["--work_dir=/x", "--new_group_enforce_role=all"], "'all' is not one of off, top"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(argv: list[str], sentence: str) -> None:
    with pytest.raises(FlagError) as error:
        flags(*argv)
    assert sentence in str(error.value)


def test_without_zookeeper_a_directory_will_do() -> None:
    found = flags("--work_dir=/x")
    assert (found.work_dir, found.zk, found.http_address) == (Path("/x"), None, "127.0.0.1")
