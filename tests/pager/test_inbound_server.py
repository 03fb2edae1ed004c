"""The door for answers on a real socket: what it lets in, what it bounds, and that it repeats nothing."""

import asyncio
import gzip
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from schemas.events import Control
from streams.errors import UsageError
from streams.pager.address import Place
from streams.pager.inbound import server as server_module
from streams.pager.inbound.desk import Desk
from streams.pager.inbound.server import BODY_BYTES_MAX, Door
from streams.pager.inbound.words import Post
from tests.pager.posts import SECRETS, digest, duty, press
from tests.pager.steps import NOW, Box, alert

CANARY = b"canary-7f3a"
PATIENCE_S = 20.0  # every answer takes milliseconds, or the bound that the test has set


class House:
    """A door on a free port of the loopback, and behind it a desk whose brokers take as long as a test wants."""

    def __init__(self, providers: tuple[str, ...]) -> None:
        self.box, self.counted = Box(), Counter[tuple[str, str]]()
        self.box.take(alert("opened"))
        self.got: list[Control] = []
        self.asked, self.may_go_on, self.news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.may_go_on.set()
        secrets = {name: SECRETS[name] for name in providers}
        desk = Desk(secrets, self.box.outbox.whose, self, self, lambda: NOW)  # type: ignore[arg-type]
        self.door = Door(Place("127.0.0.1", 0), desk)

    async def send(self, event: Control, within_s: float) -> None:
        self.asked.set()
        await self.may_go_on.wait()
        self.got.append(event)

    def inbound(self, provider: str, result: str) -> None:
        self.counted[provider, result] += 1
        self.news.set()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.door.port)

    async def says(self, raw: bytes) -> bytes:
        """All that comes back until it hangs up."""
        reader, writer = await self.connect()
        writer.write(raw)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def house(*providers: str) -> AsyncIterator[House]:
    made = House(providers or ("pagerduty", "slack"))
    serving = asyncio.create_task(made.door.serve())
    opened = asyncio.create_task(made.door.open.wait())
    await asyncio.wait((serving, opened), return_when=asyncio.FIRST_COMPLETED)
    try:
        yield made
    finally:
        serving.cancel()
        opened.cancel()
        await asyncio.gather(serving, opened, return_exceptions=True)


def request(post: Post, path: str = "/pagerduty", method: str = "POST", **headers: str) -> bytes:
    named = {"Host": "driftline", "Connection": "close", "Content-Length": str(len(post.body)), **post.headers}
    lines = {**named, **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + post.body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_both_are_heard_and_answered_with_a_status_and_nothing_else() -> None:
    async with house() as made:
        answers = [await made.says(request(duty())), await made.says(request(press(), "/slack"))]
        assert [event.by for event in made.got] == ["pagerduty:Ada Canary-Lovelace", "slack:canary.grace"]
    assert [status(answer) for answer in answers] == [200, 200]
    heads, bodies = zip(*(answer.split(b"\r\n\r\n", 1) for answer in answers), strict=True)
    assert bodies == (b"", b"")
    assert [b"Server: driftline" in head for head in heads] == [True, True]
    names = {line.partition(b":")[0].lower() for head in heads for line in head.split(b"\r\n")[1:]}
    assert names == {b"server", b"content-length", b"date", b"connection"}


async def test_who_has_no_secret_here_is_not_heard() -> None:
    async with house("slack") as made:
        assert status(await made.says(request(duty()))) == 404
        assert (made.got, made.counted) == ([], Counter())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (request(duty(), "/"), 404),
        (request(duty(), "/pagerduty/"), 404),
        (request(duty(), "/../pagerduty"), 404),
        (request(duty(), "/metrics"), 404),
        (request(duty(), method="GET"), 405),
        (request(duty(), method="PUT"), 405),
        (request(duty(), method="OPTIONS", Origin="https://evil.example"), 405),
        (request(duty(), "/slack"), 401),
        (request(press(), "/pagerduty"), 401),
    ],
)
async def test_there_are_two_addresses_and_one_method(raw: bytes, expected: int) -> None:
    async with house() as made:
        answer = await made.says(raw)
        assert (status(answer), made.got) == (expected, [])
        assert b"access-control" not in answer.lower(), "no page of another origin may read or send anything here"


