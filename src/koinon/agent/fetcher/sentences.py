"""What is said of a fetch."""

from __future__ import annotations

from yarl import URL


class FetchError(Exception):
    """Something was not fetched; the text is a sentence for the owner of the task."""


def shown(uri: str) -> str:
    """A URI without what only its owner should know."""
    if "@" not in uri:
        return uri
    try:
        return str(URL(uri).with_user(None))
    except ValueError:
        return uri
