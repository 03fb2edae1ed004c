"""A courier on a clock of its own: an endpoint that goes through fault 35, rates, summaries, fallbacks, repeats."""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from load.endpoint import Behaviour, closes, drips, endpoint, hangs, resets_midway, says
from streams.pager.answers import RETRY_AFTER_MAX_S, Answer, Outcome, by_status, delivered, permanent, unreachable
from streams.pager.courier import SUMMARY_AFTER_S
from streams.pager.http import HttpClient, Limits, tls_context
from streams.pager.sinks.alertmanager import REPEAT_S, Alertmanager
from streams.pager.sinks.pagerduty import PagerDuty
from streams.pager.sinks.sink import HttpSink
from streams.pager.steps import Action, Page
from streams.secrets import Secret
from tests.pager.site import GIVE_UP_S, Scripted, Site
from tests.pager.steps import NOW, alert

GOOD = says(202, b'{"status":"success"}')
QUICK = Limits(connect_s=0.5, read_s=0.1, total_s=0.2)
# Every item of fault 35 that an answer can be, apart from a host's name and its certificate.
BAD_DAYS: Sequence[Behaviour] = (
    says(503),
    says(500),
    says(502),
    says(429),
    says(429, Retry_After="7"),
    says(429, Retry_After="Thu, 01 Jan 2026 00:10:00 GMT"),
    says(429, Retry_After="99999999999999"),
    says(429, Retry_After="soon"),
    says(503, Retry_After="-1"),
    drips(1_000),
    hangs,
    resets_midway,
    closes,
    says(200, b"garbage"),
    says(200, b"<html>"),
)


async def test_a_page_and_its_end_go_out_in_order() -> None:
    one = Scripted()
    site = Site(one=one)
    site.box.take(alert("opened"))
    await site.until(NOW)
    site.box.take(alert("acknowledged"), alert("resolved"))
    await site.until(NOW)
    assert one.said == [("inc-1", Action.TRIGGER), ("inc-1", Action.RESOLVE)]  # over: nobody need know who was on it


async def test_a_slow_sink_delays_no_other() -> None:
    one, two = Scripted(*[unreachable("away", arrived=False)] * 50), Scripted()
    site = Site(one=one, two=two)
    site.box.take(alert("opened"))
    await site.until(NOW)
    assert two.said == [("inc-1", Action.TRIGGER)]


@pytest.mark.parametrize("seed", range(3))
async def test_an_hour_of_everything_an_endpoint_can_do_loses_no_page_and_keeps_order_and_key(seed: int) -> None:
    """A real server, in simulated time; the pager dies again and again."""
    chance = random.Random(seed)
    async with endpoint(GOOD) as server:
        sink = HttpSink(
            PagerDuty(server.url(), Secret("key")),
            HttpClient(tls_context(None), allow_private=True, limits=QUICK),
            lambda: site.now,
        )
        site = Site(one=sink, chance=chance.random)
        server.script = [chance.choice([GOOD, *BAD_DAYS]) for _ in range(60)]
        names = [f"inc-{number}" for number in range(8)]
        for round_number in range(4):
            event = ("opened", "updated", "escalated", "acknowledged")[round_number]
            site.box.take(*(alert(event, name) for name in names))
            await site.until(site.now + 900)
            site.restart()
        server.script = []
        await site.until(site.now + 900)
        site.box.take(*(alert("resolved", name) for name in names[:4]))
        await site.until(site.now + 900)
        events = [got.content for got in server.got]
    assert list(site.box.outbox.waiting()) == []
    assert site.counts.of("failed") == []
    for name in names:
        actions = [event["event_action"] for event in events if event["dedup_key"] == name]
        assert actions[0] == "trigger"
        assert (actions[-1] == "resolve", actions.count("resolve")) == ((True, 1) if name in names[:4] else (False, 0))
    assert {event["dedup_key"] for event in events} == set(names)


async def test_what_an_endpoint_asks_for_is_kept_to_and_bounded() -> None:
    async with endpoint(GOOD) as server:
        sink = HttpSink(
            PagerDuty(server.url(), Secret("key")), HttpClient(tls_context(None), allow_private=True), lambda: site.now
        )
        site = Site(one=sink, chance=lambda: 0.0)
        for status, header, wait in (
            (429, "60", 60.0),
            (429, "Thu, 01 Jan 2026 01:00:00 GMT", RETRY_AFTER_MAX_S),
            (429, "9" * 30, RETRY_AFTER_MAX_S),
            (502, "120", 120.0),
        ):
            server.script = [says(status, Retry_After=header)]
            site.box.take(alert("opened", header))
            await site.until(site.now)
            before, at = len(server.got), site.now
            await site.until(at + wait - 0.001)
            assert len(server.got) == before
            await site.until(at + wait)
            assert len(server.got) == before + 1


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413])
async def test_what_is_refused_for_good_goes_to_the_fallback_at_once(status: int) -> None:
    async with endpoint(says(status, Location="http://127.0.0.1/")) as server:
        sink = HttpSink(
            PagerDuty(server.url(), Secret("canary-key")),
            HttpClient(tls_context(None), allow_private=True),
            lambda: NOW,
        )
        mail = Scripted()
        site = Site(one=sink, mail=mail, fallback={"one": "mail"})
        site.box.sinks = ("one",)
        site.box.restart()
        site.restart()
        site.box.take(alert("opened"))
        await site.until(NOW)
        site.box.take(alert("resolved"))
        await site.until(NOW)
        assert len(server.got) == 1
    assert mail.said == [("inc-1", Action.TRIGGER), ("inc-1", Action.RESOLVE)]
    assert f"one did not take it: status {status}" in mail.pages[0].note
    assert "canary" not in repr(mail.pages)
    assert [sink for sink, _ in site.counts.of("failed")] == ["one"]


