"""What an app must be like besides its form (reference: Marathon's REST API, the app definition)."""

from __future__ import annotations

from collections.abc import Iterator

from koinon.marathon.model import App
from koinon.marathon.model.app import UnreachableStrategy
from koinon.marathon.model.problems import Problem
from koinon.marathon.model.settings import Rules
from koinon.marathon.reading import common_rules as common
from koinon.marathon.reading.check_rules import check_problems
from koinon.marathon.reading.container_rules import container_problems, port_problems

SINGLE_INSTANCE_LABEL = "MARATHON_SINGLE_INSTANCE_APP"


def app_problems(app: App, rules: Rules) -> Iterator[Problem]:
    """Everything that is wrong with `app` as such."""
    yield from common.id_problems(app.id)
    yield from _command_problems(app)
    yield from container_problems(app, rules)
    yield from common.network_problems(app.networks, is_docker_engine=_is_docker_engine(app))
    yield from port_problems(app)
    yield from _resource_problems(app, rules)
    yield from _secret_problems(app, rules)
    for at, constraint in enumerate(app.constraints):
        value = constraint[2] if len(constraint) > 2 else None
        yield from common.constraint_problems(constraint[1], value, constraint[0], f"/constraints({at})")
    for at, fetch in enumerate(app.fetch):
        yield from common.uri_problems(fetch.uri, f"/fetch({at})/uri")
    yield from check_problems(app)
    yield from _strategy_problems(app)
    if app.accepted_resource_roles is not None:
        if not app.accepted_resource_roles:
            yield Problem("/acceptedResourceRoles", "must not be empty")
        yield from common.role_problems(app.accepted_resource_roles, app.role, "/acceptedResourceRoles")


def _is_docker_engine(app: App) -> bool:
    return app.container is not None and app.container.type == "DOCKER"


def is_single_instance(app: App) -> bool:
    """Whether it says that there must not be two of it at any time."""
    return app.labels.get(SINGLE_INSTANCE_LABEL) == "true"


def _command_problems(app: App) -> Iterator[Problem]:
    if app.cmd is not None and app.args:
        yield Problem("/", "must have one of 'cmd' and 'args', not both")
    elif app.cmd is None and not app.args and app.container is None:
        yield Problem("/", "must have 'cmd' or 'args', or a 'container'")
    yield from common.text_problems(app.cmd, "/cmd")
    for at, one in enumerate(app.args or ()):
        yield from common.text_problems(one, f"/args({at})")


def _resource_problems(app: App, rules: Rules) -> Iterator[Problem]:
    if app.gpus > 0:
        yield from common.feature_problems(rules, "gpu_resources", "/gpus")
        if _is_docker_engine(app):
            yield Problem("/gpus", "GPUs are not supported by the Docker container engine")
    yield from common.limit_problems(app.resource_limits, app.cpus, app.mem, "/resourceLimits")


def _secret_problems(app: App, rules: Rules) -> Iterator[Problem]:
    if app.secrets:
        yield from common.feature_problems(rules, "secrets", "/secrets")
    yield from common.env_problems(app.env, app.secrets, rules, "/env")


def _strategy_problems(app: App) -> Iterator[Problem]:
    if is_single_instance(app):
        if app.instances > 1:
            yield Problem("/instances", f"must be 0 or 1: the label {SINGLE_INSTANCE_LABEL} is set")
        for name, value in (
            ("minimumHealthCapacity", app.upgrade_strategy.minimum_health_capacity),
            ("maximumOverCapacity", app.upgrade_strategy.maximum_over_capacity),
        ):
            if value != 0:
                yield Problem(
                    f"/upgradeStrategy/{name}", f"must be 0: the label {SINGLE_INSTANCE_LABEL} is set"
                )
    yield from unreachable_problems(app.unreachable_strategy, "/unreachableStrategy")


def unreachable_problems(strategy: UnreachableStrategy | str, at: str) -> Iterator[Problem]:
    """Of the times of an unreachable strategy."""
    if (
        isinstance(strategy, UnreachableStrategy)
        and strategy.inactive_after_seconds > strategy.expunge_after_seconds
    ):
        yield Problem(f"{at}/inactiveAfterSeconds", "must not be more than expungeAfterSeconds")
