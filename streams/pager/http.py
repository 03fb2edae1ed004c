"""One request to an endpoint, within limits of time, size and place. It tells what came back and raises nothing.

The host is resolved here, its addresses are looked at, and exactly these are connected to: what the name leads to a
moment later is of no account. Certificates are always verified. Redirects are an answer like others, never followed.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from streams.errors import UsageError
from streams.pager.address import Place, is_private, place_of
from streams.pager.answers import Answer, permanent, unreachable

CONNECT_S = 5.0
READ_S = 10.0  # between two bytes
TOTAL_S = 20.0  # of one attempt, resolving included: an answer that drips is cut off here
BODY_BYTES_MAX = 64 * 1024  # answers of pagers have some hundred bytes
LINE_BYTES_MAX = 8 * 1024
HEADER_MAX = 64

Addresses = Sequence[str]
Resolve = Callable[[Place], Awaitable[Addresses]]


class Request(NamedTuple):
    url: str
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]  # finds names whatever their case
    body: bytes


class Limits(NamedTuple):
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    total_s: float = TOTAL_S


async def resolve(place: Place) -> Addresses:
    found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))


async def allowed_addresses(place: Place, *, allow_private: bool, resolve: Resolve) -> Addresses | Answer:
    """All of a name's addresses, or why none of them may be used. One that is private spoils them all."""
    try:
        addresses = await resolve(place)
    except (OSError, UnicodeError):
        return unreachable("the name of the host is not known", arrived=False)
    if not addresses:
        return unreachable("the name of the host has no address", arrived=False)
    if not allow_private and any(map(is_private, addresses)):
        return permanent("private_address", "the host is within a private network; see allow_private")
    return addresses


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot be used: {error}", where=ca_file or "the system's certificates") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class HttpClient:
    """For one sink. A connection lives for one request: pages are rare, and a stale one would cost a try."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        allow_private: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - three numbers
        resolve: Resolve = resolve,
    ) -> None:
        self._tls, self._allow_private = tls, allow_private
        self._limits, self._resolve = limits, resolve

    async def send(self, request: Request) -> Response | Answer:
        """A ``Response`` where the endpoint answered in time and in order, else the ``Answer`` to go by."""
        connected = False
        try:
            async with asyncio.timeout(self._limits.total_s):
                addresses = await allowed_addresses(
                    place_of(request.url), allow_private=self._allow_private, resolve=self._resolve
                )
                if isinstance(addresses, Answer):
                    return addresses
                connected = True  # from here on only a refused connection says for certain that nothing arrived
                return await self._exchange(request, addresses)
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            never = isinstance(error, aiohttp.ConnectionTimeoutError) or not connected
            return unreachable("no answer in time", arrived=not never)
        except aiohttp.ClientConnectorCertificateError:
            return unreachable("its certificate is not trusted, or is another host's", arrived=False)
        except aiohttp.ClientConnectorError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            return unreachable(f"no connection: {reason}", arrived=False)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return unreachable(f"the exchange broke off: {type(error).__name__}", arrived=True)

    async def _exchange(self, request: Request, addresses: Addresses) -> Response | Answer:
        limits = self._limits
        timeout = aiohttp.ClientTimeout(total=None, connect=limits.connect_s, sock_read=limits.read_s)
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(addresses), ssl=self._tls, force_close=True, use_dns_cache=False
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADER_MAX,
        ) as session:
            headers = {"User-Agent": "driftline-pager", "Accept-Encoding": "identity", **request.headers}
            async with session.request(
                request.method, request.url, data=request.body, headers=headers, allow_redirects=False
            ) as response:
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > BODY_BYTES_MAX:
                        break  # what it says is in the status and the beginning
                return Response(response.status, response.headers, bytes(body[:BODY_BYTES_MAX]))


class _Pinned(AbstractResolver):
    """Hands out the addresses that were looked at, whatever the name leads to by now."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""
