"""Canaries: upgrades that stand still after their first new instances.

The label `koinon.canary` of an app or pod says after how many; they must be well. It goes on when it is told to
(`ContinueDeployment`), or, with `koinon.canary-seconds`, when they have been well for so long. It holds for each upgrade
and restart, not for scaling.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from koinon.marathon.core.context import Core
from koinon.marathon.core.events import ContinueDeployment, Refused
from koinon.marathon.model import Deployment, Root, versions
from koinon.marathon.model.problems import Invalid, Problem
from koinon.marathon.model.root import RunSpec

NUMBER, SECONDS = "koinon.canary", "koinon.canary-seconds"


def check(root: Root, specs: Iterable[str]) -> None:
    """Raises Invalid if the labels of one of these say nothing that can be followed."""
    problems = []
    for path in specs:
        spec = root.run_spec(path)
        for label in (NUMBER, SECONDS):
            text = "1" if spec is None else spec.labels.get(label, "1")
            if not (text.isdecimal() and text.isascii() and int(text) > 0):
                problems.append(Problem(f"/labels/{label}", f"'{text}' is no whole number greater than 0"))
    if problems:
        raise Invalid(problems)


def limit(core: Core, spec: RunSpec) -> int | None:
    """How many new instances its upgrade may have for now; None: as many as it wants."""
    deployment = core.state.deployments.get(core.state.locks.get(spec.id, ""))
    if deployment is None or NUMBER not in spec.labels or spec.id in deployment.canaries_passed:
        return None
    return int(spec.labels[NUMBER])


def halted(core: Core, deployment: Deployment, spec: RunSpec, is_halted: bool) -> None:
    """The upgrade stands still, or does not any more, because one of the first has fallen ill."""
    if not is_halted:
        if spec.id in deployment.canaries_since:
            core.alarms.cancel(time_is_over, spec.id)
            _put(core, deployment, without=(spec.id,))
        return
    if spec.id not in deployment.canaries_since:
        since = {**deployment.canaries_since, spec.id: core.stamp()}
        deployment = replace(deployment, canaries_since=since)
        core.put_deployment(deployment)
    if SECONDS in spec.labels and not core.alarms.is_set(time_is_over, spec.id):
        since_s = versions.seconds(deployment.canaries_since[spec.id])
        core.alarms.set(since_s + int(spec.labels[SECONDS]), time_is_over, spec.id)


def time_is_over(core: Core, path: str) -> None:
    """The first ones have been well for long enough."""
    deployment = core.state.deployments.get(core.state.locks.get(path, ""))
    if deployment is not None and path in deployment.canaries_since:
        _pass(core, deployment, (path,))


def go_on(core: Core, event: ContinueDeployment) -> None:
    """Somebody has seen that they are well. Raises Refused."""
    deployment = core.state.deployments.get(event.deployment_id)
    if deployment is None:
        raise Refused(404, f"Deployment {event.deployment_id} does not exist")
    if not deployment.canaries_since:
        raise Refused(409, f"Deployment {event.deployment_id} does not wait to be told to go on")
    _pass(core, deployment, tuple(deployment.canaries_since))


def stop(core: Core, path: str) -> None:
    """Its deployment has ended."""
    core.alarms.cancel(time_is_over, path)


def _pass(core: Core, deployment: Deployment, paths: tuple[str, ...]) -> None:
    deployment = replace(deployment, canaries_passed=(*deployment.canaries_passed, *paths))
    _put(core, deployment, without=paths)
    for path in paths:
        core.alarms.cancel(time_is_over, path)
        core.touched[path] = None


def _put(core: Core, deployment: Deployment, without: tuple[str, ...]) -> None:
    since = {path: at for path, at in deployment.canaries_since.items() if path not in without}
    core.put_deployment(replace(deployment, canaries_since=since))
