"""One message to one mail server, within the limits of an HTTP request: pinned addresses, TLS verified, a total time.

``smtplib`` waits for as long as single bytes come, so it works in a thread and its connection is cut when time is up.
"""

import asyncio
import smtplib
import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage
from typing import TYPE_CHECKING, NamedTuple

from streams.pager.address import Place
from streams.pager.answers import Answer, Outcome, delivered, permanent, unreachable
from streams.pager.http import Addresses, Limits, Resolve, allowed_addresses, resolve
from streams.secrets import Secret

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

HELO_NAME = "localhost.localdomain"  # what is not to be asked of a name server, which may hang


class Login(NamedTuple):
    username: str
    password: Secret


class MailServer(NamedTuple):
    place: Place
    encryption: str  # starttls, tls or none
    login: Login | None = None
    allow_private: bool = False


class SmtpClient:
    def __init__(
        self,
        server: MailServer,
        tls: ssl.SSLContext,
        *,
        limits: Limits = Limits(),  # noqa: B008 - three numbers
        resolve: Resolve = resolve,
    ) -> None:
        self._server, self._tls = server, tls
        self._limits, self._resolve = limits, resolve

    async def send(self, message: EmailMessage, recipients: tuple[str, ...]) -> Answer:
        conversation: _Conversation | None = None
        try:
            async with asyncio.timeout(self._limits.total_s):
                addresses = await allowed_addresses(
                    self._server.place, allow_private=self._server.allow_private, resolve=self._resolve
                )
                if isinstance(addresses, Answer):
                    return addresses
                conversation = _Conversation(self._server, self._tls, addresses, self._limits)
                return await asyncio.to_thread(conversation.hand_over, message, recipients)
        except TimeoutError:
            return unreachable("no answer in time", arrived=conversation is not None)
        finally:  # also where the pager is told to stop: its end waits for every thread
            if conversation is not None:
                conversation.cut()


class _Conversation(smtplib.SMTP):
    def __init__(self, server: MailServer, tls: ssl.SSLContext, addresses: Addresses, limits: Limits) -> None:
        super().__init__(timeout=limits.connect_s, local_hostname=HELO_NAME)
        self._server, self._tls, self._addresses, self._limits = server, tls, addresses, limits
        self._host = server.place.host  # whose certificate STARTTLS asks for
        self._handed_over = False
        self._is_cut = False
        self._line: socket.socket | None = None  # of our own: TLS takes the other one away while it shakes hands

    def cut(self) -> None:
        """From another thread: whatever it waits for ends now."""
        self._is_cut = True
        line, self._line = self._line, None
        if line is not None:
            with suppress(OSError), line:
                line.shutdown(socket.SHUT_RDWR)

    def hand_over(self, message: EmailMessage, recipients: tuple[str, ...]) -> Answer:
        try:
            return self._exchange(message, recipients)
        except smtplib.SMTPRecipientsRefused as error:
            return _by_codes([code for code, _ in error.recipients.values()])
        except smtplib.SMTPResponseException as error:
            return _by_codes([error.smtp_code])
        except smtplib.SMTPNotSupportedError:
            return permanent("refused", "the server offers no STARTTLS, or no login that is known here")
        except ssl.SSLCertVerificationError:
            return unreachable("its certificate is not trusted, or is another host's", arrived=False)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return unreachable(f"the exchange broke off: {type(error).__name__}", arrived=self._handed_over)
        finally:
            self.close()

    def _exchange(self, message: EmailMessage, recipients: tuple[str, ...]) -> Answer:
        code, _ = self.connect(self._server.place.host, self._server.place.port)
        if code != 220:
            return _by_codes([code])
        if self._server.encryption == "starttls":
            self.starttls(context=self._tls)
        if self._server.login is not None:
            self.login(self._server.login.username, self._server.login.password.reveal())
        refused = self.send_message(message, to_addrs=list(recipients))
        if refused:
            return delivered(f"taken, {len(refused)} of {len(recipients)} recipients refused", whole=False)
        return delivered("taken")

    def data(self, msg: "Buffer | str") -> tuple[int, bytes]:
        self._handed_over = True  # from here on it may be taken although no answer comes
        return super().data(msg)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """To the addresses that were looked at, one after another."""
        problem: OSError = OSError("no address")
        for address in self._addresses:
            if self._is_cut:
                break
            try:
                plain = socket.create_connection((address, port), timeout)
            except OSError as error:
                problem = error
                continue
            plain.settimeout(self._limits.read_s)
            self._line = plain.dup()
            if self._is_cut:
                self.cut()
            return self._tls.wrap_socket(plain, server_hostname=host) if self._server.encryption == "tls" else plain
        raise problem


def _by_codes(codes: list[int]) -> Answer:
    detail = f"SMTP {', '.join(sorted({str(code) for code in codes}))}"
    if any(400 <= code < 500 or code <= 0 for code in codes):
        return Answer(Outcome.RETRY, "server_error", detail, arrived=False, whole_sink=True)
    return permanent("refused", detail)
