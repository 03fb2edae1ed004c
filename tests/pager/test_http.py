"""The client against a server that behaves in every way of fault 35, and against addresses that lead inside (42)."""

import asyncio
import socket
import ssl
from collections.abc import Sequence

import pytest
import trustme

from load.endpoint import closes, drips, endpoint, hangs, resets_midway, says, sends
from streams.errors import UsageError
from streams.pager.address import Place, is_private, mistake_in
from streams.pager.answers import Answer, Outcome, by_status, pause, retry_after
from streams.pager.http import BODY_BYTES_MAX, HttpClient, Limits, Request, Response, tls_context

QUICK = Limits(connect_s=0.5, read_s=0.2, total_s=0.5)
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def client(**settings) -> HttpClient:  # type: ignore[no-untyped-def]
    return HttpClient(tls_context(None), **{"allow_private": True, "limits": QUICK, **settings})


def to(url: str) -> Request:
    return Request(url, b"{}", {"Content-Type": "application/json"})


async def test_it_sends_what_it_is_told_and_returns_what_came() -> None:
    async with endpoint(says(200, b"yes", X_One="1")) as server:
        response = await client().send(to(server.url("/a?b=c")))
        (got,) = server.got
    assert isinstance(response, Response)
    assert (response.status, response.body, response.headers["x-one"]) == (200, b"yes", "1")
    assert (got.method, got.path, got.body, got.headers["content-type"]) == (
        "POST",
        "/a?b=c",
        b"{}",
        "application/json",
    )


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with endpoint() as elsewhere, endpoint(says(302, Location=elsewhere.url())) as server:
        response = await client().send(to(server.url()))
        assert (isinstance(response, Response) and response.status, elsewhere.got) == (302, [])


@pytest.mark.parametrize(
    ("behaviour", "arrived"),
    [
        (hangs, True),
        (drips(1_000), True),
        (drips(1_000, b"HTTP/1.1 200 OK\r\nX-Slow: "), True),
        (resets_midway, True),
        (closes, True),
        (sends(b"not HTTP at all\r\n\r\n"), True),
        (sends(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(500)) + b"\r\n"), True),
        (sends(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), True),
    ],
    ids=["hang", "slow body", "slow head", "reset", "closed", "no HTTP", "many headers", "long header"],
)
async def test_what_is_no_answer_is_tried_again_and_may_have_arrived(behaviour, arrived: bool) -> None:  # type: ignore[no-untyped-def]
    async with endpoint(behaviour) as server:
        answer = await client().send(to(server.url()))
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.arrived, answer.whole_sink) == (Outcome.RETRY, arrived, True)


async def test_a_refused_connection_is_tried_again_and_nothing_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    answer = await client().send(to(f"http://127.0.0.1:{port}/"))
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.arrived) == (Outcome.RETRY, False)


async def test_a_long_answer_is_read_up_to_the_limit_and_no_further() -> None:
    async with endpoint(says(200, b"x" * (BODY_BYTES_MAX * 10))) as server:
        response = await client().send(to(server.url()))
    assert isinstance(response, Response)
    assert len(response.body) == BODY_BYTES_MAX


async def test_a_name_that_nobody_knows_is_tried_again() -> None:
    async def unknown(_: Place) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    answer = await client(resolve=unknown).send(to("http://nowhere.example/"))
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.arrived) == (Outcome.RETRY, False)


async def test_a_resolver_that_hangs_is_cut_off() -> None:
    async def hanging(_: Place) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    answer = await client(resolve=hanging).send(to("http://slow.example/"))
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.arrived) == (Outcome.RETRY, False)


async def test_it_connects_to_the_address_that_was_looked_at_and_resolves_once() -> None:
    asked: list[Place] = []

    async def resolve(place: Place) -> Sequence[str]:
        asked.append(place)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    async with endpoint() as server:
        response = await client(resolve=resolve).send(to(server.url(host="rebinding.example")))
        assert isinstance(response, Response)
        assert (len(asked), server.got[0].headers["host"]) == (1, f"rebinding.example:{server.port}")


async def test_an_endpoint_that_has_only_an_ipv6_address_is_reached_by_name_and_by_number() -> None:
    """Without an IPv6 loopback on this machine it fails: a way that was not tried is not one that works."""

    async def resolve(_: Place) -> Sequence[str]:
        return ["::1"]

    async with endpoint(says(200), host="::1") as server:
        by_number = await client().send(to(server.url(host="[::1]")))
        by_name = await client(resolve=resolve).send(to(server.url(host="six.example")))
        hosts = [got.headers["host"] for got in server.got]
        assert hosts == [f"[::1]:{server.port}", f"six.example:{server.port}"]
    assert [isinstance(answer, Response) and answer.status for answer in (by_number, by_name)] == [200, 200]


async def test_an_ipv6_address_that_does_not_answer_gives_way_to_the_next_one() -> None:
    async def resolve(_: Place) -> Sequence[str]:
        return ["::1", "127.0.0.1"]

    async with endpoint(says(200)) as server:
        response = await client(resolve=resolve).send(to(server.url(host="both.example")))
        assert isinstance(response, Response)
        assert (response.status, len(server.got)) == (200, 1)


