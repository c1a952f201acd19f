"""A mail server and a web server that take messages, or do not."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class MailServer:
    """Takes mails, unless `answers` says otherwise: by recipient."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, str] = {}
        self.connections = 0
        self.users: list[str | None] = []
        self.encrypted: list[bool] = []
        self.host, self.port = "127.0.0.1", 0
        self.is_silent = False

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.is_silent:
            await asyncio.sleep(3600)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default)
        assert mail["To"] == envelope.rcpt_tos[0]
        self.mails.append(mail)
        self.users.append(session.auth_data.login.decode() if session.auth_data else None)
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 taken"

    @asynccontextmanager
    async def running(
        self, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, password: str = ""
    ) -> AsyncIterator[None]:
        """Listens; on the same port when it did before."""

        def check(
            server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
        ) -> AuthResult:
            assert isinstance(data, LoginPassword)
            return AuthResult(success=data.password == password.encode(), handled=False, auth_data=data)

        def connected() -> SMTP:
            self.connections += 1
            with warnings.catch_warnings(action="ignore"):  # it does not like passwords without TLS either
                return SMTP(
                    self,
                    hostname="mx",
                    tls_context=starttls,
                    authenticator=check if password else None,
                    auth_required=bool(password),
                    auth_require_tls=bool(starttls),
                    loop=asyncio.get_running_loop(),
                )

        listening = await asyncio.get_running_loop().create_server(connected, self.host, self.port, ssl=tls)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            listening.close()
            await asyncio.sleep(0.05)  # connections end in their own time


class WebServer:
    """Takes calls, answering with `status`."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/secret"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def take(request: web.Request) -> web.Response:
            if self.status == 200:
                self.calls.append(await request.json())
                self.headers.append(dict(request.headers))
            return web.Response(status=self.status, headers={"Location": "/elsewhere"})

        app = web.Application()
        app.router.add_post("/hooks/secret", take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()
