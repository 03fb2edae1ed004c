"""Which addresses a page may be sent to: spelt in one way only, and not within one's own network unless allowed.

A host is a name or an address in its usual form. The other spellings of an address (``127.1``, ``2130706433``,
``0x7f.1``) are refused: resolvers read them differently from whoever wrote a check.
"""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

_NAME = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_LIKE_A_NUMBER = re.compile(r"(0[xX][0-9A-Fa-f]*|[0-9]+)")
_PLAIN = re.compile(r"[!-~]+")
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))  # the last 32 bits are an IPv4 address
_PORTS = {"https": 443, "http": 80}

Ip = IPv4Address | IPv6Address


class Place(NamedTuple):
    host: str
    port: int


def host_and_port(text: str) -> Place:
    """``text`` is checked: a host, a colon and a number."""
    host, _, port = text.rpartition(":")
    return Place(host.strip("[]"), int(port))


def is_plain(text: str) -> bool:
    """Whether it is printable ASCII without a blank."""
    return _PLAIN.fullmatch(text) is not None


def mistake_in(url: str) -> str | None:
    """What is wrong with it, in words that do not repeat it: it may hold a secret."""
    if not is_plain(url) or "\\" in url:
        return "must be an address of printable ASCII characters, without blanks"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "must be an address such as https://host/path, with a port from 1 to 65535 if any"
    mistakes = {
        "must begin with https:// or http://": parts.scheme not in _PORTS,
        "must not hold a user or a password: say secrets under their own keys": "@" in parts.netloc,
        "must not have a fragment (#)": bool(parts.fragment),
        "must have a port from 1 to 65535": port == 0,
    }
    first = next((mistake for mistake, made in mistakes.items() if made), None)
    return first or mistake_in_host(parts.hostname or "")


def mistake_in_host(host: str) -> str | None:
    if _literal(host) is not None:
        return None
    if not _NAME.fullmatch(host):
        return "must have the name of a host, or an address such as 192.0.2.1 or [2001:db8::1]"
    if _LIKE_A_NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return "must have the name of a host, or an address with all its four numbers, in decimal"
    return None


def place_of(url: str) -> Place:
    """Of an address without a mistake."""
    parts = urlsplit(url)
    return Place(parts.hostname or "", parts.port or _PORTS[parts.scheme])


def is_private(address: str) -> bool:
    """Whether it leads anywhere else than onto the public internet."""
    ip = _literal(address.partition("%")[0])
    return ip is None or any(not part.is_global or part.is_multicast for part in _meant(ip))


def _meant(ip: Ip) -> list[Ip]:
    """The address, or those that are written inside it."""
    if isinstance(ip, IPv4Address):
        return [ip]
    inside: list[Ip] = [found for found in (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())) if found is not None]
    if not inside and any(ip in network for network in _TRANSLATED):
        inside = [IPv4Address(int(ip) & 0xFFFFFFFF)]
    return inside or [ip]


def _literal(host: str) -> Ip | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
