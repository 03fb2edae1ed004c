"""``[pager]``: every mistake at once, secrets from the environment and from files, and none of them ever shown."""

import re
from pathlib import Path

import pytest

from streams.errors import SettingsError, UsageError
from streams.pager import build
from streams.pager.inbound.build import secrets
from streams.pager.policy import policy
from streams.pager.routes import Routes, Teams
from streams.pager.steps import Action, Page, read_alert
from streams.secrets import Secret
from streams.sections import InboundSettings, PagerSettings, RouteSettings, SinkSettings
from streams.settings import load
from tests.pager.steps import alert

CANARY = "canary-7f3a"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "driftline.toml"
    file.write_text(text, encoding="utf-8")
    return file


def mistakes(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(file, env)
    assert CANARY not in str(caught.value)
    return [line.replace(f"{file}: ", "") for line in caught.value.lines]


def test_every_mistake_in_the_pager_is_told_at_once(tmp_path: Path) -> None:
    text = f"""
        [pager]
        group = "driftline"
        heartbeat_url = "ftp://{CANARY}.example/"
        [pager.sinks.a]
        [pager.sinks.b]
        type = "pager"
        [pager.sinks.c]
        type = "pagerduty"
        url = "https://user:{CANARY}@example.com/"
        recipients = ["x@example.com"]
        fallback = "z"
        [pager.sinks.d]
        type = "email"
        server = "127.1:25"
        sender = "driftline@example.com"
        username = "me"
        encryption = "none"
        recipients = ["nobody", "evil@example.com\\r\\nBcc: x@y"]
        fallback = "e"
        [pager.sinks.e]
        type = "slack"
        secret = "{CANARY}"
        fallback = "d"
        [pager.routes.r]
        severity = "fatal"
        after = "25:00"
        [pager.routes.s]
        kinds = ["drift"]
        days = ["monday"]
        timezone = "Mars/Base"
        sinks = ["z"]
        teams = ["nobody"]
        models = []
        [pager.teams.risk]
        sinks = ["z"]
        [pager.teams."a b"]
        models = ["x"]
        [pager.budgets.tight]
        pages = 0
        [pager.budgets.odd]
        teams = ["nobody"]
        digest_at = "9"
        [pager.budgets.far]
        timezone = "Mars/Base"
        [pager.upstreams.feed]
        models = []
        within = "2d"
    """
    assert mistakes(tmp_path, text) == [
        'pager.sinks.b.type = "pager": must be one of "webhook", "pagerduty", "alertmanager", "slack", "email", '
        '"opsgenie", "teams"',
        'pager.routes.r.severity = "fatal": must be one of "info", "warning", "critical"',
        'pager.routes.r.after = "25:00": must be a time such as "08:30"',
        "pager.budgets.tight.pages = 0: must be a whole number from 1 to 1,000",
        'pager.budgets.odd.digest_at = "9": must be a time such as "08:30"',
        'pager.upstreams.feed.within = "2d": must be a duration such as "90s", "15m", "6h" or "30d", from 1s to 1d',
        'pager.group = "driftline": must differ from kafka.group, whose members are workers',
        "pager.heartbeat_url: must begin with https:// or http://",
        "pager.sinks.a.type: must be set: one of webhook, pagerduty, alertmanager, slack, email, opsgenie, teams",
        "pager.sinks.c.secret: must be set for pagerduty",
        "pager.sinks.c.recipients: is of no use for pagerduty",
        "pager.sinks.c.url: must not hold a user or a password: say secrets under their own keys",
        'pager.sinks.c.fallback = "z": is no sink; there are a, b, c, d, e',
        "pager.sinks.d.secret: must be set: username and secret belong together",
        'pager.sinks.d.recipients = "nobody": must be a list of addresses: an address such as "driftline@example.com"',
        'pager.sinks.d.recipients = "evil@example.com\\r\\nBcc: x@y": must be a list of addresses: an address such as '
        '"driftline@example.com"',
        'pager.sinks.d.server = "127.1:25": must have the name of a host, or an address with all its four numbers, '
        "in decimal",
        'pager.sinks.d.fallback = "e": leads back to itself: d → e → d',
        "pager.sinks.e.channel: must be set: a bot's token and a channel belong together",
        'pager.sinks.e.fallback = "d": leads back to itself: e → d → e',
        'pager.routes.s.kinds = "drift": must be of feature_drift, prediction_drift, concept_drift, performance, '
        "label_drift, calibration, data_quality, label_delay, silence, volume, latency, fairness, challenger, system",
        'pager.routes.s.days = "monday": must be of mon, tue, wed, thu, fri, sat, sun',
        'pager.routes.s.sinks = "z": must be of a, b, c, d, e',
        'pager.routes.s.teams = "nobody": must be of risk, a b',
        'pager.teams.risk.sinks = "z": must be of a, b, c, d, e',
        'pager.budgets.odd.teams = "nobody": must be of risk, a b',
        'pager.routes.s.models: must name at least one, such as "*"',
        'pager.teams.risk.models: must name at least one, such as "*"',
        'pager.teams."a b": is no name: 1 to 200 letters, digits, dots, underscores or dashes',
        'pager.upstreams.feed.models: must name at least one, such as "*"',
        'pager.routes.s.timezone = "Mars/Base": is no time zone that this machine knows',
        'pager.budgets.far.timezone = "Mars/Base": is no time zone that this machine knows',
    ]


def test_a_password_does_not_go_out_in_the_clear(tmp_path: Path) -> None:
    text = f"""
        [pager.sinks.mail]
        type = "email"
        server = "mail.example.com:25"
        sender = "a@example.com"
        recipients = ["b@example.com"]
        encryption = "none"
        username = "me"
        secret = "{CANARY}"
    """
    said = ['pager.sinks.mail.encryption = "none": would send the password without TLS: say starttls or tls']
    assert mistakes(tmp_path, text) == said


def test_secrets_come_from_the_environment_and_from_files_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"https://hooks.example.com/{CANARY}\n")
    text = f"""
        [pager.sinks.duty]
        type = "pagerduty"
        [pager.sinks.chat]
        type = "slack"
        url_file = "{tmp_path / "url"}"
    """
    settings = load(written(tmp_path, text), {"DRIFTLINE_PAGER__SINKS__DUTY__SECRET": CANARY})
    duty, chat = settings.pager.sinks["duty"], settings.pager.sinks["chat"]
    assert duty.secret is not None
    assert chat.url is not None
    assert (duty.secret.reveal(), chat.url.reveal()) == (CANARY, f"https://hooks.example.com/{CANARY}")
    assert CANARY not in repr(settings)


