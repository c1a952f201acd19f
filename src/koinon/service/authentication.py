"""Who asks: the place where requests are told apart by their senders.

An `Authenticator` says who sent a request, or how to say who one is. What a sender may do is not asked here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.web_request import BaseRequest
from msgspec import Struct

from koinon.service.flags import Credentials


class Identity(Struct, frozen=True):
    """Who has sent a request."""

    principal: str


#: Of a request that has passed: `request.get(IDENTITY)`; None when nobody is asked who he is.
IDENTITY = web.RequestKey("identity", Identity)


class Authenticator(Protocol):
    """Finds out who has sent a request."""

    #: Value of the header WWW-Authenticate for those who have not said it.
    challenge: str

    def authenticate(self, request: BaseRequest) -> Identity | None:
        """None: he has not said who he is, or not proved it."""
        ...


class BasicAuthenticator:
    """One user and password for all (`--http_credentials`)."""

    def __init__(self, credentials: Credentials, realm: str) -> None:
        quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
        self.challenge = f'Basic realm="{quoted}"'
        self._identity = Identity(credentials.user)
        self._expected = f"{credentials.user}:{credentials.password}".encode()

    def authenticate(self, request: BaseRequest) -> Identity | None:
        """See `Authenticator.authenticate`. How long it takes does not tell how much is right."""
        scheme, _, encoded = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            said = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return None
        return self._identity if hmac.compare_digest(said, self._expected) else None
