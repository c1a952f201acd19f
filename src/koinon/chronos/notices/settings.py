"""Where messages go. What is None is not used."""

from __future__ import annotations

import msgspec


class Mail(msgspec.Struct, frozen=True):
    """A mail server, and who writes."""

    host: str
    sender: str
    port: int = 25
    user: str = ""
    password: str = ""
    ssl: bool = False  #: from the first byte; else by STARTTLS if the server offers it
    authorities: str = ""  #: a file with the certificates to trust, instead of the system's


class Webhook(msgspec.Struct, frozen=True):
    """Where to POST to. The URL itself may be a secret."""

    url: str
    user: str = ""
    password: str = ""


class Settings(msgspec.Struct, frozen=True):
    """Everything that an operator has set about notices."""

    cluster: str = ""  #: its name, for subjects
    mail: Mail | None = None
    slack: Webhook | None = None
    mattermost: Webhook | None = None
    http: Webhook | None = None
