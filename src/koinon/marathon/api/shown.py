"""Objects as bytes of JSON: definitions are encoded once, what changes all the time is put behind them.

{"id":"/x",…,"version":"…"          encoded once per definition
    ,"tasksStaged":0,…              counts, which the core keeps up to date
    ,"deployments":[…],"tasks":[…]} what was asked for
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from koinon.marathon.api.embeds import AppEmbeds
from koinon.marathon.core.state import ReadinessResult, State
from koinon.marathon.model import App, Instance, Pod
from koinon.marathon.rendering.apps import render_app, render_pod
from koinon.marathon.rendering.pod_status import render_pod_status
from koinon.marathon.rendering.tasks import render_failure, render_task, task_stats, tasks_of

encode = msgspec.json.Encoder().encode
#: So many more than there are may be remembered.
_SPARE = 1000


def render_spec(spec: App | Pod) -> dict[str, Any]:
    """The definition of an app or pod."""
    return render_app(spec) if isinstance(spec, App) else render_pod(spec)


class Shown:
    """Makes bytes of what there is in `state`; `now` tells the time."""

    def __init__(self, state: Callable[[], State], now: Callable[[], float]) -> None:
        self._state = state
        self._now = now
        self._apps: dict[str, tuple[App, bytes]] = {}
        self._pods: dict[str, tuple[Pod, bytes]] = {}

    def definition(self, app: App) -> bytes:
        """An app without what happens to it."""
        known = self._apps.get(app.id)
        if known is None or known[0] is not app:
            if len(self._apps) > len(self._state().root.apps) + _SPARE:
                self._apps.clear()
            known = self._apps[app.id] = app, encode(render_app(app))
        return known[1]

    def created(self, app: App, deployment_id: str) -> bytes:
        """As the call that creates it answers: nothing of it runs yet."""
        counts = b',"tasksStaged":0,"tasksRunning":0,"tasksHealthy":0,"tasksUnhealthy":0'
        return b'%b%b,"deployments":[{"id":"%b"}]}' % (
            self.definition(app)[:-1],
            counts,
            deployment_id.encode(),
        )

    def pod(self, pod: Pod) -> bytes:
        """A pod's definition."""
        known = self._pods.get(pod.id)
        if known is None or known[0] is not pod:
            if len(self._pods) > len(self._state().root.pods) + _SPARE:
                self._pods.clear()
            known = self._pods[pod.id] = pod, encode(render_pod(pod))
        return known[1]

    def past(self, spec: App | Pod) -> bytes:
        """A definition of before."""
        return encode(render_spec(spec))

    def pod_status(self, pod: Pod) -> bytes:
        """A pod with what runs of it."""
        state = self._state()
        return encode(
            render_pod_status(
                pod, state.instances_of(pod.id), self.made_from, state.failures.get(pod.id), self._now()
            )
        )

    def made_from(self, instance: Instance) -> Pod | None:
        """The pod's definition that an instance was made from, or that of now; None if it is of no pod."""
        found = self._state().definition_of(instance)
        return found if isinstance(found, Pod) else None

    def app(self, app: App, embeds: AppEmbeds) -> bytes:
        """An app with what is to be embedded."""
        state, parts = self._state(), [self.definition(app)[:-1]]
        if embeds.counts:
            counts = state.counts_of(app.id)
            parts.append(
                b',"tasksStaged":%d,"tasksRunning":%d,"tasksHealthy":%d,"tasksUnhealthy":%d'
                % (counts.staged, counts.running, counts.healthy, counts.unhealthy)
            )
        if embeds.deployments:
            found = [{"id": one.id} for one in state.deployments_of(app.id)]
            parts.append(b',"deployments":%b' % (encode(found) if found else b"[]"))
        if embeds.tasks:
            parts.append(b',"tasks":%b' % encode(self.tasks(app.id)))
        if embeds.readiness:
            parts.append(b',"readinessCheckResults":%b' % encode(self.readiness(app.id)))
        if embeds.last_task_failure and (failure := state.failures.get(app.id)) is not None:
            parts.append(b',"lastTaskFailure":%b' % encode(render_failure(failure)))
        if embeds.task_stats:
            stats = task_stats(app, state.instances_of(app.id), state.is_healthy, self._now())
            parts.append(b',"taskStats":%b' % encode(stats))
        parts.append(b"}")
        return b"".join(parts)

    def tasks(self, app: str, *, with_service_ports: bool = False) -> list[dict[str, Any]]:
        """Tasks of an app that agents have, or had last."""
        state, ports = self._state(), None
        if with_service_ports:
            definition = state.root.apps.get(app)
            ports = definition.service_ports if definition is not None else ()
        return [
            task
            for instance in state.instances_of(app)
            for task in self.tasks_of(instance, service_ports=ports)
        ]

    def tasks_of(
        self, instance: Instance, *, service_ports: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Tasks of one instance."""
        health = self._state().health.get(instance.id, {}).values()
        return [
            render_task(instance, task, health, service_ports=service_ports) for task in tasks_of(instance)
        ]

    def readiness(self, app: str) -> list[dict[str, Any]]:
        """What readiness checks of an app's instances have found, while it is deployed."""
        readiness = self._state().readiness
        found = (readiness.get(instance.id) for instance in self._state().instances_of(app))
        return [render_readiness(one) for one in found if one is not None]


def render_readiness(result: ReadinessResult) -> dict[str, Any]:
    """One of `readinessCheckResults`."""
    made: dict[str, Any] = {"name": result.name, "taskId": result.task_id, "ready": result.ready}
    if result.last_response is not None:
        status, content_type, body = result.last_response
        made["lastResponse"] = {"status": status, "contentType": content_type, "body": body}
    return made
