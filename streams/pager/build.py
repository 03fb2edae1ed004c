"""Makes the sinks that the configuration names."""

from collections.abc import Callable

from streams.errors import UsageError
from streams.pager.address import host_and_port
from streams.pager.http import HttpClient, tls_context
from streams.pager.sinks import opsgenie, pagerduty, slack
from streams.pager.sinks.alertmanager import Alertmanager
from streams.pager.sinks.form import Form
from streams.pager.sinks.sink import Clock, HttpSink, MailSink, Sink
from streams.pager.sinks.slack_buttons import message_with_buttons
from streams.pager.sinks.teams import Teams
from streams.pager.sinks.webhook import Webhook
from streams.pager.smtp import Login, MailServer, SmtpClient
from streams.secrets import Secret
from streams.sections import PagerSettings, SinkSettings


def sinks(pager: PagerSettings, clock: Clock) -> dict[str, Sink]:
    if not pager.sinks:
        advice = "name at least one as [pager.sinks.NAME]; docs/pager.md shows how"
        raise UsageError("no sink is configured, so nobody would be paged", where="pager.sinks", advice=advice)
    buttons = pager.inbound.listen is not None and bool(pager.inbound.slack_secret)
    return {name: sink(settings, clock, buttons) for name, settings in pager.sinks.items()}


def sink(settings: SinkSettings, clock: Clock, buttons: bool = False) -> Sink:
    """``settings`` are checked: what the kind needs is there. ``buttons``: whether presses on them are heard."""
    tls = tls_context(settings.ca_file)
    if settings.type == "email":
        login = Login(settings.username, settings.secret) if settings.username and settings.secret else None
        server = MailServer(host_and_port(settings.server or ""), settings.encryption, login, settings.allow_private)
        return MailSink(settings.sender or "", settings.recipients, SmtpClient(server, tls))
    return HttpSink(form(settings, buttons), HttpClient(tls, allow_private=settings.allow_private), clock)


def form(settings: SinkSettings, buttons: bool = False) -> Form:
    secret, url = settings.secret or Secret(""), settings.url.reveal() if settings.url else ""
    made: dict[str | None, Callable[[], Form]] = {
        "webhook": lambda: Webhook(url, settings.secret),
        "pagerduty": lambda: pagerduty.PagerDuty(url or pagerduty.URL, secret),
        "opsgenie": lambda: opsgenie.Opsgenie(url or opsgenie.URL, secret),
        "alertmanager": lambda: Alertmanager(url),
        "teams": lambda: Teams(url),
        "slack": lambda: _slack(settings, url, secret, buttons),
    }
    return made[settings.type]()


def _slack(settings: SinkSettings, url: str, secret: Secret, buttons: bool) -> Form:
    if not settings.channel:
        return slack.SlackWebhook(url)
    show = message_with_buttons if buttons else slack.message
    return slack.SlackBot(url or slack.URL, secret, settings.channel, show)
