"""The fields of a job, by the kind of their values (reference: Chronos's REST API, the job object)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from koinon.chronos import schedules
from koinon.chronos.model.job import (
    Constraint,
    Container,
    EnvironmentVariable,
    ExternalVolume,
    Fetch,
    KeyValue,
    NetworkInfo,
    PortMapping,
    Volume,
)
from koinon.chronos.reading.kinds import (
    BAD,
    Kind,
    flag,
    listed,
    moment,
    number,
    one_line,
    one_of,
    record,
    say,
    shown,
    some,
    text,
    whole,
)

_PORT = whole(least=0, most=65535)
_COUNT = whole(most=2**63 - 1)
_SECONDS = number(most=1e9)
_PAIR = record(KeyValue, {"key": some, "value": text}, required=("key", "value"))


def duration(value: Any, at: str, found: list[str]) -> Any:
    """An ISO 8601 duration, kept as text."""
    if value == "":
        return ""
    try:
        schedules.read_period(value if isinstance(value, str) else "")
    except schedules.Wrong:
        return say(found, at, f"must be an ISO 8601 duration like PT60S, not {shown(value)}")
    return value


def variable_name(value: Any, at: str, found: list[str]) -> Any:
    """Of an environment variable."""
    made = some(value, at, found)
    return say(found, at, "must not hold '='") if made is not BAD and "=" in made else made


def constraint(value: Any, at: str, found: list[str]) -> Any:
    """`[attribute, OPERATOR, value]`."""
    if not isinstance(value, list) or len(value) != 3:
        return say(found, at, "must be an array of attribute, operator and value")
    made = (
        some(value[0], f"{at}[0]", found),
        one_of("EQUALS", "LIKE", "UNLIKE")(value[1], f"{at}[1]", found),
        text(value[2], f"{at}[2]", found),
    )
    if any(one is BAD for one in made):
        return BAD
    if made[1] != "EQUALS" and not _is_regex(made[2]):
        return say(found, f"{at}[2]", f"must be a regular expression, not {shown(made[2])}")
    return Constraint(*made)


def _is_regex(pattern: str) -> bool:
    import re2  # with the first one

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error:
        return False
    return True


_FETCH = record(
    Fetch,
    {"uri": some, "executable": flag, "cache": flag, "extract": flag, "output_file": some},
    required=("uri",),
)
URIS = listed(some)


def fetch(*, extract: bool) -> Kind:
    """Things to fetch; `extract` if they do not say: the lines of Chronos differ."""

    def read(value: Any, at: str, found: list[str]) -> Any:
        if isinstance(value, dict) and value.get("extract") is None:
            value = value | {"extract": extract}
        return _FETCH(value, at, found)

    return listed(read)


VOLUME = record(
    Volume,
    {
        "container_path": some,
        "host_path": some,
        "mode": one_of("RO", "RW"),
        "external": record(
            ExternalVolume,
            {"name": some, "provider": some, "options": listed(_PAIR)},
            required=("name", "provider"),
        ),
    },
    required=("container_path",),
)
NETWORK_INFO = record(
    NetworkInfo,
    {
        "name": some,
        "protocol": one_of("IPv4", "IPv6"),
        "labels": listed(_PAIR),
        "port_mappings": listed(
            record(
                PortMapping,
                {"host_port": _PORT, "container_port": _PORT, "protocol": one_of("tcp", "udp")},
                required=("host_port", "container_port"),
            )
        ),
    },
    required=("name",),
)
CONTAINER = record(
    Container,
    {
        "image": some,
        "type": one_of("DOCKER", "MESOS"),
        "network": one_of("BRIDGE", "HOST", "USER", any_case=False),
        "network_name": some,
        "network_infos": listed(NETWORK_INFO),
        "volumes": listed(VOLUME),
        "parameters": listed(_PAIR),
        "force_pull_image": flag,
    },
    required=("image",),
)

#: Fields of a job whose value is what it says, by attribute. The others (name, schedule, parents, concurrent, uris,
#: container) are read where they are understood.
PLAIN: Mapping[str, Kind] = {
    "command": text,
    "shell": flag,
    "arguments": listed(text),
    "executor": text,
    "executor_flags": text,
    "task_info_data": text,
    "run_as_user": one_line,
    "environment_variables": listed(
        record(EnvironmentVariable, {"name": variable_name, "value": text}, required=("name", "value"))
    ),
    "cpus": number(most=1e6),
    "mem": number(),
    "disk": number(),
    "gpus": whole(most=10_000),
    "constraints": listed(constraint),
    "disabled": flag,
    "high_priority": flag,
    "missed_runs": one_of("one", "all", "skip"),
    "epsilon": duration,
    "retries": whole(),
    "retry_delay_seconds": _SECONDS,
    "retry_backoff_factor": number(least=1, most=100),
    "max_retry_delay_seconds": _SECONDS,
    "lost_after_seconds": number(least=0.001, most=1e9),
    "max_completion_time": _SECONDS,
    "soft_error": flag,
    "asynchronous": flag,
    "data_processing_job_type": flag,
    "owner": one_line,
    "owner_name": one_line,
    "description": text,
    "notify_on_success": flag,
    "success_count": _COUNT,
    "error_count": _COUNT,
    "errors_since_last_success": _COUNT,
    "last_success": moment,
    "last_error": moment,
}
