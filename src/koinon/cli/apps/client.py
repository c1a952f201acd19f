"""HTTP to Marathon for commands."""

from __future__ import annotations

from typing import ClassVar

from koinon.cli.service import Service


class Marathon(Service):
    """A Marathon, at one of several places."""

    name: ClassVar[str] = "Marathon"
    default: ClassVar[str] = "127.0.0.1:8080"
    variable: ClassVar[str] = "KOINON_MARATHON"

    @property
    def deployment_id(self) -> str:
        """What the last answer says is its deployment."""
        return self.headers.get("Marathon-Deployment-Id", "")


#: `--marathon HOST:PORT,…`; the command gets a `Marathon` as `marathon`.
marathon_option = Marathon.option


def absolute(app: str) -> str:
    """An app's id as the API has it."""
    return "/" + app.strip("/")
