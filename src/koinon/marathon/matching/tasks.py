"""A match made into what the master launches."""

from __future__ import annotations

import shlex

from koinon.marathon.matching import checks, environment, groups
from koinon.marathon.matching.commands import kill_policy, limits, uris
from koinon.marathon.matching.containers import app_container
from koinon.marathon.matching.matcher import Match
from koinon.marathon.matching.networks import discovery, labels_v1, ports_of_app, reversed_name
from koinon.marathon.matching.settings import Settings
from koinon.marathon.matching.wanted import custom_executor, port_wishes
from koinon.marathon.model.app import App
from koinon.marathon.model.records import Instance
from koinon.marathon.model.root import RunSpec
from koinon.mesos import v1

_Operation = v1.Offer.Operation


def launch_operation(
    match: Match, spec: RunSpec, instance: Instance, settings: Settings, *, enforce_role: bool = False
) -> _Operation:
    """LAUNCH of an app's task, LAUNCH_GROUP of a pod's; `instance` has its new tasks already.

    `enforce_role`: as its top-level group says. Raises environment.SecretsUnsupported.
    """
    if isinstance(spec, App):
        task = app_task(match, spec, instance.tasks[0].id, settings, enforce_role)
        return _Operation(type=_Operation.Type.LAUNCH, launch=_Operation.Launch(task_infos=[task]))
    return groups.launch_group(match, spec, instance, settings, enforce_role)


def app_task(match: Match, app: App, task_id: str, settings: Settings, enforce_role: bool) -> v1.TaskInfo:
    """The task of one instance of an app."""
    wishes = port_wishes(app)
    ports = ports_of_app(app, wishes, match.host_ports, match.assigned)
    variables = environment.of_app(
        app,
        task_id=task_id,
        hostname=match.agent.hostname,
        wishes=wishes,
        assigned=match.assigned,
        enforce_role=enforce_role,
        settings=settings,
    )
    command = _command(app, settings, variables)
    container = app_container(app, task_id, ports, settings)
    task = v1.TaskInfo(
        name=reversed_name(app.id),
        task_id=v1.TaskID(task_id),
        agent_id=v1.AgentID(match.agent.agent_id),
        resources=[*match.parts[0], *match.port_resources],
        health_check=checks.health_check(app, ports),
        check=checks.check(app, ports),
        kill_policy=kill_policy(app.task_kill_grace_period_seconds),
        labels=labels_v1(app.labels),
        discovery=discovery(app, ports),
        limits=limits(app.resource_limits),
    )
    if (path := custom_executor(app, settings)) is None:
        task.command, task.container = command, container
    else:
        own = list(match.parts[1]) if len(match.parts) > 1 else []
        task.executor = _executor(path, app, task_id, command, container, own)
    return task


def _command(app: App, settings: Settings, variables: dict[str, str]) -> v1.CommandInfo:
    command = v1.CommandInfo(
        uris=uris(app.fetch),
        environment=environment.to_v1(variables),
        user=app.user or settings.mesos_user,
    )
    if app.args:
        command.shell = False
        command.arguments = list(app.args)
        # An image has its own program; otherwise the first argument names it.
        if app.container is None or app.container.docker is None:
            command.value = app.args[0]
    elif app.cmd:
        command.value = app.cmd
    else:
        command.shell = False
    return command


def _executor(
    path: str,
    app: App,
    task_id: str,
    command: v1.CommandInfo,
    container: v1.ContainerInfo | None,
    resources: list[v1.Resource],
) -> v1.ExecutorInfo:
    """The app's own executor, a new one for each task; it gets the app's command as arguments."""
    program = shlex.quote(path)
    given = app.cmd if app.cmd is not None else shlex.join(app.args or ())
    command.shell = True
    command.value = f"chmod ug+rx {program} && exec {program} {given}".rstrip()
    command.arguments = []
    return v1.ExecutorInfo(
        type=v1.ExecutorInfo.Type.CUSTOM,
        executor_id=v1.ExecutorID(f"marathon-{task_id}"),
        command=command,
        container=container,
        resources=resources,
    )
