"""Messages on their way: a real store, real servers."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from koinon.chronos.model import Job
from koinon.chronos.notices import Mail, Notice, Outbox, Settings, Webhook, backlog, outbox
from koinon.coordination.embedded import EmbeddedStore
from tests.unit.chronos.notices.servers import MailServer, WebServer

AT = 1_800_000_000.0
JOB = Job(name="bills", owner="ann@x.org")


def failed(number: int = 1, job: Job = JOB) -> Notice:
    return Notice("failed", job, AT, task_id=f"ct:{number}:0:{job.name}:", message="naïve")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "_CHANNEL_PAUSES", (0.05, 0.1))
    monkeypatch.setattr(backlog, "_MESSAGE_PAUSES", (0.05, 0.1))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "store.sqlite")
    yield store
    await store.close()


@pytest.fixture
def mails() -> MailServer:
    return MailServer()


@pytest.fixture
def web() -> WebServer:
    return WebServer()


@asynccontextmanager
async def sending(
    store: EmbeddedStore, settings: Settings, clock: Callable[[], float] = lambda: AT
) -> AsyncIterator[Outbox]:
    found = Outbox(store, settings, clock=clock)
    found.start()
    try:
        yield found
    finally:
        await found.close()


def moving() -> Callable[[], float]:
    """A clock that begins when the notices happen."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    return lambda: AT + loop.time() - begun


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def forgotten(store: EmbeddedStore) -> None:
    await until(lambda: store.load("notices/") == {})


def by_mail(mails: MailServer, **fields: object) -> Settings:
    return Settings("blue", Mail(mails.host, "chronos@x.org", mails.port, **fields))  # type: ignore[arg-type]


# ── mail ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_mail_arrives_and_is_forgotten(store: EmbeddedStore, mails: MailServer) -> None:
    async with mails.running(), sending(store, by_mail(mails)) as out:
        out.post(failed())
        await until(lambda: len(mails.mails) == 1)
        await forgotten(store)
        assert len(out) == 0
        assert dict(out.counts) == {("mail", "sent"): 1}
    (mail,) = mails.mails
    assert mail["From"] == "chronos@x.org"
    assert mail["To"] == "ann@x.org"
    assert mail["Subject"] == "[blue] [Chronos] job 'bills' failed!"
    assert mail["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().endswith(
        "Task: ct:1:0:bills:\r\nMessage: naïve\r\n"
    ) or mail.get_content().endswith("Task: ct:1:0:bills:\nMessage: naïve\n")


async def test_many_mails_share_a_connection(store: EmbeddedStore, mails: MailServer) -> None:
    async with mails.running(), sending(store, by_mail(mails)) as out:
        for number in range(50):
            out.post(failed(number))
        await until(lambda: len(mails.mails) == 50)
        await forgotten(store)
    assert mails.connections == 1
    assert len({mail["Message-ID"] for mail in mails.mails}) == 50


async def test_a_server_that_is_away_is_waited_for(store: EmbeddedStore, mails: MailServer) -> None:
    async with mails.running():
        pass  # now its port is known
    async with sending(store, by_mail(mails), moving()) as out:
        out.post(failed(1))
        out.post(failed(2))
        await asyncio.sleep(0.3)
        assert len(out) == 2
        assert len(store.load("notices/")) == 2
        async with mails.running():
            await until(lambda: len(mails.mails) == 2)
            await forgotten(store)


async def test_what_waits_is_sent_by_the_next_leader(store: EmbeddedStore, mails: MailServer) -> None:
    async with mails.running():
        pass
    async with sending(store, by_mail(mails), moving()) as out:
        out.post(failed(1))
        out.post(failed(2))
        await until(lambda: len(out) == 2)
    async with mails.running(), sending(store, by_mail(mails)) as out:
        out.post(failed(1))  # decided once more by the next leader
        await until(lambda: len(mails.mails) == 2)
        await forgotten(store)
        await asyncio.sleep(0.1)
    assert len(mails.mails) == 2