def test_a_file_of_a_secret_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    text = f"""
        [pager]
        heartbeat_url_file = "{tmp_path / "none"}"
        [pager.sinks.a]
        type = "pagerduty"
        secret_file = "{tmp_path / "empty"}"
        [pager.sinks.b]
        type = "pagerduty"
        secret = "{CANARY}"
        secret_file = "{tmp_path / "empty"}"
    """
    said = [line.partition(": ")[2] for line in mistakes(tmp_path, text)]
    assert "must hold the secret; the file is empty" in said
    assert "stands beside pager.sinks.b.secret; keep one of them" in said
    assert "must be a file that can be read: No such file or directory" in said


def test_a_pager_without_a_sink_says_so() -> None:
    with pytest.raises(UsageError, match=r"pager\.sinks: no sink is configured, so nobody would be paged"):
        build.sinks(PagerSettings(), lambda: 0.0)


def test_the_example_is_a_configuration_and_everyone_is_reached_by_somebody(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "pager.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "pagerduty").write_text("key")
    (tmp_path / "heartbeat").write_text("https://alive.example.com/1")
    pager = load(written(tmp_path, example.replace("/run/secrets", str(tmp_path)))).pager
    routes = policy(pager, list(build.sinks(pager, lambda: 0.0)))
    assert routes.routes_to(read_alert(alert("opened", severity="critical")), 0.0) == ["oncall", "mail"]
    assert routes.routes_to(read_alert(alert("opened")), MONDAY_NOON) == ["mail"]


MONDAY_NOON = 1_767_610_800.0  # 2026-01-05T11:00:00Z, noon in Berlin
HOUR = 3_600.0


def sinks(alert_: bytes, now: float = MONDAY_NOON, **routes: RouteSettings) -> list[str]:
    return Routes(routes, ["a", "b", "c"], Teams({})).sinks_for(read_alert(alert_), now)


def test_without_routes_everything_of_warning_and_above_goes_everywhere() -> None:
    assert sinks(alert("opened", severity="info")) == []
    assert sinks(alert("opened")) == sinks(alert("opened", severity="critical")) == ["a", "b", "c"]


def test_every_route_that_fits_sends_and_each_sink_once() -> None:
    routes = {
        "critical": RouteSettings(severity="critical", sinks=("c", "a")),
        "fraud": RouteSettings(severity="info", models=("fraud-*", "risk"), sinks=("b", "a")),
        "quality": RouteSettings(kinds=("data_quality",), sinks=("c",)),
    }
    assert sinks(alert("opened", model="fraud-eu", severity="critical"), **routes) == ["a", "b", "c"]
    assert sinks(alert("opened", model="fraud-eu", severity="info"), **routes) == ["a", "b"]
    assert sinks(alert("opened", model="price", kind="data_quality"), **routes) == ["c"]
    assert sinks(alert("opened", model="price"), **routes) == []
    assert sinks(alert("opened", model="Fraud-eu"), **routes) == []


def test_hours_days_and_zones() -> None:
    day = RouteSettings(after="08:00", before="18:00", days=("mon", "tue"), timezone="Europe/Berlin", sinks=("a",))
    night = RouteSettings(after="18:00", before="08:00", days=("mon",), timezone="Europe/Berlin", sinks=("b",))

    def at(hours: float) -> list[str]:
        return sinks(alert("opened"), MONDAY_NOON + hours * HOUR, day=day, night=night)

    assert [at(hours) for hours in (0, -4.01, -4, 5.99, 6)] == [["a"], [], ["a"], ["a"], ["b"]]
    assert [at(hours) for hours in (19.99, 20, 44)] == [["b"], ["a"], []], "Tuesday before eight is Monday's night"
    assert at(-24) == []


def test_every_mistake_about_answers_is_told_and_no_secret_with_it(tmp_path: Path) -> None:
    text = f"""
        [pager.inbound]
        slack_secret = "{CANARY}"
        pagerduty_secret = "{CANARY}"
    """
    assert mistakes(tmp_path, text) == [
        "pager.inbound.pagerduty_secret: is of no use unless pager.inbound.listen is set",
        "pager.inbound.slack_secret: is of no use unless pager.inbound.listen is set",
    ]
    said = "pager.inbound.listen: needs pagerduty_secret or slack_secret: what is not signed is not heard"
    assert mistakes(tmp_path, '[pager.inbound]\nlisten = "127.0.0.1:8099"\n') == [said]
    for listen, wrong in (
        ("127.1:8099", "must have the name of a host, or an address with all its four numbers, in decimal"),
        ("127.0.0.1:0", "must have a port from 1 to 65535"),
        ("127.0.0.1:65536", "must have a port from 1 to 65535"),
    ):
        text = f'[pager.inbound]\nlisten = "{listen}"\nslack_secret = "{CANARY}"\n'
        assert mistakes(tmp_path, text) == [f'pager.inbound.listen = "{listen}": {wrong}']


def test_secrets_of_answers_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "duty").write_text(f"{CANARY}-1\n{CANARY}-2\n")
    text = f"""
        [pager.inbound]
        listen = "[::1]:8099"
        pagerduty_secret_file = "{tmp_path / "duty"}"
    """
    (tmp_path / "chat").write_text(f"{CANARY}\n")
    in_file = f'{text}\nslack_secret_file = "{tmp_path / "chat"}"\n'
    for settings in (
        load(written(tmp_path, text), {"DRIFTLINE_PAGER__INBOUND__SLACK_SECRET": CANARY}),
        load(written(tmp_path, in_file)),
    ):
        inbound = settings.pager.inbound
        assert inbound.listen == "[::1]:8099"
        given = {provider: secret.reveal().split() for provider, secret in secrets(inbound).items()}
        assert given == {"pagerduty": [f"{CANARY}-1", f"{CANARY}-2"], "slack": [CANARY]}
        assert CANARY not in repr(settings)