async def test_after_hours_of_trying_the_fallback_is_told() -> None:
    away = [Answer(Outcome.RETRY, "server_error", "status 500")] * 10_000
    one, mail = Scripted(*away), Scripted()
    site = Site(one=one, mail=mail, fallback={"one": "mail"})
    site.box.sinks = ("one",)
    site.box.restart()
    site.restart()
    site.box.take(alert("opened"))
    await site.until(NOW + GIVE_UP_S - 600)
    assert mail.said == []
    await site.until(NOW + GIVE_UP_S + 600)
    assert (mail.said, site.counts.of("failed")) == ([("inc-1", Action.TRIGGER)], [("one", "gave_up")])
    assert 60 < len(one.pages) < 120, "every five minutes in the end"


async def test_a_mistake_of_ours_in_one_page_keeps_no_other_from_going_out() -> None:
    class Broken(Scripted):
        async def deliver(self, page: Page) -> Answer:
            if page.alert.incident == "odd":
                raise ZeroDivisionError
            return await super().deliver(page)

    one, mail = Broken(), Scripted()
    site = Site(one=one, mail=mail, fallback={"one": "mail"})
    site.box.sinks = ("one",)
    site.box.restart()
    site.restart()
    site.box.take(alert("opened", "odd"), alert("opened", "even"))
    await site.until(NOW)
    assert (one.said, mail.said) == ([("even", Action.TRIGGER)], [("odd", Action.TRIGGER)])
    assert site.counts.of("failed") == [("one", "error")]


async def test_a_fallback_that_fails_too_ends_it() -> None:
    one, mail = Scripted(permanent("refused", "no")), Scripted(permanent("refused", "no"))
    site = Site(one=one, mail=mail, fallback={"one": "mail"})
    site.box.sinks = ("one",)
    site.box.restart()
    site.restart()
    site.box.take(alert("opened"))
    await site.until(NOW + 60)
    assert site.counts.of("failed") == [("one", "refused"), ("mail", "refused")]
    assert list(site.box.outbox.waiting()) == []


async def test_a_sink_that_cannot_be_reached_is_asked_once_and_not_for_every_page() -> None:
    one = Scripted(*[unreachable("away", arrived=False)] * 3)
    site = Site(one=one)
    site.box.take(*(alert("opened", name) for name in "abcde"))
    await site.until(NOW)
    assert len(one.pages) == 1
    await site.until(NOW + 1)
    assert len(one.pages) == 2
    await site.until(NOW + 7)
    assert {page.alert.incident for page in one.pages} == set("abcde")


@pytest.mark.parametrize("back_s", [3_600, 86_400])  # by a time zone: a machine starts with its clock in local time
@pytest.mark.parametrize("answer", [unreachable("away", arrived=False), Answer(Outcome.RETRY, "server_error", "500")])
async def test_a_clock_that_is_set_back_does_not_make_pages_wait_for_it(answer: Answer, back_s: float) -> None:
    one = Scripted(answer)
    site = Site(one=one)
    site.box.take(alert("opened"))
    await site.until(NOW)
    site.now = NOW - back_s
    await site.couriers["one"].step()
    assert len(one.pages) == 2


async def test_one_page_that_the_endpoint_chokes_on_does_not_hold_up_the_others() -> None:
    class Choking(Scripted):
        async def deliver(self, page: Page) -> Answer:
            self.pages.append(page)
            choke = page.alert.incident == "bad"
            return Answer(Outcome.RETRY, "server_error", "status 500") if choke else delivered("taken")

    one = Choking()
    site = Site(one=one)
    site.box.take(alert("opened", "bad"), alert("opened", "a"), alert("opened", "b"))
    await site.until(NOW)
    assert [name for name, _ in one.said] == ["bad", "a", "b"]


