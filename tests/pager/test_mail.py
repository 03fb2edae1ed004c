"""E-mail to a real small mail server on the loopback: TLS, logins, refusals, and one that never comes to an end."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message

import pytest
import trustme

from streams.pager.address import Place
from streams.pager.answers import Answer, Outcome
from streams.pager.http import Limits, tls_context
from streams.pager.sinks.sink import MailSink
from streams.pager.smtp import Login, MailServer, SmtpClient
from streams.pager.steps import Action, Page, read_alert
from streams.secrets import Secret
from tests.pager.steps import NOW, alert

TO = ("oncall@example.com", "other@example.com")


class SmtpServer:
    """As much of a mail server as a client needs. ``replies`` puts another reply in the place of a command's."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.tls = tls
        self.replies: dict[str, bytes] = {}
        self.mails: list[Message] = []
        self.commands: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._say(writer, "greeting", b"220 here\r\n")
            while line := await reader.readline():
                words = line.decode().strip()
                self.commands.append(words)
                command = words.partition(" ")[0].upper()
                if command == "EHLO":
                    offered = [b"250-here", *([b"250-STARTTLS"] if self.tls else []), b"250 AUTH PLAIN"]
                    await self._say(writer, command, b"\r\n".join(offered) + b"\r\n")
                elif command == "STARTTLS":
                    await self._say(writer, command, b"220 go\r\n")
                    await writer.start_tls(self.tls)  # type: ignore[arg-type]
                elif command == "AUTH":
                    await self._say(writer, command, b"235 in\r\n")
                elif command == "DATA":
                    await self._say(writer, command, b"354 go\r\n")
                    raw = await reader.readuntil(b"\r\n.\r\n")
                    if await self._say(writer, "message", b"250 taken\r\n"):
                        self.mails.append(message_from_bytes(raw[:-5]))
                else:
                    await self._say(writer, command, b"250 fine\r\n")
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.broken_off = True
        finally:
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, to: str, usual: bytes) -> bool:
        """Whether it was the usual answer. An empty one is none at all: the connection ends."""
        reply = self.replies.get(to, usual)
        if not reply:
            raise ConnectionError
        if reply == b"drip":
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.write(reply)
        await writer.drain()
        return reply == usual


@asynccontextmanager
async def smtp_server(tls: ssl.SSLContext | None = None, *, from_the_start: bool = False) -> AsyncIterator[SmtpServer]:
    made = SmtpServer(tls)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls if from_the_start else None)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


class Authority:
    def __init__(self, tmp_path) -> None:  # type: ignore[no-untyped-def]
        self.ca, self.pem = trustme.CA(), str(tmp_path / "ca.pem")
        self.ca.cert_pem.write_to_path(self.pem)

    def serving(self, name: str = "mail.example") -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(name).configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path) -> Authority:  # type: ignore[no-untyped-def]
    return Authority(tmp_path)


async def sent(port: int, *, encryption: str = "none", ca: str | None = None, private: bool = True, **more) -> Answer:  # type: ignore[no-untyped-def]
    async def resolve(_: Place) -> Sequence[str]:
        return ["127.0.0.1"]

    server = MailServer(Place("mail.example", port), encryption, more.pop("login", None), private)
    limits = more.pop("limits", Limits())
    client = SmtpClient(server, tls_context(ca), limits=limits, resolve=resolve)
    value = alert("opened", **more)
    page = Page(Action.TRIGGER, read_alert(value), value, NOW)
    return await MailSink("driftline@example.com", TO, client).deliver(page)


async def test_a_mail_says_what_happened_to_everyone() -> None:
    async with smtp_server() as server:
        answer = await sent(server.port, summary="churn: père\r\nBcc: evil@evil")
        (mail,) = server.mails
    assert answer.outcome is Outcome.DELIVERED
    assert [line for line in server.commands if line.startswith("rcpt")] == [f"rcpt TO:<{to}>" for to in TO]
    assert (mail["To"], mail["Bcc"]) == ("oncall@example.com, other@example.com", None)
    text = mail.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert "churn: père\\r\\nBcc: evil@evil" in text
    assert "threshold: 0.2" in text


async def test_the_same_step_has_the_same_message_id_and_an_incident_is_one_thread() -> None:
    async with smtp_server() as server:
        for step in ("a", "a", "b"):
            await sent(server.port, id=step)
        names = [mail["Message-ID"] for mail in server.mails]
        assert (names[0] == names[1], names[0] == names[2]) == (True, False)
        assert len({mail["References"] for mail in server.mails}) == 1