@pytest.mark.parametrize("secret", ["token\r\nX-Canary: 1", "token\nX-Canary: 1", "token\0"])
async def test_no_secret_adds_a_header(secret: str) -> None:
    async with endpoint() as server:
        answer = await client().send(Request(server.url(), b"{}", {"Authorization": f"Bearer {secret}"}))
        assert isinstance(answer, Answer)
        assert (server.got, "token" in repr(answer)) == ([], False)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["169.254.169.254"], ["8.8.8.8", "10.0.0.1"], ["::ffff:10.0.0.1"]]
)
async def test_a_name_that_leads_inside_is_refused_for_good(addresses: list[str]) -> None:
    async def resolve(_: Place) -> Sequence[str]:
        return addresses

    async with endpoint() as server:
        answer = await client(resolve=resolve, allow_private=False).send(to(server.url(host="evil.example")))
        assert isinstance(answer, Answer)
        assert (answer.outcome, answer.reason, server.got) == (Outcome.PERMANENT, "private_address", [])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"])  # noqa: S104
async def test_this_machine_is_refused_unless_it_is_allowed(host: str) -> None:
    async with endpoint() as server:
        answer = await client(allow_private=False).send(to(server.url(host=host)))
        assert isinstance(answer, Answer)
        assert (answer.outcome, server.got) == (Outcome.PERMANENT, [])


PRIVATE = """0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 192.168.1.1 224.0.0.1
240.0.0.1 255.255.255.255 :: ::1 fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 ::ffff:127.0.0.1
::ffff:169.254.169.254 64:ff9b::10.0.0.1 2002:7f00:1:: 2001:db8::1 ::127.0.0.1 not-an-address"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_what_is_not_the_public_internet_is_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_the_public_internet_is_not(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "//example.com/",
        "example.com",
        "http://",
        "http:///path",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1.:1.2/",
        "http://1.2.3.4.5/",
        "http://user@example.com/",
        "http://user:canary@example.com/",
        "http://example.com@evil.example/",
        "http://example.com\\@evil.example/",
        "http://exa mple.com/",
        "http://example.com/\r\nHost: evil",
        "http://example.com/\n",
        "http://example.com/#canary",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://ex\u00e4mple.com/",
        "http://[::1/",
        "http://-a.example/",
        f"http://{'a' * 64}.example/",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_refused_without_repeating_it(url: str) -> None:
    mistake = mistake_in(url)
    assert mistake is not None
    assert "canary" not in mistake


@pytest.mark.parametrize(
    "url",
    ["https://events.example.com/v2", "http://localhost:8080/x?y=z", "http://10.0.0.1", "https://[2001:db8::1]:8/"],
)
def test_a_plain_address_is_fine(url: str) -> None:
    assert mistake_in(url) is None


async def test_certificates_are_verified_and_an_own_authority_can_be_trusted(tmp_path) -> None:  # type: ignore[no-untyped-def]
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def outcome(issuer: trustme.CA, name: str, ca_file: str | None) -> str | int:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issuer.issue_cert(name).configure_cert(context)

        async def resolve(_: Place) -> Sequence[str]:
            return ["127.0.0.1"]

        async with endpoint(tls=context) as server:
            made = HttpClient(tls_context(ca_file), allow_private=True, limits=Limits(), resolve=resolve)
            response = await made.send(to(server.url(scheme="https", host="pager.example")))
            assert bool(server.got) == isinstance(response, Response)
            return response.status if isinstance(response, Response) else response.detail

    pem, refused = str(tmp_path / "ca.pem"), "its certificate is not trusted, or is another host's"
    assert await outcome(ours, "pager.example", pem) == 202
    assert await outcome(other, "pager.example", pem) == refused
    assert await outcome(ours, "other.example", pem) == refused
    assert await outcome(ours, "pager.example", None) == refused


def test_a_file_of_authorities_that_is_none_is_told() -> None:
    with pytest.raises(UsageError, match=r"/nowhere/ca\.pem: cannot be used"):
        tls_context("/nowhere/ca.pem")


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (200, "delivered", "delivered"),
        (202, "delivered", "delivered"),
        (204, "delivered", "delivered"),
        (301, "permanent", "redirect"),
        (307, "permanent", "redirect"),
        (400, "permanent", "refused"),
        (401, "permanent", "refused"),
        (403, "permanent", "refused"),
        (404, "permanent", "refused"),
        (413, "permanent", "refused"),
        (408, "retry", "server_error"),
        (429, "retry", "rate_limited"),
        (500, "retry", "server_error"),
        (503, "retry", "server_error"),
        (504, "retry", "server_error"),
    ],
)
def test_what_a_status_means(status: int, outcome: str, reason: str) -> None:
    answer = by_status(status, {}, NOW)
    assert (answer.outcome, answer.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("86400", 900.0),
        ("9" * 300, 900.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("nan", None),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2026 00:01:00", 60.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 900.0),
        ("Thu, 01 Jan 99999 00:00:00 GMT", None),
        ("Thu, 99 Jan 2026 00:00:00 GMT", None),
        ("٣٠", None),
    ],
)
def test_every_form_of_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


def test_pauses_double_up_to_the_longest_and_are_anything_below() -> None:
    assert [pause(tries, 60.0, lambda: 1.0) for tries in (1, 2, 3, 7, 10_000)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert [pause(tries, 60.0, lambda: 0.25) for tries in (1, 7)] == [0.25, 15.0]
