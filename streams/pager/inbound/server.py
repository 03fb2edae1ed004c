"""The door at which PagerDuty and Slack say what people did there. It answers with a status and nothing else.

What they say counts by its signature alone: there are no cookies and no logins, so no page elsewhere can make a browser
say it, and the name by which the server was reached is of no account.
"""

import asyncio
from time import monotonic
from typing import Any

import structlog
from aiohttp import web

from streams.errors import UsageError
from streams.pager.address import Place
from streams.pager.inbound.desk import Desk
from streams.pager.inbound.words import STATUS, Post, Provider, Result

log = structlog.get_logger(__name__)

ANSWER_S = 2.5  # of one request; Slack waits for three seconds, PagerDuty for five
BODY_BYTES_MAX = 256 * 1024  # the most that PagerDuty sends; Slack's are smaller
LINE_BYTES_MAX = 8 * 1024
HEADERS_MAX = 64
REQUESTS_MAX = 16  # at work at once; a provider tries again
CONNECTIONS_MAX = 64  # more than proxies keep open
IDLE_S = 30.0  # of a connection without a whole request
LINGER_S = 1.0  # what is left of a body that was refused is read for so long, so that the answer is seen


class Door:
    def __init__(self, place: Place, desk: Desk) -> None:
        self._place, self._desk = place, desk
        self._paths: dict[str, Provider] = {f"/{provider}": provider for provider in desk.providers}
        self._under_way = 0
        self.open = asyncio.Event()
        self.port = place.port

    async def serve(self) -> None:
        """For ever."""
        runner = web.ServerRunner(_Server(self._answer))
        await runner.setup()
        try:
            await self._bind(runner)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _bind(self, runner: web.ServerRunner) -> None:
        host, port = self._place
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            where = f"pager.inbound.listen = {host}:{port}"
            raise UsageError(
                f"cannot be listened on: {error.strerror}", where=where, advice="name a free one"
            ) from error
        self.port = runner.addresses[0][1]
        log.info("answers can come in", host=host, port=self.port, providers=self._desk.providers)
        self.open.set()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        provider = self._paths.get(request.path)
        if provider is None:
            return _response(404)
        if request.method != "POST":
            return _response(405)
        if self._under_way >= REQUESTS_MAX:
            return _response(STATUS[self._desk.count(provider, Result.BUSY)])
        self._under_way += 1
        try:
            return _response(STATUS[await self._taken(provider, request)])
        finally:
            self._under_way -= 1

    async def _taken(self, provider: Provider, request: web.BaseRequest) -> Result:
        until = monotonic() + ANSWER_S
        try:
            async with asyncio.timeout(ANSWER_S):
                body = await _body(request)
        except TimeoutError:
            return self._desk.count(provider, Result.TOO_SLOW)
        except (web.RequestPayloadError, ConnectionError):
            return self._desk.count(provider, Result.UNREADABLE)  # broken off, or in chunks that are none
        if body is None:
            return self._desk.count(provider, Result.TOO_LARGE)
        try:
            return await self._desk.take(provider, Post(request.headers, body), max(until - monotonic(), 0.0))
        except Exception as error:
            log.error("an answer could not be taken", provider=provider, kind=type(error).__name__)
            return self._desk.count(provider, Result.ERROR)


async def _body(request: web.BaseRequest) -> bytes | None:
    """As it came, ``None`` where it is too large. Signatures are over these bytes, so nothing is unpacked."""
    if (request.content_length or 0) > BODY_BYTES_MAX:
        return None
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)


def _response(status: int) -> web.Response:
    return web.Response(status=status, headers={"Server": "driftline"})


class _Connection(web.RequestHandler):
    """Says nothing of what came: aiohttp would repeat it, to whoever sent it and in the log."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = _response(status)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """What is ours to know was said where it happened."""


class _Server(web.Server):
    """Takes so many connections and hangs up on the rest."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as its own code allows for
            keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            auto_decompress=False,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
