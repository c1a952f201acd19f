"""The types of `koinon.marathon.model` → JSON of the API."""

from koinon.marathon.rendering.apps import render_app

__all__ = ["render_app"]
