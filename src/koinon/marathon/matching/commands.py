"""What tasks of apps and containers of pods have alike."""

from __future__ import annotations

from math import inf

from koinon.marathon.model.app import Fetch, ResourceLimits
from koinon.mesos import v1


def uris(fetch: tuple[Fetch, ...]) -> list[v1.CommandInfo.URI]:
    """What is fetched before the command runs."""
    return [
        v1.CommandInfo.URI(
            value=one.uri,
            executable=one.executable,
            extract=one.extract,
            cache=one.cache,
            output_file=one.dest_path,
        )
        for one in fetch
    ]


def kill_policy(grace_s: float | None) -> v1.KillPolicy | None:
    """How long a task has got to end by itself."""
    return None if grace_s is None else v1.KillPolicy(grace_period=v1.DurationInfo(round(grace_s * 1e9)))


def limits(given: ResourceLimits | None) -> dict[str, v1.Value.Scalar]:
    """How far a task may go beyond what it is given."""
    if given is None:
        return {}
    asked = {"cpus": given.cpus, "mem": given.mem}
    return {
        name: v1.Value.Scalar(inf if amount == "unlimited" else float(amount))
        for name, amount in asked.items()
        if amount is not None
    }
