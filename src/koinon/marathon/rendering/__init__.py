"""The types of `koinon.marathon.model` → JSON of the API."""

from koinon.marathon.rendering.apps import render_app, render_pod
from koinon.marathon.rendering.groups import render_group

__all__ = ["render_app", "render_group", "render_pod"]
