"""Why an app or pod is as it is, in sentences: pure functions of what the core knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from koinon.marathon.core.planner import config_of
from koinon.marathon.core.state import LAUNCHED, State
from koinon.marathon.model import App, Deployment, Instance, versions
from koinon.marathon.model.records import Action
from koinon.marathon.model.root import RunSpec


def explain(state: State, spec: RunSpec, now: float) -> dict[str, Any]:
    """What there is of it, its status as the web page calls it, and the reasons: `{code, sentence}`."""
    counts, waiting = state.counts_of(spec.id), len(state.scheduled.get(spec.id, ()))
    delay = state.delays.get(spec.id)
    deployment = next(iter(state.deployments_of(spec.id)), None)
    if deployment is not None:
        status = "Deploying"
    elif not spec.instances and not counts.running:
        status = "Suspended"
    elif waiting:
        status = "Delayed" if delay is not None and delay.until > now else "Waiting"
    else:
        status = "Running"
    return {
        "id": spec.id,
        "kind": "app" if isinstance(spec, App) else "pod",
        "version": spec.version,
        "status": status,
        "instances": spec.instances,
        "running": counts.running,
        "staged": counts.staged,
        "healthy": counts.healthy,
        "unhealthy": counts.unhealthy,
        "waiting": waiting,
        "deployment": deployment.id if deployment is not None else None,
        "reasons": [{"code": code, "sentence": text} for code, text in reasons(state, spec, now)],
    }


def reasons(state: State, spec: RunSpec, now: float) -> Iterator[tuple[str, str]]:
    """(code, sentence), the most general one first."""
    if state.master is None:
        yield "Disconnected", "Marathon is not connected to a master: nothing can be launched or killed."
    if not spec.instances:
        yield "Suspended", "It is to have no instances."
    for deployment in state.deployments_of(spec.id):
        yield from _of_deployment(state, deployment, spec, now)
    yield from _of_waiting(state, spec, now)
    yield from _of_instances(state, spec, now)
    failure = state.failures.get(spec.id)
    if failure is not None:
        what = failure.message or "without a message"
        yield (
            "LastTaskFailure",
            f"{ago(now, failure.timestamp)} the task {failure.task_id} on {failure.host} ended as"
            f" {failure.state.removeprefix('TASK_')}: {what.rstrip('.')}.",
        )


def _of_deployment(
    state: State, deployment: Deployment, spec: RunSpec, now: float
) -> Iterator[tuple[str, str]]:
    step, total = deployment.current_step, len(deployment.steps)
    actions = deployment.steps[step].actions if step < total else ()
    begun = ago(now, deployment.started_at)
    told = f"Deployment {deployment.id}, which began {begun}, is in step {min(step + 1, total)} of {total}"
    if spec.id in (action.run_spec for action in actions):
        progress = progress_of(state, spec)
        yield (
            "Deploying",
            f"{told}: {progress['ready']} of {spec.instances} instances of the new definition are well,"
            f" {progress['old']} of the old one are left.",
        )
    else:
        others = ", ".join(dict.fromkeys(action.run_spec for action in actions)) or "nothing"
        yield "WaitsForOthers", f"{told}, which is about {others}; its own turn is another step's."
    if (since := deployment.canaries_since.get(spec.id)) is not None:
        yield (
            "Canary",
            f"The first new instances run since {ago(now, since)} and are well; the others wait for a word to go on:"
            f" `koinon app go {spec.id}`.",
        )


def _of_waiting(state: State, spec: RunSpec, now: float) -> Iterator[tuple[str, str]]:
    number = len(state.scheduled.get(spec.id, ()))
    if not number:
        return
    are = many(number, "instance waits", "instances wait")
    delay = state.delays.get(spec.id)
    if delay is not None and delay.until > now:
        yield (
            "Delayed",
            f"{are} {delay.until - now:.0f} s more, because its tasks have failed (`DELETE /v2/queue{spec.id}/delay`"
            " ends that).",
        )
        return
    for waiting in state.launches.waiting_of(spec.id):
        since = f"{max(0.0, now - waiting.since):.0f} s"
        if not waiting.processed:
            yield "NoOffers", f"{are} for {since}, and no agent has offered anything yet."
            continue
        yield (
            "Waiting",
            f"{are} for {since}; {many(waiting.processed, 'offer was', 'offers were')} looked at.",
        )
        for reason, agents, hostname, sentence in waiting.explanations():
            where = f"on {hostname}" if agents == 1 else f"on {agents} agents, {hostname} for example"
            yield reason, f"{where}: {sentence.rstrip('.')}."


def _of_instances(state: State, spec: RunSpec, now: float) -> Iterator[tuple[str, str]]:
    """What is wrong with some."""
    lost = [one for one in state.instances_of(spec.id) if one.condition.startswith("Unreachable")]
    if lost:
        hosts = ", ".join(sorted({one.agent.hostname for one in lost if one.agent is not None}))
        yield "Unreachable", f"{instances(len(lost))} out of reach, on {hosts}."
    starting = [
        one for one in state.instances_of(spec.id) if one.condition in ("Provisioned", "Staging", "Starting")
    ]
    if starting:
        oldest = min(starting, key=lambda one: one.since)
        yield (
            "Staged",
            f"{instances(len(starting))} being started, for {ago(now, oldest.since, '')}.",
        )
    unhealthy = [one for one in state.instances_of(spec.id) if state.is_healthy(one) is False]
    if unhealthy:
        cause = _cause(state, unhealthy[0])
        yield "Unhealthy", f"{instances(len(unhealthy))} not healthy{cause}."


def _cause(state: State, instance: Instance) -> str:
    for result in state.health.get(instance.id, {}).values():
        if not result.alive and result.last_failure_cause:
            host = "" if instance.agent is None else f"; on {instance.agent.hostname}"
            return f"{host}: {result.last_failure_cause.rstrip('.')}"
    return ""


def progress_of(state: State, spec: RunSpec) -> dict[str, int]:
    """Numbers of instances: `launched` of the new definition, of them `running` and `ready`; `old` ones alive."""
    config = config_of(spec)
    made = {"launched": 0, "running": 0, "ready": 0, "old": 0}
    has_checks = bool(spec.health_checks) if isinstance(spec, App) else False
    must_be_ready = bool(spec.readiness_checks) if isinstance(spec, App) else False
    for one in state.instances_of(spec.id):
        if one.condition not in LAUNCHED:
            continue
        if one.config != config or one.goal != "Running":
            made["old"] += 1
            continue
        made["launched"] += 1
        if one.condition == "Running":
            made["running"] += 1
            healthy = state.is_healthy(one)
            is_well = healthy is not False if not has_checks else healthy is True
            readiness = state.readiness.get(one.id)
            if is_well and (not must_be_ready or (readiness is not None and readiness.ready)):
                made["ready"] += 1
    return made


def action_progress(state: State, action: Action, now: float) -> dict[str, Any]:
    """One action of a step under way."""
    made: dict[str, Any] = {"action": action.action, "id": action.run_spec}
    spec = state.root.run_spec(action.run_spec)
    if spec is None:  # it is being removed
        left = sum(one.condition in LAUNCHED for one in state.instances_of(action.run_spec))
        return made | {"instances": 0, "launched": 0, "running": 0, "ready": 0, "old": left, "reasons": []}
    found = explain(state, spec, now)
    shown = [one for one in found["reasons"] if one["code"] != "Deploying"]
    return made | {"instances": spec.instances, **progress_of(state, spec), "reasons": shown}


def many(number: int, one: str, several: str) -> str:
    """`1 offer was`, `2 offers were`."""
    return f"{number} {one if number == 1 else several}"


def instances(number: int) -> str:
    """`1 instance is`, `2 instances are`."""
    return many(number, "instance is", "instances are")


def ago(now: float, timestamp: str, after: str = " ago") -> str:
    """`12 s ago`."""
    if not timestamp:
        return "some time" + after
    return f"{max(0.0, now - versions.seconds(timestamp)):.0f} s{after}"