async def test_a_browser_can_say_nothing_from_any_page_and_any_name_of_the_host_will_do() -> None:
    """The signature alone counts: a form that is posted with cookies has none, and a name that was rebound none."""
    async with house() as made:
        form = Post({"Content-Type": "application/x-www-form-urlencoded", "Cookie": "session=1"}, press().body)
        forged = await made.says(request(form, "/slack", Origin="https://evil.example", Host="evil.example"))
        real = await made.says(request(press(), "/slack", Host="evil.example"))
        assert (status(forged), status(real), len(made.got)) == (401, 200, 1)


async def test_a_huge_body_is_refused_unread_whether_it_says_how_large_it_is_or_not() -> None:
    async with house() as made:
        huge = Post({}, b"x" * (BODY_BYTES_MAX + 1))
        told = await made.says(request(Post({}, b"x"), Content_Length=str(10**12)))
        chunk = b"%x\r\n%s\r\n" % (len(huge.body), huge.body)
        head = b"POST /pagerduty HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        untold = await made.says(head + chunk)
        assert (status(told), status(untold)) == (413, 413)
        assert made.counted == {("pagerduty", "too_large"): 2}


async def test_the_largest_that_pagerduty_sends_is_read() -> None:
    async with house() as made:
        body = duty().body + b" " * (BODY_BYTES_MAX - len(duty().body))
        assert (status(await made.says(request(duty(body=body)))), len(made.got)) == (200, 1)


async def test_a_body_is_signed_as_it_came_and_never_unpacked() -> None:
    async with house() as made:
        packed = gzip.compress(duty().body)
        answer = await made.says(request(duty(body=packed), Content_Encoding="gzip"))
        bomb = gzip.compress(b"0" * 20_000_000)
        inflated = await made.says(request(duty(body=bomb), Content_Encoding="gzip"))
        assert (status(answer), status(inflated), made.got) == (400, 400, [])


async def test_a_body_that_does_not_come_to_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "ANSWER_S", 0.2)
    async with house() as made:
        answer = await made.says(request(duty(), Content_Length="100000"))
        assert (status(answer), made.counted) == (408, {("pagerduty", "too_slow"): 1})


async def test_a_body_in_chunks_that_are_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp's parser does not tell the reader of a body that has begun: it is given up then."""
    monkeypatch.setattr(server_module, "ANSWER_S", 0.2)
    reading, body = asyncio.Event(), server_module._body

    async def read(of: Any) -> bytes | None:
        reading.set()
        return await body(of)

    monkeypatch.setattr(server_module, "_body", read)
    async with house() as made:
        head = b"POST /pagerduty HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"zz\r\n" + CANARY + b"\r\n0\r\n\r\n"
        at_once = await made.says(head + chunks)
        reader, writer = await made.connect()
        writer.write(head)
        await reading.wait()
        writer.write(chunks)
        later = await reader.read()
        writer.close()
        assert [status(answer) for answer in (at_once, later)] == [400, 408]
        assert (CANARY in at_once + later, made.got) == (False, [])


async def test_a_body_that_breaks_off_is_told_apart(capfd: pytest.CaptureFixture[str]) -> None:
    async with house() as made:
        _, writer = await made.connect()
        writer.write(request(duty(), Content_Length="100000"))
        writer.close()
        await made.news.wait()
        assert (made.counted, made.got) == ({("pagerduty", "unreadable"): 1}, [])
    assert "canary" not in "".join(capfd.readouterr()).lower()


