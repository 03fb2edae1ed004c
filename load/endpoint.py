"""A real HTTP server on the loopback that answers as it is told, request by request, down to the byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NamedTuple

import orjson

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Got(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]  # in small letters
    body: bytes
    at: float  # by ``time.monotonic``

    @property
    def content(self) -> Any:
        return orjson.loads(self.body)


class Endpoint:
    """Behaves by its script, one behaviour a request, and when that is done as ``usual``."""

    def __init__(self, usual: Behaviour) -> None:
        self.usual = usual
        self.script: list[Behaviour] = []
        self.got: list[Got] = []
        self.took: list[Got] = []  # of these, the ones that it answered as usual
        self._news = asyncio.Event()
        self.port = 0
        self.broken_off = 0  # connections

    def url(self, path: str = "/", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits for the request that makes it so."""
        while not true():
            self._news.clear()
            await self._news.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = first.split(" ")
            self.got.append(Got(method, path, headers, body, monotonic()))
            behaviour = self.script.pop(0) if self.script else self.usual
            if behaviour is self.usual:
                self.took.append(self.got[-1])
            self._news.set()
            await behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.broken_off += 1
        finally:
            writer.close()


def says(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    async def behaviour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in names.items())]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return behaviour


async def hangs(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Until the other side has enough."""
    await reader.read()


def drips(count: int, beginning: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n") -> Behaviour:
    """A byte at a time, each a while after the last: no single wait is long."""

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        for _ in range(count):
            writer.write(b"x")
            await writer.drain()
            try:
                await asyncio.wait_for(reader.read(1), 0.02)
            except TimeoutError:
                continue
            return

    return behaviour


async def resets_midway(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
    await writer.drain()
    writer.transport.abort()


async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def sends(raw: bytes) -> Behaviour:
    async def behaviour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return behaviour


@asynccontextmanager
async def endpoint(
    usual: Behaviour | None = None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Endpoint]:
    made = Endpoint(usual or says(202, b'{"status":"success"}'))
    server = await asyncio.start_server(made.serve, host, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