@pytest.mark.parametrize(("heard", "buttons"), [("slack", True), ("pagerduty", False), (None, False)])
def test_a_page_in_slack_has_buttons_where_presses_are_heard(heard: str | None, buttons: bool) -> None:
    given = {f"{heard}_secret": Secret(CANARY), "listen": "127.0.0.1:8099"} if heard else {}
    bot = SinkSettings(type="slack", secret=Secret(CANARY), channel="C1")
    sink = build.sinks(PagerSettings(sinks={"chat": bot}, inbound=InboundSettings(**given)), lambda: 0.0)["chat"]  # type: ignore[arg-type]
    value = alert("opened")
    (request,) = sink._form.requests(Page(Action.TRIGGER, read_alert(value), value, 0.0))  # type: ignore[attr-defined]
    assert (b"driftline-acknowledge" in request.body) is buttons


@pytest.mark.parametrize("secret", ["key\nold key", " key", "\ufeffkey", "k\u00e9y"])
def test_a_secret_that_no_header_can_hold_is_a_mistake_and_no_page_that_is_tried_for_hours(
    tmp_path: Path, secret: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(secret + "\n")
    for kind, more in (("opsgenie", ""), ("pagerduty", ""), ("slack", 'channel = "C1"')):
        (mistake,) = mistakes(tmp_path, f'[pager.sinks.a]\ntype = "{kind}"\nsecret_file = "{file}"\n{more}\n')
        assert mistake == "pager.sinks.a.secret: must be of printable ASCII characters without blanks, in one line"
