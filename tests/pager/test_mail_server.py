"""E-mail to a mail server that others wrote: what it takes and gives back is not what our own idea of SMTP says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from streams.pager import build
from streams.pager.address import Place
from streams.pager.answers import Answer, Outcome
from streams.pager.http import tls_context
from streams.pager.sinks.sink import MailSink
from streams.pager.smtp import Login, MailServer, SmtpClient
from streams.pager.steps import Action, Page, read_alert
from streams.secrets import Secret
from streams.sections import SinkSettings
from tests.pager.steps import NOW, alert

TO = ("oncall@example.com", "nobody@example.com")
PASSWORD = Secret("canary")


class Office:
    """Takes mail for everyone but nobody, from whoever knows the password, and over TLS alone."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca, self.port = str(folder / "ca.pem"), 0
        authority.cert_pem.write_to_path(self.ca)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("mail.example").configure_cert(self.tls)
        self.taken: list[Envelope] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        return "250 taken"

    def knows(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        right = isinstance(login, LoginPassword) and login == LoginPassword(b"me", b"canary")
        return AuthResult(success=right, handled=False)  # the answer is its own

    def protocol(self) -> SMTP:
        return SMTP(
            self,
            hostname="mail.example",
            tls_context=self.tls,
            require_starttls=True,
            auth_required=True,
            authenticator=self.knows,
            enable_SMTPUTF8=False,
        )


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    async with _listening(made) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


@asynccontextmanager
async def _listening(office: Office) -> AsyncIterator[asyncio.Server]:
    server = await asyncio.get_running_loop().create_server(office.protocol, "127.0.0.1", 0)
    async with server:
        yield server


async def sent(
    office: Office,
    to: tuple[str, ...] = TO[:1],
    *,
    encryption: str = "starttls",
    password: Secret = PASSWORD,
    **fields: Any,
) -> Answer:
    async def resolve(_: Place) -> Sequence[str]:
        return ["127.0.0.1"]

    server = MailServer(Place("mail.example", office.port), encryption, Login("me", password), allow_private=True)
    value = alert("opened", **fields)
    page = Page(Action.TRIGGER, read_alert(value), value, NOW)
    client = SmtpClient(server, tls_context(office.ca), resolve=resolve)
    return await MailSink("driftline@example.com", to, client).deliver(page)


async def test_a_mail_arrives_as_it_was_written(office: Office) -> None:
    summary = ".père: " + "age shifted; " * 100 + "€"
    answer = await sent(office, summary=summary)
    (envelope,) = office.taken
    assert answer.outcome is Outcome.DELIVERED
    assert (envelope.mail_from, envelope.rcpt_tos) == ("driftline@example.com", ["oncall@example.com"])
    assert isinstance(envelope.content, bytes)
    assert max(map(len, envelope.content.splitlines())) <= 998  # a longer one may be cut on the way
    message = message_from_bytes(envelope.content, policy=SMTP_POLICY)
    assert message.get_content().splitlines()[0] == summary
    assert str(make_header(decode_header(message["Subject"]))).startswith("driftline inc-1: [warning, opened] .père")


async def test_who_is_refused_is_told_and_the_others_get_it(office: Office) -> None:
    answer = await sent(office, TO)
    assert (answer.outcome, answer.whole, answer.detail) == (
        Outcome.DELIVERED,
        False,
        "taken, 1 of 2 recipients refused",
    )
    assert [envelope.rcpt_tos for envelope in office.taken] == [["oncall@example.com"]]


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        ({"to": TO[1:]}, "SMTP 550"),
        ({"password": Secret("wrong")}, "SMTP 535"),
        ({"encryption": "none"}, "the server offers no STARTTLS, or no login that is known here"),
    ],
)
async def test_what_it_does_not_take_is_not_tried_again(office: Office, how: dict[str, Any], detail: str) -> None:
    answer = await sent(office, **how)
    assert (answer.outcome, answer.detail, office.taken) == (Outcome.PERMANENT, detail, [])


async def test_a_sink_of_the_configuration_finds_its_server_and_asks_for_its_certificate(office: Office) -> None:
    settings = SinkSettings(
        type="email",
        server=f"127.0.0.1:{office.port}",
        sender="driftline@example.com",
        recipients=TO[:1],
        username="me",
        secret=PASSWORD,
        ca_file=office.ca,
        allow_private=True,
    )
    value = alert("opened")
    page = Page(Action.TRIGGER, read_alert(value), value, NOW)
    answer = await build.sink(settings, lambda: NOW).deliver(page)
    assert (answer.outcome, answer.detail) == (Outcome.RETRY, "its certificate is not trusted, or is another host's")