async def test_a_storm_is_told_in_a_summary_and_what_is_critical_has_room_of_its_own() -> None:
    one = Scripted()
    site = Site(one=one, rate=5)
    site.box.take(*(alert("opened", f"w{number}", summary=f"storm {number}") for number in range(100)))
    site.box.take(*(alert("opened", f"c{number}", severity="critical") for number in range(3)))
    await site.until(NOW)
    names = [name for name, _ in one.said]
    assert names == [*(f"w{number}" for number in range(5)), "c0", "c1", "c2"]
    site.restart()
    await site.until(NOW + SUMMARY_AFTER_S)
    summary = one.pages[-1].alert
    assert summary.summary.startswith("95 further pages were held back (95 warning), such as: storm 5; storm 6")
    assert (summary.severity, len(site.counts.of("held_back"))) == ("warning", 95)
    site.box.take(*(alert("resolved", f"w{number}") for number in range(100)))
    await site.until(NOW + SUMMARY_AFTER_S)
    assert [name for name, action in one.said if action is Action.RESOLVE] == [f"w{number}" for number in range(5)]
    site.box.take(alert("opened", "later"))
    await site.until(site.now)
    assert one.said[-1] == ("later", Action.TRIGGER)


async def test_what_forgets_is_told_again_while_it_is_open() -> None:
    async with endpoint(says(200)) as server:
        sink = HttpSink(Alertmanager(server.url()), HttpClient(tls_context(None), allow_private=True), lambda: site.now)
        site = Site(one=sink)
        site.box.take(alert("opened"))
        await site.until(NOW + 10 * REPEAT_S)
        told = len(server.got)
        assert 9 <= told <= 12
        site.restart()
        site.box.take(alert("resolved"))
        await site.until(site.now + 10 * REPEAT_S)
        assert len(server.got) in (told + 1, told + 2), "the end, and no more after it"
        last = server.got[-1].content[0]
        assert last["endsAt"] <= "2026-01-01T00:10:00.000Z"


async def test_what_is_muted_is_not_told_again_until_it_is_unmuted() -> None:
    one = Scripted(repeats_s=REPEAT_S)
    site = Site(one=one)
    site.box.take(alert("opened"))
    await site.until(NOW)
    site.box.take(alert("muted"))
    await site.until(NOW + 10 * REPEAT_S)
    assert one.said[-1] == ("inc-1", Action.MUTE)
    site.box.take(alert("unmuted"), now=site.now)
    await site.until(NOW + 20 * REPEAT_S)
    assert [action for _, action in one.said[-10:]] == [Action.TRIGGER] * 10


class Slow(Scripted):
    """Each page takes it a while, in which something else may happen."""

    site: Site

    def __init__(self, takes_s: float, meanwhile: Callable[[], None]) -> None:
        super().__init__(repeats_s=REPEAT_S)
        self.takes_s, self.meanwhile = takes_s, meanwhile
        self.told_at: dict[str, list[float]] = {}

    async def deliver(self, page: Page) -> Answer:
        self.told_at.setdefault(page.alert.incident, []).append(self.site.now)
        self.site.now += self.takes_s
        self.meanwhile()
        return await super().deliver(page)


async def test_what_comes_in_between_keeps_none_of_many_from_being_told_again() -> None:
    names = [f"inc-{number}" for number in range(100)]
    updates = iter(range(1_000_000))

    def updated() -> None:
        if next(updates) % 20 == 0:
            one.site.box.take(alert("updated", names[0]), now=one.site.now)

    one = Slow(0.1, updated)
    one.site = site = Site(one=one, rate=10_000)
    site.box.take(*(alert("opened", name) for name in names))
    await site.until(NOW + 20 * REPEAT_S)
    gaps = [max(after - at for at, after in pairwise(one.told_at[name])) for name in names]
    assert max(gaps) < 2 * REPEAT_S, "what is not told again within ten minutes counts as over there"


async def test_a_round_of_telling_again_rests_for_as_long_as_the_endpoint_asks_and_goes_on_where_it_was() -> None:
    one = Scripted(repeats_s=REPEAT_S)
    site = Site(one=one, chance=lambda: 0.0)
    site.box.take(*(alert("opened", f"inc-{number}") for number in range(4)))
    await site.until(NOW)
    one.pages.clear()
    one.answers = [delivered("taken"), by_status(429, {"Retry-After": "120"}, NOW)]
    await site.until(NOW + REPEAT_S)
    assert [name for name, _ in one.said] == ["inc-0", "inc-1"]
    await site.until(NOW + REPEAT_S + 119)
    assert len(one.said) == 2
    await site.until(NOW + REPEAT_S + 120)
    assert [name for name, _ in one.said[2:5]] == ["inc-1", "inc-2", "inc-3"]


async def test_what_was_not_tried_for_hours_is_tried_before_it_is_given_up() -> None:
    one = Scripted(unreachable("away", arrived=False))
    site = Site(one=one)
    site.box.take(alert("opened"))
    await site.until(NOW)
    site.now += GIVE_UP_S + 3_600  # the pager did not run
    site.restart()
    await site.until(site.now)
    assert one.said == [("inc-1", Action.TRIGGER)] * 2
    assert (site.counts.of("failed"), list(site.box.outbox.waiting())) == ([], [])


async def test_what_some_of_those_it_is_for_did_not_get_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    one = Scripted(delivered("taken, 1 of 2 recipients refused", whole=False))
    site = Site(one=one)
    site.box.take(alert("opened"), alert("opened", "inc-2"))
    await site.until(NOW)
    assert len(one.pages) == 2
    assert capsys.readouterr().out.count("delivered to some and not to all") == 1
