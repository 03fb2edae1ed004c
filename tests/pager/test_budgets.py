"""Pages are counted; when a budget is spent, what is not critical waits for a digest, and that is said."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from streams.pager.answers import Answer, Outcome, unreachable
from streams.pager.budgets import DIGEST_SHOWN_MAX, DIGESTS
from streams.pager.courier import SUMMARIES
from streams.pager.reasons import Reason
from streams.pager.sinks.text import details
from streams.pager.steps import Action, Page
from streams.sections import BudgetSettings, PagerSettings, TeamSettings, UpstreamSettings
from tests.pager.site import Scripted, Site
from tests.pager.steps import NOW, Box, alert

HOUR, DAY = 3_600.0, 86_400.0
NINE = NOW + 9 * HOUR  # NOW is a midnight


def site(one: Scripted, pages: int = 2, **fields: object) -> Site:
    budget = BudgetSettings(pages=pages, **fields)  # type: ignore[arg-type]
    return Site(one=one, pager=PagerSettings(budgets={"mine": budget}))


def paged(one: Scripted) -> Sequence[str]:
    return [name for name, action in one.said if action is Action.TRIGGER]


def digests(one: Scripted) -> Sequence[Page]:
    return [page for page in one.pages if page.alert.incident.startswith(DIGESTS)]


async def test_a_budget_that_is_spent_says_so_in_its_last_page_and_the_rest_waits_for_the_digest() -> None:
    one = Scripted()
    here = site(one, pages=2)
    for name in "abcd":
        here.box.take(alert("opened", name, summary=f"{name} drifts"))
        await here.until(NOW)
        here.restart()
    assert paged(one) == ["a", "b"]
    spent = "the page budget mine is spent (2 in 7d)"
    assert [spent in page.note for page in one.pages] == [False, True]
    assert here.box.reasons == [("c", "budget"), ("d", "budget")]
    await here.until(NINE - 1)
    assert digests(one) == []
    here.restart()
    await here.until(NINE)
    (digest,) = digests(one)
    assert "2 incidents of 1 model waited for this digest (2 warning; 0 over by now)" in digest.alert.summary
    assert dict(details(digest))["incident 1"] == "[warning] c: c drifts"
    await here.until(NINE + 3 * DAY)
    assert len(digests(one)) == 1, "an empty one is not sent"


async def test_critical_incidents_go_out_and_count() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(*(alert("opened", name, severity="critical") for name in "abc"), alert("opened", "d"))
    await here.until(NOW)
    assert paged(one) == ["a", "b", "c"]
    assert [bool(page.note) for page in one.pages] == [True, False, False], "said once"


async def test_what_waits_and_becomes_critical_is_paged_and_not_in_the_digest() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", "a"), alert("opened", "b"))
    await here.until(NOW)
    here.restart()
    here.box.take(alert("escalated", "b", severity="critical"))
    await here.until(NINE)
    assert (paged(one), digests(one)) == (["a", "b"], [])


async def test_what_was_paged_and_becomes_worse_is_told_quietly_and_stands_in_the_digest() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", severity="info"))
    await here.until(NOW)
    here.box.take(alert("escalated"))
    await here.until(NINE)
    (digest,) = digests(one)
    assert one.said[:2] == [("inc-1", Action.TRIGGER), ("inc-1", Action.UPDATE)]
    assert "1 incident of 1 model" in digest.alert.summary


async def test_what_is_over_by_the_time_of_the_digest_is_said_to_be_and_its_end_is_nobodys() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", "a"), alert("opened", "b"), alert("opened", "c"))
    await here.until(NOW)
    here.box.take(alert("resolved", "b"))
    here.restart()
    await here.until(NINE)
    (digest,) = digests(one)
    assert "(2 warning; 1 over by now)" in digest.alert.summary
    assert dict(details(digest))["incident 2"].startswith("[over] b:")
    here.box.take(alert("resolved", "c"))
    await here.until(NINE + HOUR)
    assert ("b", Action.RESOLVE) not in one.said
    assert ("c", Action.RESOLVE) not in one.said


async def test_there_is_room_again_when_pages_are_older_than_the_budgets_time() -> None:
    one = Scripted()
    here = site(one, pages=1, per="1d")
    here.box.take(alert("opened", "a"))
    await here.until(NOW + DAY - 1)
    here.box.take(alert("opened", "b"))
    await here.until(NOW + DAY)
    here.restart()
    here.box.take(alert("opened", "c"))
    await here.until(NOW + DAY)
    assert paged(one) == ["a", "c"]


async def test_a_page_counts_once_to_however_many_sinks_it_goes_and_however_often_it_is_tried() -> None:
    away = [Answer(Outcome.RETRY, "server_error", "status 500")] * 3
    one, two = Scripted(), Scripted(*away)
    here = Site(one=one, two=two, pager=PagerSettings(budgets={"mine": BudgetSettings(pages=2)}))
    here.box.take(alert("opened", "a"))
    await here.until(NOW)
    here.restart()
    await here.until(NOW + 60)
    here.box.take(alert("opened", "b"))
    await here.until(NOW + 60)
    here.box.take(alert("opened", "c"))
    await here.until(NOW + 60)
    assert (paged(one), paged(two)[-2:]) == (["a", "b"], ["a", "b"])
    await here.until(NINE)
    assert (len(digests(one)), len(digests(two))) == (1, 1)


async def test_a_page_that_counted_still_goes_to_the_sink_that_was_away() -> None:
    """The incident got worse in the meantime, and that would have been a page too many."""
    one, two = Scripted(), Scripted(Answer(Outcome.RETRY, "server_error", "status 500", arrived=False))
    here = Site(one=one, two=two, pager=PagerSettings(budgets={"mine": BudgetSettings(pages=1)}))
    here.box.take(alert("opened", severity="info"))
    for courier in here.couriers.values():
        await courier.step()
    here.box.take(alert("escalated"))
    await here.until(NOW + 60)
    assert [action for _, action in one.said] == [Action.TRIGGER, Action.UPDATE]
    assert [(page.action, page.alert.event) for page in two.pages] == [
        (Action.TRIGGER, "opened"),
        (Action.TRIGGER, "escalated"),
    ]


async def test_what_opens_again_when_the_budget_is_spent_is_no_update_after_its_end() -> None:
    one, two = Scripted(), Scripted(*[unreachable("away", arrived=True)] * 2)
    here = Site(one=one, two=two, pager=PagerSettings(budgets={"mine": BudgetSettings(pages=1)}))
    here.box.take(alert("opened"))
    for courier in here.couriers.values():
        await courier.step()
    here.box.take(alert("resolved"), alert("reopened"))
    await here.until(NOW + 60)
    assert [action for _, action in one.said] == [Action.TRIGGER, Action.RESOLVE]
    assert [action for _, action in two.said] == [Action.TRIGGER, Action.RESOLVE, Action.RESOLVE]


async def test_what_is_over_before_it_went_out_does_not_count() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(*(alert(event, name) for name in "abcd" for event in ("opened", "resolved")), alert("opened", "e"))
    await here.until(NOW)
    assert paged(one) == ["e"]


async def test_what_is_above_a_sinks_rate_is_in_its_summary_and_does_not_count() -> None:
    one = Scripted()
    here = Site(one=one, rate=1, pager=PagerSettings(budgets={"mine": BudgetSettings(pages=2)}))
    here.box.take(*(alert("opened", name) for name in "abc"))
    await here.until(NOW)
    await here.until(NOW + 60)
    here.box.take(alert("opened", "d"))
    await here.until(NOW + 120)
    assert [name for name in paged(one) if not name.startswith(SUMMARIES)] == ["a", "d"]


async def test_a_budget_counts_only_the_models_and_teams_that_it_names() -> None:
    teams = {"risk": TeamSettings(models=("fraud",), sinks=())}
    budgets = {
        "risk": BudgetSettings(teams=("risk",), pages=1),
        "churn": BudgetSettings(models=("churn-*",), pages=2),
    }
    one = Scripted()
    here = Site(one=one, pager=PagerSettings(teams=teams, budgets=budgets))
    for number in range(3):
        for model in ("fraud", "churn-eu", "search"):
            here.box.take(alert("opened", f"{model}-{number}", model=model))
    await here.until(NOW)
    assert [sum(name.startswith(model) for name in paged(one)) for model in ("fraud", "churn", "search")] == [1, 2, 3]


async def test_a_digest_names_the_worst_and_counts_all() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", "first"))
    here.box.take(*(alert("opened", f"i{number}", severity="info", model=f"m{number}") for number in range(30)))
    here.box.take(alert("opened", "worst"), alert("resolved", "i0"))
    await here.until(NINE)
    (digest,) = digests(one)
    named = [value for name, value in details(digest) if name.startswith("incident ")]
    assert (len(named), named[0][:17]) == (DIGEST_SHOWN_MAX, "[warning] worst: ")
    assert "(1 warning, 29 info; 0 over" in digest.alert.summary


async def test_what_was_to_be_told_with_an_incident_that_waits_is_judged_anew() -> None:
    one = Scripted()
    budget = BudgetSettings(models=("first", "a", "b"), pages=1)
    here = Site(one=one, pager=PagerSettings(budgets={"mine": budget}, upstreams={"feed": UpstreamSettings()}))
    here.box.take(alert("opened", "first", model="first", ts=1))
    await here.until(NOW)
    here.box.take(*(alert("opened", name, model=name) for name in "abc"))
    here.restart()
    await here.until(NINE)
    (digest,) = digests(one)
    assert [name for name, value in details(digest) if name.startswith("incident ")] == ["incident 1", "incident 2"]
    assert paged(one)[:2] == ["first", "c"]


async def test_what_was_to_be_told_with_an_incident_above_the_rate_is_in_the_summary_as_well() -> None:
    one = Scripted()
    here = Site(one=one, rate=1, pager=PagerSettings(upstreams={"feed": UpstreamSettings()}))
    here.box.take(alert("opened", "first", model="first", ts=1), *(alert("opened", name, model=name) for name in "abc"))
    await here.until(NOW + 120)
    assert paged(one)[0] == "first"
    assert "3 further pages were held back" in one.pages[-1].alert.summary
    assert here.box.reasons == [("b", "upstream"), ("c", "upstream")]
    assert [key for key in here.box.disk.rows if key.startswith(b"w/")] == []


@pytest.mark.parametrize("rate", [1, 1_000])
async def test_a_storm_is_not_judged_again_for_each_page_that_is_kept_back(rate: int) -> None:
    one = Scripted()
    pager = PagerSettings(budgets={"mine": BudgetSettings(pages=1)}, upstreams={"feed": UpstreamSettings()})
    here = Site(one=one, rate=rate, pager=pager)
    here.box.take(alert("opened", "first", model="first", ts=1))
    here.box.take(*(alert("opened", f"i{number}", model=f"m{number}") for number in range(300)))
    await here.until(NINE)
    (digest,) = digests(one)
    assert "300 incidents of 300 models" in digest.alert.summary
    assert len(here.box.reasons) <= 2 * 300


async def test_where_too_many_wait_for_a_digest_the_rest_is_paged() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.withheld_max = 2
    here.restart()
    here.box.take(*(alert("opened", name) for name in "abcd"))
    await here.until(NOW)
    assert paged(one) == ["a", "d"]


async def test_what_waits_for_a_digest_is_not_forgotten_because_it_is_over() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", "a"), alert("opened", "b"))
    await here.until(NOW)
    here.box.take(alert("resolved", "b"))
    here.box.outbox.prune(NOW + 30 * DAY)
    await here.until(NINE)
    assert len(digests(one)) == 1


async def test_a_digest_comes_at_its_time_of_day_in_summer_and_in_winter() -> None:
    one = Scripted()
    here = site(one, pages=1, digest_at="09:00", timezone="Europe/Berlin", per="90d")
    there = ZoneInfo("Europe/Berlin")
    here.now = datetime(2026, 3, 27, 12, tzinfo=there).timestamp()
    here.box.look(here.now)
    came = []
    for number in range(3):
        here.box.take(alert("opened", f"{number}-a"), alert("opened", f"{number}-b"), now=here.now)
        while len(digests(one)) == number:
            await here.until(here.now + HOUR)
        came.append(datetime.fromtimestamp(digests(one)[-1].now, UTC).hour)
    assert came == [8, 7, 7], "nine o'clock there; the clocks went forward on the 29th"


async def test_a_pager_that_was_away_at_that_time_sends_the_digest_when_it_is_back() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", "a"), alert("opened", "b"))
    await here.until(NOW)
    here.now = NINE + 3 * HOUR
    here.restart()
    await here.until(here.now)
    assert len(digests(one)) == 1


async def test_a_budget_that_is_not_configured_any_more_lets_go_of_what_waited() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", "a"), alert("opened", "b"))
    await here.until(NOW)
    here.box.pager = PagerSettings()
    here.restart()
    here.box.outbox.keep_only(["one"], NOW)
    await here.until(NOW + 60)
    assert len(digests(one)) == 1
    assert [key for key in here.box.disk.rows if key.startswith((b"b/", b"w/"))] == []


async def test_a_clock_that_was_set_back_does_not_put_off_digests() -> None:
    one = Scripted()
    here = site(one, pages=1, per="90d")
    here.box.take(alert("opened", "a"), alert("opened", "b"))
    await here.until(NOW)
    here.box.look(NOW + 30 * DAY)
    await here.until(NOW)
    here.box.take(alert("opened", "c"))
    await here.until(NINE)
    assert len(digests(one)) == 2


async def test_an_incident_that_is_muted_waits_for_no_digest() -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", "a"), alert("opened", "b"))
    await here.until(NOW)
    here.box.take(alert("muted", "b"))
    await here.until(NINE)
    assert digests(one) == []
    assert here.box.reasons[-1] == ("b", Reason.MUTED)


@pytest.mark.parametrize("kills", [1, 2, 3])
async def test_a_pager_that_dies_around_a_digest_sends_it_once_more_at_most(kills: int) -> None:
    one = Scripted()
    here = site(one, pages=1)
    here.box.take(alert("opened", "a"), alert("opened", "b"))
    await here.until(NOW)
    here.now = NINE
    here.box.look(NINE)
    for _ in range(kills):
        here.restart()
        here.box.look(NINE)
    await here.until(NINE)
    assert len(digests(one)) == 1


def test_a_day_that_a_place_leaves_out_has_no_digest_and_ends_nothing() -> None:
    """Samoa had no 30th of December in 2011."""
    after = datetime(2011, 12, 31, 0, 15, tzinfo=ZoneInfo("Pacific/Apia")).timestamp()
    box = Box(pager=PagerSettings(budgets={"one": BudgetSettings(pages=1, timezone="Pacific/Apia")}))
    box.take(alert("opened"))
    box.look(after - DAY)
    box.look(after)
    assert box.waiting() == [Action.TRIGGER]