async def test_starttls_and_a_login_and_the_password_only_within(authority: Authority) -> None:
    async with smtp_server(authority.serving()) as server:
        login = Login("me", Secret("canary"))
        answer = await sent(server.port, encryption="starttls", ca=authority.pem, login=login)
        commands = [line.partition(" ")[0].upper() for line in server.commands]
    assert answer.outcome is Outcome.DELIVERED
    assert commands.index("STARTTLS") < commands.index("AUTH") < commands.index("MAIL")


async def test_tls_from_the_first_byte(authority: Authority) -> None:
    async with smtp_server(authority.serving(), from_the_start=True) as server:
        assert (await sent(server.port, encryption="tls", ca=authority.pem)).outcome is Outcome.DELIVERED


async def test_a_server_without_starttls_gets_neither_login_nor_mail(authority: Authority) -> None:
    async with smtp_server() as server:
        answer = await sent(server.port, encryption="starttls", ca=authority.pem, login=Login("me", Secret("canary")))
        assert (answer.outcome, server.mails) == (Outcome.PERMANENT, [])
        assert not any(line.upper().startswith("AUTH") for line in server.commands)


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
@pytest.mark.parametrize("name", ["mail.example", "other.example"])
async def test_a_certificate_that_is_not_to_be_trusted_stops_it(
    authority: Authority,
    tmp_path,
    encryption: str,
    name: str,  # type: ignore[no-untyped-def]
) -> None:
    trusted = authority.pem if name == "other.example" else None
    async with smtp_server(authority.serving(name), from_the_start=encryption == "tls") as server:
        answer = await sent(server.port, encryption=encryption, ca=trusted)
        assert (answer.outcome, answer.arrived, server.mails) == (Outcome.RETRY, False, [])


@pytest.mark.parametrize(
    ("to", "reply", "outcome"),
    [
        ("greeting", b"421 later\r\n", "retry"),
        ("greeting", b"554 never\r\n", "permanent"),
        ("greeting", b"garbage\r\n", "retry"),
        ("greeting", b"", "retry"),
        ("AUTH", b"535 wrong canary\r\n", "permanent"),
        ("MAIL", b"451 busy\r\n", "retry"),
        ("RCPT", b"550 nobody\r\n", "permanent"),
        ("RCPT", b"452 full\r\n", "retry"),
        ("message", b"552 too large\r\n", "permanent"),
        ("message", b"451 later\r\n", "retry"),
        ("message", b"", "retry"),
    ],
)
async def test_what_a_mail_server_can_say(authority: Authority, to: str, reply: bytes, outcome: str) -> None:
    async with smtp_server(authority.serving()) as server:
        server.replies[to.lower() if to in ("MAIL", "RCPT") else to] = reply
        server.replies[to] = reply
        answer = await sent(server.port, encryption="starttls", ca=authority.pem, login=Login("me", Secret("canary")))
        assert (answer.outcome, server.mails) == (outcome, [])
        assert "canary" not in repr(answer)
        assert answer.arrived == ((to, reply) == ("message", b""))


async def test_a_server_that_drips_is_cut_off() -> None:
    async with smtp_server() as server:
        server.replies["greeting"] = b"drip"
        answer = await sent(server.port, limits=Limits(total_s=0.2))
    assert (answer.outcome, answer.detail) == (Outcome.RETRY, "no answer in time")


class Handshake(asyncio.Protocol):
    """A record of TLS that is long, and comes byte by byte."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.drips = asyncio.create_task(self.drip(transport))  # type: ignore[arg-type]

    async def drip(self, transport: asyncio.Transport) -> None:
        transport.write(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03")
        while not transport.is_closing():
            transport.write(b"\0")
            await asyncio.sleep(0.01)


async def test_nothing_is_left_of_a_conversation_whose_time_is_up_or_that_is_broken_off() -> None:
    """A thread that stays is missed by whatever else needs one, and a pager that is told to stop waits for all."""
    one = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(one)
    server = await loop.create_server(Handshake, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answer = await sent(port, encryption="tls", limits=Limits(total_s=0.3))
        assert answer.detail == "no answer in time"
        await asyncio.wait_for(asyncio.to_thread(bool), 2)
        under_way = asyncio.create_task(sent(port, encryption="tls"))
        await asyncio.sleep(0.3)
        under_way.cancel()
        await asyncio.wait([under_way])
        await asyncio.wait_for(asyncio.to_thread(bool), 2)


async def test_a_mail_server_within_is_refused_unless_it_is_allowed() -> None:
    async with smtp_server() as server:
        answer = await sent(server.port, private=False)
        assert (answer.outcome, answer.reason, server.commands) == (Outcome.PERMANENT, "private_address", [])
