"""A mail server and a web server that note what they are told, each in a thread of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.cluster.harness import IP, free_port


class Inbox:
    """What came in."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.calls: list[dict[str, str]] = []
        self.mail_address = ""
        self.url = ""

    def mails_about(self, subject: str) -> list[EmailMessage]:
        """Those with that in their subject."""
        return [mail for mail in self.mails if subject in mail["Subject"]]

    def calls_about(self, subject: str) -> list[dict[str, str]]:
        """The same of calls."""
        return [call for call in self.calls if subject in call["subject"]]


@contextmanager
def inbox() -> Iterator[Inbox]:
    """Both servers, until the end of the block."""
    found = Inbox()

    class Mails:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            assert isinstance(envelope.content, bytes)
            found.mails.append(
                message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default)
            )
            return "250 taken"

    class Calls(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.calls.append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    controller = Controller(Mails(), hostname=IP, port=free_port())
    controller.start()
    server = ThreadingHTTPServer((IP, 0), Calls)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.mail_address = f"{IP}:{controller.port}"
    found.url = f"http://{IP}:{server.server_port}/hook"
    try:
        yield found
    finally:
        controller.stop()
        server.shutdown()
        thread.join()
        server.server_close()