async def test_one_address_that_is_refused_holds_up_nobody(store: EmbeddedStore, mails: MailServer) -> None:
    mails.answers["gone@x.org"] = "550 nobody here"
    mails.answers["full@x.org"] = "452 later"
    job = replace(JOB, owner="gone@x.org, full@x.org, not an address at all\r\nBcc: x, ann@x.org")
    async with mails.running(), sending(store, by_mail(mails), moving()) as out:
        out.post(failed(job=job))
        await until(lambda: len(mails.mails) == 1)
        assert mails.mails[0]["To"] == "ann@x.org"
        await until(lambda: len(out) == 1)
        del mails.answers["full@x.org"]
        await until(lambda: len(mails.mails) == 2)
        await forgotten(store)
        assert out.counts["mail", "refused"] >= 2


async def test_a_server_that_falls_silent_is_left(
    store: EmbeddedStore, mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SEND_S", 0.3)
    mails.is_silent = True
    async with mails.running(), sending(store, by_mail(mails), moving()) as out:
        out.post(failed())
        await until(lambda: mails.connections >= 2)
        mails.is_silent = False
        await until(lambda: len(mails.mails) == 1)
        await forgotten(store)


async def test_login(store: EmbeddedStore, mails: MailServer) -> None:
    async with (
        mails.running(password="right"),
        sending(store, by_mail(mails, user="chronos", password="right")) as out,
    ):
        out.post(failed())
        await until(lambda: mails.users == ["chronos"])


async def test_a_wrong_password_is_no_end(store: EmbeddedStore, mails: MailServer) -> None:
    async with mails.running(password="right"):
        async with sending(store, by_mail(mails, user="chronos", password="wrong"), moving()) as out:
            out.post(failed())
            await until(lambda: mails.connections >= 2)
            assert len(out) == 1
        # The operator mends it, and starts us again.
        async with sending(store, by_mail(mails, user="chronos", password="right")):
            await until(lambda: mails.users == ["chronos"])


class Certificates:
    def __init__(self, path: Path) -> None:
        authority = trustme.CA()
        self.file = str(path / "authority.pem")
        authority.cert_pem.write_to_path(self.file)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.server)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def test_tls_from_the_first_byte(
    store: EmbeddedStore, mails: MailServer, certificates: Certificates
) -> None:
    async with mails.running(tls=certificates.server):
        async with sending(store, by_mail(mails, ssl=True, authorities=certificates.file)) as out:
            out.post(failed())
            await forgotten_after(store, lambda: mails.encrypted == [True])
        async with sending(store, by_mail(mails, ssl=True), moving()) as out:
            out.post(failed(2))
            await asyncio.sleep(0.3)
            assert len(out) == 1  # who is there cannot be trusted


async def test_starttls_where_it_is_offered(
    store: EmbeddedStore, mails: MailServer, certificates: Certificates
) -> None:
    async with mails.running(starttls=certificates.server), sending(store, by_mail(mails)) as out:
        out.post(failed())
        await until(lambda: mails.encrypted == [True])


async def test_a_password_goes_to_nobody_who_cannot_be_trusted(
    store: EmbeddedStore, mails: MailServer, certificates: Certificates
) -> None:
    login = {"user": "chronos", "password": "right"}
    async with mails.running(starttls=certificates.server, password="right"):
        async with sending(store, by_mail(mails, **login), moving()) as out:
            out.post(failed())
            await until(lambda: mails.connections >= 2)
            assert mails.mails == []
        async with sending(store, by_mail(mails, **login, authorities=certificates.file)):
            await until(lambda: mails.users == ["chronos"] and mails.encrypted == [True])


# ── calls and chats ──────────────────────────────────────────────────────────────────────────────────


async def test_a_call_arrives_with_its_credentials(store: EmbeddedStore, web: WebServer) -> None:
    async with web.running(), sending(store, Settings(http=Webhook(web.url, "me", "pw"))) as out:
        out.post(failed())
        await forgotten_after(store, lambda: len(web.calls) == 1)
    assert web.calls[0]["job"] == "bills"
    assert web.calls[0]["to"] == "ann@x.org"
    assert web.headers[0]["Content-Type"] == "application/json"
    assert web.headers[0]["Authorization"] == "Basic " + base64.b64encode(b"me:pw").decode()
    assert len(web.headers[0]["Idempotency-Key"]) == 32


