"""Definitions of apps and pods as the API shows them."""

from __future__ import annotations

from typing import Any

from koinon.marathon.model import App, Pod
from koinon.marathon.rendering.plain import plain


def definition(app: App) -> dict[str, Any]:
    """The definition without versions, as it could be sent again."""
    made: dict[str, Any] = plain(app)
    made.pop("version", None)
    made.pop("versionInfo", None)
    for port in made.get("portDefinitions", ()):
        del port["assigned"]
    for check in made.get("healthChecks", ()):
        if check["protocol"] not in ("HTTP", "HTTPS"):
            check.pop("ignoreHttp1xx")
    return made


def render_app(app: App) -> dict[str, Any]:
    """One app; counts, deployments and what else may be embedded are added by whoever knows them."""
    made = definition(app)
    if app.version:
        made["version"] = app.version
    if app.version_info is not None:
        made["versionInfo"] = plain(app.version_info)
    return made


def render_pod(pod: Pod) -> dict[str, Any]:
    """One pod."""
    made: dict[str, Any] = plain(pod)
    made.pop("versionInfo", None)
    if not pod.version:
        del made["version"]
    return made