async def test_it_ends_although_somebody_holds_a_connection() -> None:
    async with house() as made:
        reader, writer = await made.connect()
        writer.write(request(duty(), Connection="keep-alive"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(PATIENCE_S):
        await reader.read()
    writer.close()


async def test_a_connection_that_says_nothing_or_never_ends_its_head_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "IDLE_S", 0.2)
    async with house() as made:
        assert await made.says(b"") == b""
        reader, writer = await made.connect()
        for _ in range(1_000):  # a byte at a time, for longer than it waits
            writer.write(b"G")
            try:
                if not await asyncio.wait_for(reader.read(1), 0.01):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("a head without an end was waited for")
        writer.close()


async def test_so_many_requests_are_at_work_and_the_rest_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUESTS_MAX", 1)
    async with house() as made:
        made.may_go_on.clear()
        first = asyncio.create_task(made.says(request(duty())))
        await made.asked.wait()
        assert status(await made.says(request(press(), "/slack"))) == 503
        made.may_go_on.set()
        assert status(await first) == 200
        assert made.counted == {("slack", "busy"): 1, ("pagerduty", "accepted"): 1}


async def test_so_many_connections_are_held_and_further_ones_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS_MAX", 2)
    async with house() as made:
        held = [await made.connect() for _ in range(2)]
        for reader, writer in held:  # each is there once it has been answered
            writer.write(request(duty(), "/", Connection="keep-alive"))
            assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        assert await made.says(request(duty())) == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\x16\x03\x01 " + CANARY + b"\r\n\r\n", 400),
        (b"POST /pagerduty HTTP/1.1\r\nHost: x\r\n" + CANARY + b"\r\n\r\n", 400),
        (b"POST /pagerduty HTTP/1.1\r\nContent-Length: " + CANARY + b"\r\n\r\n", 400),
        (b"POST /" + CANARY * 1_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /pagerduty HTTP/1.1\r\nX: " + CANARY * 1_000 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (i, CANARY) for i in range(100)) + b"\r\n", 400),
        (b"POST /pagerduty HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + CANARY, 400),
        (request(Post({"X-PagerDuty-Signature": CANARY.decode()}, CANARY), "/pagerduty?" + CANARY.decode()), 401),
        (request(duty(), "/" + CANARY.decode()), 404),
    ],
    ids=["TLS", "no header", "length", "long line", "long header", "many headers", "two lengths", "unsigned", "path"],
)
async def test_nothing_that_came_is_repeated_in_an_answer_or_in_the_log(
    raw: bytes, expected: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with structlog.testing.capture_logs() as lines:
        async with house() as made:
            answer = await made.says(raw)
            assert made.got == []
    assert status(answer) == expected
    assert CANARY not in answer + repr(lines).encode() + "".join(capfd.readouterr()).encode()


async def test_a_mistake_of_ours_is_an_answer_and_a_line_without_what_came(capfd: pytest.CaptureFixture[str]) -> None:
    async with house() as made:

        async def send(event: Control, within_s: float) -> None:
            raise RuntimeError(f"{event.by}: {CANARY.decode()}")

        made.send = send  # type: ignore[method-assign]
        with structlog.testing.capture_logs() as lines:
            answer = await made.says(request(duty()))
    assert (status(answer), made.counted) == (500, {("pagerduty", "error"): 1})
    assert [(line["event"], line.get("kind")) for line in lines if line["log_level"] == "error"] == [
        ("an answer could not be taken", "RuntimeError")
    ]
    assert b"canary" not in (answer + repr(lines).encode() + "".join(capfd.readouterr()).encode()).lower()


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        desk: Any = type("Desk", (), {"providers": ["slack"]})()
        door = Door(Place("127.0.0.1", taken.getsockname()[1]), desk)
        with pytest.raises(UsageError, match=r"pager\.inbound\.listen = 127\.0\.0\.1:\d+: cannot be listened on"):
            await door.serve()


async def test_it_can_be_reached_by_ipv6_alone() -> None:
    """Without an IPv6 loopback on this machine it fails: a way that was not tried is not one that works."""
    made = House(("pagerduty",))
    made.door = Door(Place("::1", 0), made.door._desk)
    serving = asyncio.create_task(made.door.serve())
    try:
        await made.door.open.wait()
        reader, writer = await asyncio.open_connection("::1", made.door.port)
        writer.write(request(duty()))
        assert (status(await reader.read()), len(made.got)) == (200, 1)
        writer.close()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def test_signatures_are_compared_in_a_time_that_tells_nothing() -> None:
    """Held to the source: how long a comparison takes is no matter for a test on a busy machine."""
    import ast
    import inspect

    from streams.pager.inbound import pagerduty, slack, words

    functions: list[Callable[..., object]] = [words.is_signed, pagerduty.heard, slack.heard]
    trees = [ast.parse(inspect.getsource(function)) for function in functions]
    calls = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    equals = [node for node in ast.walk(trees[0]) if isinstance(node, ast.Eq | ast.NotEq | ast.In | ast.NotIn)]
    assert ("compare_digest" in calls, equals) == (True, [])
    assert digest("a", b"b") != digest("b", b"a")
