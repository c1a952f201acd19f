"""How a message gets onto its channel."""

from __future__ import annotations

import contextlib
import socket
import ssl
from base64 import b64encode
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Protocol

import aiohttp
import aiosmtplib
from yarl import URL

from koinon.chronos.notices.delivery import Delivery
from koinon.chronos.notices.settings import Mail, Webhook

#: For a connection, and for each answer.
_TIMEOUT_S = 20.0
#: What a server says about the message itself, rather than about our call.
_REFUSALS = frozenset({400, 413, 422})


class Refused(Exception):
    """This message will never be taken."""


class Later(Exception):
    """This message is not taken now; others may be."""


class Unreachable(Exception):
    """No message is taken now."""


class Sender(Protocol):
    """Sends on one channel, one message at a time."""

    async def send(self, delivery: Delivery) -> None:
        """Returns when it was taken. Raises Refused, Later or Unreachable."""
        ...

    async def rest(self) -> None:
        """There is nothing more to send for now."""
        ...


class MailSender:
    """Sends mails, and keeps its connection while there are more of them. Raises OSError without the authorities' file."""

    def __init__(self, settings: Mail) -> None:
        self._settings = settings
        self._tls = _tls_context(settings)
        self._client: aiosmtplib.SMTP | None = None

    async def send(self, delivery: Delivery) -> None:
        """See `Sender.send`."""
        mail = _mail(delivery, self._settings.sender)
        try:
            client = await self._connected()
            await client.send_message(mail, sender=self._settings.sender, recipients=[delivery.to])
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _about_message(error.recipients[0]) from error
        except aiosmtplib.SMTPDataError as error:
            raise _about_message(error) from error
        except (aiosmtplib.SMTPNotSupported, UnicodeEncodeError) as error:  # letters of an address
            raise Refused(str(error)) from error
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError, ValueError) as error:
            self._disconnect()
            raise Unreachable(f"{self._settings.host}:{self._settings.port}: {_said(error)}") from error
        except BaseException:  # nobody knows what state the connection is in
            self._disconnect()
            raise

    async def rest(self) -> None:
        """See `Sender.rest`."""
        if self._client is not None and self._client.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await self._client.quit(timeout=2)
        self._disconnect()

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.user or None,
            password=settings.password or None,
            use_tls=settings.ssl,
            tls_context=self._tls,
            local_hostname=socket.gethostname(),  # looking up the whole name would block
            timeout=_TIMEOUT_S,
        )
        self._client = client
        await client.connect()
        return client


class WebhookSender:
    """Posts JSON to one URL."""

    def __init__(self, webhook: Webhook) -> None:
        url = URL(webhook.url)
        # Where there are two passwords, the one that was given as such counts.
        user, password = (
            webhook.user or url.user or "",
            webhook.password if webhook.user else url.password or "",
        )
        self._authorization = _authorization(user, password)
        self._url = url.with_user(None)
        #: A chat's URL is a password of its own: of it only this is told.
        self._host = url.host or "?"
        self._session: aiohttp.ClientSession | None = None

    async def send(self, delivery: Delivery) -> None:
        """See `Sender.send`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": "chronos",
                    **self._authorization,
                },
            )
        try:
            # A redirection would be followed by a GET.
            async with self._session.post(
                self._url,
                data=delivery.body.encode(),
                headers={"Idempotency-Key": delivery.id},
                allow_redirects=False,
            ) as answer:
                status = answer.status
        except TimeoutError as error:
            raise Unreachable(f"{self._host}: no answer within {_TIMEOUT_S:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"{self._host}: {type(error).__name__}") from error
        if status in _REFUSALS:
            raise Refused(f"{self._host} answered {status}")
        if not 200 <= status < 300:
            raise Unreachable(f"{self._host} answered {status}")

    async def rest(self) -> None:
        """See `Sender.rest`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _authorization(user: str, password: str) -> dict[str, str]:
    if not user:
        return {}
    login = b64encode(f"{user}:{password}".encode())
    return {"Authorization": f"Basic {login.decode()}"}


def _mail(delivery: Delivery, sender: str) -> EmailMessage:
    mail = EmailMessage(policy=SMTP_POLICY)
    try:
        mail["From"] = sender
        mail["To"] = delivery.to
        mail["Subject"] = delivery.subject
        mail["Date"] = format_datetime(datetime.fromtimestamp(delivery.at, UTC))
        # The same when it is sent once more, so that programs that read it know.
        mail["Message-ID"] = f"<{delivery.id}@chronos>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(f"{delivery.body}\n" if delivery.body else "")
        mail.as_bytes()
    except (ValueError, MessageError, IndexError) as error:
        raise Refused(f"no mail can be written to '{delivery.to}': {error}") from error
    return mail


def _tls_context(settings: Mail) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.authorities or None)
    if not (settings.ssl or settings.user or settings.authorities):
        # There is no password to lose: a server that cannot be told from another is as good as one without TLS.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _about_message(error: aiosmtplib.SMTPResponseException) -> Refused | Later:
    """SMTP's codes of 500 and more are final."""
    return (Refused if error.code >= 500 else Later)(_said(error))


def _said(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {' '.join(error.message.split())}"
    return " ".join(str(error).split()) or type(error).__name__
