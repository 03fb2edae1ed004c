"""A sink: takes a page, makes one attempt, and tells what came of it."""

from collections.abc import Callable
from typing import Protocol

from streams.pager.answers import GONE, Answer, Outcome, delivered
from streams.pager.http import HttpClient
from streams.pager.sinks.form import Form
from streams.pager.sinks.mail import mail
from streams.pager.smtp import SmtpClient
from streams.pager.steps import Page

Clock = Callable[[], float]  # epoch seconds


class Sink(Protocol):
    @property
    def repeats_s(self) -> float | None: ...

    async def deliver(self, page: Page) -> Answer: ...


class HttpSink:
    def __init__(self, form: Form, client: HttpClient, clock: Clock) -> None:
        self._form, self._client, self._clock = form, client, clock
        self.repeats_s = form.repeats_s

    async def deliver(self, page: Page) -> Answer:
        """All requests of a page, one after another; the first that fails speaks for it, and all are made again."""
        answer = delivered("nothing to say")
        reference = page.reference
        for request in self._form.requests(page):
            response = await self._client.send(request)
            answer = response if isinstance(response, Answer) else self._form.answer(response, self._clock())
            if answer.reason == GONE and page.reference is not None:
                return await self.deliver(page._replace(reference=None))
            if answer.outcome is not Outcome.DELIVERED:
                return answer
            reference = reference or answer.reference
        return answer._replace(reference=reference)


class MailSink:
    repeats_s = None

    def __init__(self, sender: str, recipients: tuple[str, ...], client: SmtpClient) -> None:
        self._sender, self._recipients, self._client = sender, recipients, client

    async def deliver(self, page: Page) -> Answer:
        return await self._client.send(mail(page, self._sender, self._recipients), self._recipients)
