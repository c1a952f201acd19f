"""Deployments as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from koinon.marathon.model.records import Action, Step


def render_action(action: Action) -> dict[str, Any]:
    """`{"action": "ScaleApplication", "app": "/x"}`, or with `pod`."""
    kind = "pod" if action.action.endswith("Pod") else "app"
    return {"action": action.action, kind: action.run_spec}


def render_step(step: Step) -> dict[str, Any]:
    """All that is done in it."""
    return {"actions": [render_action(action) for action in step.actions]}


def render_steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The steps of a plan."""
    return [render_step(step) for step in steps]
