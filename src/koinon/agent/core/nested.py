"""Containers that somebody asks for over the agent's API.

    nested      below the container of a task, of an executor or of another one; a sandbox of its own in that one's
    session     the same for a person or a check: in the sandbox, environment and limits of what it is below, its input
                and output are streams, and it ends with the connection that asked for it, or with the agent
    standalone  below nothing: no framework, and resources that nobody counts; it goes on when the agent ends

    launch ─▶ (starting) ─▶ running ─▶ ended ─ removed, or what it is below has ended ─▶ forgotten

A container is named by its ids from the outside in. The launcher knows it by its **key**: the ids with dots between, but
for the tasks of task groups, whose ids are unique by themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from koinon.agent.core import gpus, launch, records, volumes
from koinon.agent.core.context import Context
from koinon.agent.core.events import (
    Checkpoint,
    CollectSandbox,
    ContainerGone,
    ContainerRequested,
    DestroyContainer,
    ForgetContainer,
    FoundContainer,
    LaunchContainer,
    Refused,
    RemoveSandbox,
    SignalContainer,
)
from koinon.agent.core.state import Executor, Kind, Nested, NestedKind, State, Task
from koinon.agent.core.tables import ExecutorState
from koinon.mesos.names import id_problem
from koinon.mesos.resources import ResourceError, Resources
from koinon.mesos.v1 import ContainerID

#: Longest part of an id, so that it fits into the names of directories.
_ID_BYTES_MAX = 242
#: Ended sessions that are remembered, for who asks how they ended.
_SESSIONS_MAX = 256
_SIGKILL = 9


class Found(NamedTuple):
    """A container that is there."""

    key: str
    executor: Executor | None = None
    task: Task | None = None
    nested: Nested | None = None

    @property
    def running(self) -> bool:
        """Whether something may be launched below it."""
        if self.nested is not None:
            return bool(self.nested.pid) and not self.nested.ended and not self.nested.doomed
        if self.task is not None:
            return bool(self.task.pid) and not self.task.terminal
        assert self.executor is not None
        if self.executor.kind is Kind.DEFAULT:
            return bool(self.executor.live_tasks)
        return bool(self.executor.pid)


def find(state: State, container_id: ContainerID) -> Found | None:
    """The container of that id, of whichever kind."""
    if container_id.parent is None:
        return _find_root(state, container_id.value)
    if (parent := find(state, container_id.parent)) is None:
        return None
    value, executor = container_id.value, parent.executor
    if executor is not None and parent.task is None and executor.kind is Kind.DEFAULT:
        place = state.containers.get(value)
        if (
            place is not None
            and place.executor_id == executor.executor_id
            and place.task_id in executor.tasks
        ):
            return Found(value, executor, executor.tasks[place.task_id])
    key = f"{parent.key}.{value}"
    nested = state.nested.get(key)
    return Found(key, executor, parent.task, nested) if nested is not None else None


def _find_root(state: State, value: str) -> Found | None:
    if (nested := state.nested.get(value)) is not None:
        return Found(value, nested=nested)
    for framework in state.frameworks.values():
        for executor in framework.executors.values():
            if executor.container_id == value and executor.state is not ExecutorState.TERMINATED:
                task = None
                if executor.kind is Kind.COMMAND:
                    task = next(iter(executor.tasks.values()), None)
                return Found(value, executor, task)
    return None


def keys_of(state: State, found: Found) -> list[str]:
    """What the launcher runs for a container: of a default executor, the containers of its tasks."""
    executor = found.executor
    if executor is None or executor.kind is not Kind.DEFAULT or found.task is not None:
        return [found.key]
    return [task.container_id for task in executor.live_tasks] if found.nested is None else [found.key]


class Launches:
    """Launches, ends and forgets them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        #: Keys by the key of what they are below.
        self._below: dict[str, set[str]] = {}

    # ── launching ─────────────────────────────────────────────────────────────────────────────────
    def launch(self, event: ContainerRequested) -> None:
        """Somebody wants a container that is not there yet. Raises Refused."""
        container_id, kind = event.container_id, event.kind
        state, config = self._context.state, self._context.config
        check_id(container_id)
        parent = None
        if container_id.parent is not None:
            parent = find(state, container_id.parent)
            if parent is None:
                raise Refused(404, "The container that this one is to be below cannot be found")
            if not parent.running:
                raise Refused(400, "The container that this one is to be below does not run")
        linux = event.container.linux_info if event.container is not None else None
        if linux is not None and not linux.share_cgroups:
            raise Refused(
                400,
                "Containers of this agent share the limits of what they are below: leave out share_cgroups",
            )
        obstacle = launch.refusal(event.command, event.container, config.frameworks_home)
        obstacle = obstacle or volumes.refusal(event.container, nested=parent is not None)
        if obstacle is not None:
            raise Refused(400, obstacle)
        assert event.command is not None
        if kind is NestedKind.SESSION:
            _check_session(event)
        _check_resources(event)
        key = container_id.value if parent is None else f"{parent.key}.{container_id.value}"
        user = event.command.user
        if user is None and parent is not None:
            user = self._effect_of(parent).user
        elif not config.switch_user or user == config.user:
            user = None
        nested = Nested(
            key=key,
            container_id=container_id,
            parent=parent.key if parent is not None else "",
            kind=kind,
            command=event.command,
            container=event.container,
            resources=event.resources,
            user=user,
            durable=kind is not NestedKind.SESSION and self._is_durable(parent),
        )
        self._add(nested)
        self._checkpoint(nested)
        self._context.out.append(self._effect(nested, parent))

    def _is_durable(self, parent: Found | None) -> bool:
        if parent is None:
            return True
        if parent.executor is not None:
            framework = self._context.state.frameworks[parent.executor.framework_id]
            return framework.info.checkpoint
        return parent.nested is not None and parent.nested.durable

    def _effect(self, nested: Nested, parent: Found | None) -> LaunchContainer:
        config, command, container = self._context.config, nested.command, nested.container
        limits = launch.rlimits(container)
        devices = gpus.environment(config, ())
        environment = {"MESOS_CONTAINER_IP": config.ip, "PATH": launch.PATH}
        outer_sandbox, fetch_bytes = config.work_dir, None
        if parent is not None:
            outer = self._effect_of(parent)
            outer_sandbox = outer.sandbox
            devices = {name: outer.environment[name] for name in devices}
            if parent.executor is not None:
                fetch_bytes = launch.fetch_bytes(config, parent.executor)
            if nested.kind is NestedKind.SESSION:
                environment, limits = dict(outer.environment), limits or outer.rlimits
        sandbox = outer_sandbox
        if nested.kind is not NestedKind.SESSION:
            sandbox = f"{outer_sandbox}/containers/{nested.container_id.value}"
            environment["MESOS_SANDBOX"] = sandbox
        window = launch.window(container)
        if window is not None:
            environment.setdefault("TERM", "xterm")
        environment["PWD"] = sandbox
        environment.update(devices)
        environment.update(launch.variables(command))
        return LaunchContainer(
            nested.key,
            launch.program(command),
            launch.argv(command),
            environment,
            sandbox,
            "",
            nested.user,
            limits,
            tied=not nested.durable,
            patience_s=config.recovery_timeout_s
            if parent is not None and parent.executor is not None
            else None,
            fetches=launch.fetching(config, command),
            fetch_bytes=fetch_bytes,
            shared=volumes.shared(container, sandbox, outer_sandbox),
            window=window,
            session=nested.kind is NestedKind.SESSION,
            standalone=parent is None,
            root=self._root(parent, nested.container_id) if parent is not None else "",
        )

    def _root(self, parent: Found, container_id: ContainerID) -> str:
        """The sandbox of the executor or of the standalone container that a nested one is in."""
        if parent.executor is not None:
            return parent.executor.directory
        while container_id.parent is not None:
            container_id = container_id.parent
        return f"{self._context.config.work_dir}/containers/{container_id.value}"

    def _effect_of(self, found: Found) -> LaunchContainer:
        """How a container was launched."""
        state, config = self._context.state, self._context.config
        if (nested := found.nested) is not None:
            parent = None
            if nested.container_id.parent is not None:
                parent = find(state, nested.container_id.parent)
                assert parent is not None, nested
            return self._effect(nested, parent)
        executor = found.executor
        assert executor is not None
        framework = state.frameworks[executor.framework_id]
        if found.task is not None:
            return launch.task_container(config, state.agent_id, framework, executor, found.task)
        if executor.kind is Kind.CUSTOM:
            return launch.executor_container(config, state.agent_id, framework, executor)
        sandbox = executor.directory
        environment = {"MESOS_CONTAINER_IP": config.ip, "MESOS_SANDBOX": sandbox, "PATH": launch.PATH}
        environment.update(gpus.environment(config, executor.gpus))
        return LaunchContainer(found.key, "", (), environment, sandbox, "", executor.user)

    # ── what containers tell ──────────────────────────────────────────────────────────────────────
    def started(self, key: str, pid: int) -> None:
        """Its program runs."""
        nested = self._context.state.nested[key]
        nested.pid = pid
        if nested.doomed:
            self._context.out.append(DestroyContainer(key))

    def not_started(self, key: str, message: str) -> None:
        """It will not run; who asked for it is told by the shell."""
        self._forget(self._context.state.nested[key])
        self._context.out += [ForgetContainer(key), ContainerGone(key, None, message, launched=False)]

    def ended(self, key: str, status: int | None, message: str) -> None:
        """All its processes are gone."""
        self._collect(self._context.state.nested[key])
        self._end(key, status, message)

    def _end(self, key: str, status: int | None, message: str) -> None:
        nested = self._context.state.nested[key]
        nested.ended, nested.status, nested.message = True, status, message
        if nested.doomed:
            self._forget(nested)
        else:
            self._checkpoint(nested)
            self._forget_old_sessions()
        self._context.out += [ForgetContainer(key), ContainerGone(key, status, message)]
        self.end_below(key)

    def _collect(self, nested: Nested, *, before: bool = False) -> None:
        """Its sandbox may go after a while, unless it goes with one around it."""
        parent_id = nested.container_id.parent
        parent = find(self._context.state, parent_id) if parent_id is not None else None
        kept = parent_id is not None and parent is None
        if self._context.config.collect_nested and nested.kind is not NestedKind.SESSION and not kept:
            effect = self._effect(nested, parent)
            self._context.out.append(CollectSandbox(effect.sandbox, effect.root, before))

    def executor_ended(self, key: str) -> None:
        """A default executor has ended, which has no container of its own that would."""
        self._context.out.append(ContainerGone(key, 0))
        self.end_below(key)

    def end_below(self, key: str) -> None:
        """A container has ended, and takes with it what is below."""
        for below in self._below.pop(key, ()):
            self._doom(self._context.state.nested[below])

    def _doom(self, nested: Nested) -> None:
        nested.doomed = True
        if nested.ended:
            self._forget(nested)
        elif nested.pid or nested.command.uris:  # it may be fetched for long
            self._context.out.append(DestroyContainer(nested.key))
        self.end_below(nested.key)

    # ── wishes ────────────────────────────────────────────────────────────────────────────────────
    def signal(self, container_id: ContainerID, number: int) -> None:
        """Send a signal to every process of a container, of whichever kind. Raises Refused."""
        state = self._context.state
        found = find(state, container_id)
        if found is None or (found.nested is not None and found.nested.ended):
            raise Refused(404, "The container cannot be found; it may have ended")
        for key in keys_of(state, found):
            if number == _SIGKILL:
                self._context.out.append(DestroyContainer(key))
            else:
                self._context.out.append(SignalContainer(key, number))
        if number == _SIGKILL and found.nested is not None and not found.nested.pid:
            found.nested.doomed = True  # it is still being launched

    def remove(self, container_id: ContainerID) -> None:
        """Forget a container that has ended, and remove its sandbox. Raises Refused."""
        state = self._context.state
        found = find(state, container_id)
        if found is None:
            if container_id.parent is None or find(state, container_id.parent) is None:
                raise Refused(404, "The container cannot be found")
            return  # it has been removed before
        if found.nested is None:
            raise Refused(400, "Only nested and standalone containers can be removed")
        if not found.nested.ended:
            raise Refused(500, "The container has not ended")
        if found.nested.kind is not NestedKind.SESSION:
            effect = self._effect_of(found)
            self._context.out.append(RemoveSandbox(effect.sandbox, effect.root))
        self._forget(found.nested)

    # ── restarts ──────────────────────────────────────────────────────────────────────────────────
    def restore(self, stored: dict[str, records.StoredNested], containers: dict[str, FoundContainer]) -> None:
        """Take up those of before a restart, out of the `containers` that were found."""
        for key, one in stored.items():
            nested = Nested(
                key=key,
                container_id=one.container_id,
                parent=key.rpartition(".")[0],
                kind=NestedKind(one.kind),
                command=one.command,
                container=one.container,
                resources=one.resources,
                user=one.user,
                durable=True,
                ended=one.ended,
                status=one.status,
                message=one.message,
            )
            self._add(nested)
            found = containers.pop(key, None)
            if nested.ended:
                if found is not None:
                    self._context.out.append(ForgetContainer(key))
            elif found is None:
                self._end(key, None, "It was gone when the agent had restarted; how it ended is not known")
            elif found.running:
                nested.pid = found.pid
            else:
                nested.pid = found.pid
                self._end(key, found.status, found.message)

    def settle(self) -> None:
        """End those whose parents have not come back."""
        state = self._context.state
        for nested in list(state.nested.values()):
            if nested.ended:
                self._collect(nested, before=True)
            parent_id = nested.container_id.parent
            if parent_id is not None and not nested.doomed:
                parent = find(state, parent_id)
                if parent is None or not parent.running:
                    self._doom(nested)

    # ── records ───────────────────────────────────────────────────────────────────────────────────
    def _add(self, nested: Nested) -> None:
        self._context.state.nested[nested.key] = nested
        if nested.parent:
            self._below.setdefault(nested.parent, set()).add(nested.key)

    def _checkpoint(self, nested: Nested) -> None:
        if nested.durable:
            stored = records.StoredNested(
                nested.container_id,
                nested.kind.value,
                command=nested.command,
                container=nested.container,
                resources=nested.resources,
                user=nested.user,
                ended=nested.ended,
                status=nested.status,
                message=nested.message,
            )
            self._context.out.append(Checkpoint({records.nested_key(nested.key): records.encode(stored)}))

    def _forget(self, nested: Nested) -> None:
        del self._context.state.nested[nested.key]
        if (siblings := self._below.get(nested.parent)) is not None:
            siblings.discard(nested.key)
            if not siblings:
                del self._below[nested.parent]
        if nested.durable:
            self._context.forget(records.nested_key(nested.key))

    def _forget_old_sessions(self) -> None:
        ended = [
            nested
            for nested in self._context.state.nested.values()
            if nested.ended and nested.kind is NestedKind.SESSION
        ]
        for nested in ended[: max(len(ended) - _SESSIONS_MAX, 0)]:
            self._forget(nested)


