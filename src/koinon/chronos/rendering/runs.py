"""One run as the history shows it."""

from __future__ import annotations

from typing import Any

from koinon.chronos.model import Run
from koinon.chronos.rendering.jobs import moment


def render_run(run: Run) -> dict[str, Any]:
    """The run; what is not known of it, or does not apply, is left out."""
    made: dict[str, Any] = {
        "taskId": run.id,
        "job": run.job,
        "due": moment(run.due),
        "attempt": run.attempt,
        "state": run.state,
        "trigger": run.trigger,
    }
    times = {
        "window": run.window_ms / 1000 or None,
        "dueThrough": run.through_ms / 1000 or None,
        "notBefore": run.not_before or None if run.state == "waiting" else None,
        "launched": run.launched,
        "started": run.started,
        "unreachableSince": run.unreachable_since,
        "ended": run.ended,
        "killAsked": run.kill_asked,
    }
    made.update((name, moment(at)) for name, at in times.items() if at is not None)
    if run.started is not None and run.ended is not None:
        made["durationSeconds"] = round(max(run.ended - run.started, 0.0), 3)
    others = {
        "arguments": run.arguments,
        "agentId": run.agent_id,
        "hostname": run.hostname,
        "mesosState": run.mesos_state,
        "reason": run.reason,
        "message": run.message,
        "exitStatus": run.exit_status,
        "containerId": run.container_id,
    }
    made.update((name, value) for name, value in others.items() if value is not None and value != "")
    if run.elements_processed:
        made["elementsProcessed"] = run.elements_processed
    return made