async def test_a_url_may_have_the_credentials_in_it(store: EmbeddedStore, web: WebServer) -> None:
    """And what is given as such goes before."""
    async with web.running():
        url = web.url.replace("http://", "http://ann:p%40w@")
        settings = Settings(http=Webhook(url), slack=Webhook(url, "me", "pw"))
        async with sending(store, settings) as out:
            out.post(failed())
            await forgotten_after(store, lambda: len(web.calls) == 2)
    said = {base64.b64decode(one["Authorization"].removeprefix("Basic ")) for one in web.headers}
    assert said == {b"ann:p@w", b"me:pw"}


async def forgotten_after(store: EmbeddedStore, is_so: Callable[[], bool]) -> None:
    await until(is_so)
    await forgotten(store)


async def test_chats_get_a_text(store: EmbeddedStore, web: WebServer) -> None:
    async with web.running():
        hook = Webhook(web.url)
        async with sending(store, Settings("blue", slack=hook, mattermost=hook)) as out:
            out.post(Notice("deleted", JOB, AT))
            await forgotten_after(store, lambda: len(web.calls) == 2)
    assert web.calls == [{"text": "[blue] [Chronos] Your job 'bills' was deleted!"}] * 2


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
async def test_a_server_in_trouble_is_called_again(store: EmbeddedStore, web: WebServer, status: int) -> None:
    web.status = status
    async with web.running(), sending(store, Settings(http=Webhook(web.url)), moving()) as out:
        out.post(failed())
        await asyncio.sleep(0.2)
        assert len(out) == 1
        web.status = 200
        await forgotten_after(store, lambda: len(web.calls) == 1)


async def test_a_call_that_is_not_understood_is_given_up(store: EmbeddedStore, web: WebServer) -> None:
    web.status = 422
    async with web.running(), sending(store, Settings(http=Webhook(web.url))) as out:
        out.post(failed())
        await forgotten_after(store, lambda: out.counts["http", "refused"] == 1)


async def test_a_channel_that_is_out_does_not_hold_up_another(
    store: EmbeddedStore, mails: MailServer, web: WebServer
) -> None:
    async with mails.running():
        pass
    settings = replace(by_mail(mails), http=None)
    async with web.running(), sending(store, replace(settings, http=Webhook(web.url)), moving()) as out:
        out.post(failed())
        await until(lambda: len(web.calls) == 1)
        await until(lambda: len(out) == 1)


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_sent_before_it_is_stored(mails: MailServer, store: EmbeddedStore) -> None:
    async with mails.running(), sending(store, by_mail(mails)) as out:
        out.post(failed())
        assert len(out) == 0
        await until(lambda: len(mails.mails) == 1)


async def test_what_is_too_old_is_dropped(store: EmbeddedStore, mails: MailServer) -> None:
    async with mails.running():
        pass
    async with sending(store, by_mail(mails), lambda: AT + 4 * 86400) as out:
        out.post(failed())
        await forgotten_after(store, lambda: out.counts["mail", "dropped"] == 1)


async def test_what_is_too_much_is_dropped(
    store: EmbeddedStore, mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_WAITING_MAX", 3)
    async with mails.running():
        pass
    async with sending(store, by_mail(mails), moving()) as out:
        for number in range(5):
            out.post(failed(number))
            await until(lambda number=number: len(out) == min(number + 1, 3))
        assert out.counts["mail", "dropped"] == 2
        assert len(store.load("notices/")) == 3


async def test_what_cannot_be_read_or_is_not_wanted_any_more_is_forgotten(
    store: EmbeddedStore, mails: MailServer
) -> None:
    async with mails.running():
        pass
    async with sending(store, by_mail(mails), moving()) as out:
        out.post(failed())
        await until(lambda: len(out) == 1)
    await store.commit([("notices/x", b"{")])
    async with sending(store, Settings()):
        await forgotten(store)