def check_id(container_id: ContainerID) -> None:
    """Raises Refused unless the id, and those of what it is below, can be one."""
    if container_id.parent is not None:
        check_id(container_id.parent)
    value = container_id.value
    problem = id_problem(value)
    if problem is None and ("." in value or " " in value):
        problem = f"'{value}' must not contain a dot or a space"
    if problem is None and len(value.encode()) > _ID_BYTES_MAX:
        problem = f"a part of it must not be longer than {_ID_BYTES_MAX} bytes"
    if problem is not None:
        raise Refused(400, f"The container_id is not valid: {problem}")


def _check_session(event: ContainerRequested) -> None:
    assert event.command is not None
    if event.command.uris:
        raise Refused(400, "A session has the files of what it is below: leave out 'command.uris'")
    if event.container is not None and event.container.volumes:
        raise Refused(400, "A session has the volumes of what it is below: leave out 'container.volumes'")


def _check_resources(event: ContainerRequested) -> None:
    if event.limits:
        raise Refused(400, "This agent's containers are plain processes without limits: leave out 'limits'")
    try:
        resources = Resources.from_v1(event.resources)
    except ResourceError as error:
        raise Refused(400, f"The resources are not valid: {error}") from error
    if (parent := event.container_id.parent) is not None:
        if parent.parent is not None and event.resources:
            raise Refused(400, "Only the first container below a task has resources: leave out 'resources'")
        return
    if resources.reservations() or resources.revocable():
        raise Refused(400, "A standalone container has resources that are unreserved and not revocable")
    if any(resource.disk is not None for resource in event.resources):
        raise Refused(
            400, "A standalone container has no persistent volumes: leave out 'disk' of the resources"
        )
