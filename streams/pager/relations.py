"""What must hold within ``[pager]``: each sink has what its kind needs and nothing else, and names lead somewhere."""

from collections.abc import Iterator, Mapping, Sequence

from schemas.events import Kind
from streams.keys import IDENTIFIER, MAIL_ADDRESS
from streams.pager.address import host_and_port, is_plain, mistake_in, mistake_in_host
from streams.pager.routes import DAYS, zone
from streams.problems import Path, Problem, shown
from streams.sections import InboundSettings, KafkaSettings, PagerSettings, SinkSettings

# By kind: what it must have, and what it may have besides.
NEEDS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "webhook": (("url",), ("secret",)),
    "pagerduty": (("secret",), ("url",)),
    "alertmanager": (("url",), ()),
    "slack": ((), ("url", "secret", "channel")),
    "email": (("server", "sender", "recipients"), ("username", "secret", "encryption")),
    "opsgenie": (("secret",), ("url",)),
    "teams": (("url",), ()),
}
SENDS_ITS_SECRET = ("pagerduty", "opsgenie", "slack")  # as it stands; the others sign with it or log in
_OF_SOME = ("url", "secret", "channel", "server", "sender", "recipients", "username", "encryption")


def mistakes_in_pager(pager: PagerSettings, kafka: KafkaSettings) -> Iterator[Problem]:
    if pager.group == kafka.group:
        yield Problem(("pager", "group"), "must differ from kafka.group, whose members are workers", shown(pager.group))
    if pager.heartbeat_url and (mistake := mistake_in(pager.heartbeat_url.reveal())):
        yield Problem(("pager", "heartbeat_url"), mistake)
    yield from _inbound(pager.inbound)
    for name, sink in pager.sinks.items():
        yield from _sink(sink, name, pager.sinks)
    yield from _known_words(pager)
    yield from _models(pager)
    yield from _zones(pager)


def _inbound(inbound: InboundSettings) -> Iterator[Problem]:
    path = ("pager", "inbound")
    given = [key for key in ("pagerduty_secret", "slack_secret") if getattr(inbound, key)]
    if inbound.listen is None:
        for key in given:
            yield Problem((*path, key), "is of no use unless pager.inbound.listen is set")
        return
    if not given:
        yield Problem((*path, "listen"), "needs pagerduty_secret or slack_secret: what is not signed is not heard")
    yield from _host_and_port(inbound.listen, (*path, "listen"))


def _sink(sink: SinkSettings, name: str, sinks: Mapping[str, SinkSettings]) -> Iterator[Problem]:
    path = ("pager", "sinks", name)
    if not IDENTIFIER.accepts(name):
        yield Problem(path, f"is no name for a sink: {IDENTIFIER.allowed}")
    if sink.type is None:
        yield Problem((*path, "type"), f"must be set: one of {', '.join(NEEDS)}")
        return
    must, may = NEEDS[sink.type]
    for key in _OF_SOME:
        is_set = getattr(sink, key) not in (None, (), "starttls")
        if key in must and not is_set:
            yield Problem((*path, key), f"must be set for {sink.type}")
        if is_set and key not in (*must, *may):
            yield Problem((*path, key), f"is of no use for {sink.type}")
    if sink.url and (mistake := mistake_in(sink.url.reveal())):
        yield Problem((*path, "url"), mistake)
    if sink.type in SENDS_ITS_SECRET and sink.secret and not is_plain(sink.secret.reveal()):
        yield Problem((*path, "secret"), "must be of printable ASCII characters without blanks, in one line")
    yield from _slack(sink, path)
    yield from _email(sink, path)
    yield from _fallback(sink, name, sinks, path)


def _slack(sink: SinkSettings, path: Path) -> Iterator[Problem]:
    if sink.type != "slack":
        return
    if bool(sink.secret) != bool(sink.channel):
        missing = "channel" if sink.secret else "secret"
        yield Problem((*path, missing), "must be set: a bot's token and a channel belong together")
    elif not sink.secret and not sink.url:
        yield Problem((*path, "url"), "must be set for slack, or a bot's token (secret) and a channel")


def _email(sink: SinkSettings, path: Path) -> Iterator[Problem]:
    if sink.type != "email":
        return
    if bool(sink.username) != bool(sink.secret):
        yield Problem(
            (*path, "secret" if sink.username else "username"), "must be set: username and secret belong together"
        )
    if sink.secret and sink.encryption == "none":
        yield Problem((*path, "encryption"), "would send the password without TLS: say starttls or tls", shown("none"))
    for address in sink.recipients:
        if not MAIL_ADDRESS.accepts(address):
            yield Problem((*path, "recipients"), f"must be a list of addresses: {MAIL_ADDRESS.allowed}", shown(address))
    if sink.server:
        yield from _host_and_port(sink.server, (*path, "server"))


def _host_and_port(text: str, path: Path) -> Iterator[Problem]:
    host, port = host_and_port(text)
    mistake = mistake_in_host(host)
    if mistake or not 0 < port < 65_536:
        yield Problem(path, mistake or "must have a port from 1 to 65535", shown(text))


def _fallback(sink: SinkSettings, name: str, sinks: Mapping[str, SinkSettings], path: Path) -> Iterator[Problem]:
    met, at = [name], sink.fallback
    while at is not None:
        if at not in sinks:
            if at == sink.fallback:
                yield Problem((*path, "fallback"), f"is no sink; there are {', '.join(sinks)}", shown(at))
            return
        if at in met:
            if at == name:
                yield Problem(
                    (*path, "fallback"), f"leads back to itself: {' → '.join([*met, at])}", shown(sink.fallback)
                )
            return
        met.append(at)
        at = sinks[at].fallback


def _known_words(pager: PagerSettings) -> Iterator[Problem]:
    sinks, teams = ("sinks", list(pager.sinks)), ("teams", list(pager.teams))
    kinds, days = ("kinds", [kind.value for kind in Kind]), ("days", DAYS)
    for section, lists in (("routes", (kinds, days, sinks, teams)), ("teams", (sinks,)), ("budgets", (teams,))):
        for name, settings in getattr(pager, section).items():
            for key, known in lists:
                for word in getattr(settings, key):
                    if word not in known:
                        names = ", ".join(known) or f"the {key}, and there are none"
                        yield Problem(("pager", section, name, key), f"must be of {names}", shown(word))


def _models(pager: PagerSettings) -> Iterator[Problem]:
    for section in ("routes", "teams", "budgets", "upstreams"):
        for name, settings in getattr(pager, section).items():
            if section != "routes" and not IDENTIFIER.accepts(name):
                yield Problem(("pager", section, name), f"is no name: {IDENTIFIER.allowed}")
            if not settings.models:
                yield Problem(("pager", section, name, "models"), 'must name at least one, such as "*"')


def _zones(pager: PagerSettings) -> Iterator[Problem]:
    for section in ("routes", "budgets"):
        for name, settings in getattr(pager, section).items():
            try:
                zone(settings.timezone)
            except (ValueError, KeyError, OSError):
                place = ("pager", section, name, "timezone")
                yield Problem(place, "is no time zone that this machine knows", shown(settings.timezone))
