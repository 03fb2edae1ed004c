"""Makes the sinks that the configuration names."""

from collections.abc import Callable

from streams.errors import UsageError
from streams.pager.address import Place
from streams.pager.http import HttpClient, tls_context
from streams.pager.sinks import opsgenie, pagerduty, slack
from streams.pager.sinks.alertmanager import Alertmanager
from streams.pager.sinks.form import Form
from streams.pager.sinks.sink import Clock, HttpSink, MailSink, Sink
from streams.pager.sinks.teams import Teams
from streams.pager.sinks.webhook import Webhook
from streams.pager.smtp import Login, MailServer, SmtpClient
from streams.secrets import Secret
from streams.sections import PagerSettings, SinkSettings


def sinks(pager: PagerSettings, clock: Clock) -> dict[str, Sink]:
    if not pager.sinks:
        advice = "name at least one as [pager.sinks.NAME]; docs/pager.md shows how"
        raise UsageError("no sink is configured, so nobody would be paged", where="pager.sinks", advice=advice)
    return {name: sink(settings, clock) for name, settings in pager.sinks.items()}


def sink(settings: SinkSettings, clock: Clock) -> Sink:
    """``settings`` are checked: what the kind needs is there."""
    tls = tls_context(settings.ca_file)
    if settings.type == "email":
        host, _, port = (settings.server or "").rpartition(":")
        login = Login(settings.username, settings.secret) if settings.username and settings.secret else None
        place = Place(host.strip("[]"), int(port))
        server = MailServer(place, settings.encryption, login, settings.allow_private)
        return MailSink(settings.sender or "", settings.recipients, SmtpClient(server, tls))
    return HttpSink(form(settings), HttpClient(tls, allow_private=settings.allow_private), clock)


def form(settings: SinkSettings) -> Form:
    secret, url = settings.secret or Secret(""), settings.url.reveal() if settings.url else ""
    made: dict[str | None, Callable[[], Form]] = {
        "webhook": lambda: Webhook(url, settings.secret),
        "pagerduty": lambda: pagerduty.PagerDuty(url or pagerduty.URL, secret),
        "opsgenie": lambda: opsgenie.Opsgenie(url or opsgenie.URL, secret),
        "alertmanager": lambda: Alertmanager(url),
        "teams": lambda: Teams(url),
        "slack": lambda: (
            slack.SlackBot(url or slack.URL, secret, settings.channel) if settings.channel else slack.SlackWebhook(url)
        ),
    }
    return made[settings.type]()
