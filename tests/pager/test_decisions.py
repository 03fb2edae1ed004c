"""Whom an incident pages, and why nobody is: mutes, what joins, teams, causes of several models."""

import re
from pathlib import Path

import pytest

from schemas.events import AlertEvent
from streams.pager.causes import OVER_TOO_MAX_S, SETTLED_AGAIN_S, SETTLED_S
from streams.pager.reasons import WORDS, Reason
from streams.pager.sinks.text import headline
from streams.pager.steps import Action
from streams.sections import PagerSettings, RouteSettings, TeamSettings, UpstreamSettings
from tests.pager.steps import NOW, Box, alert

TRIGGER, ACKNOWLEDGE, RESOLVE, UPDATE = Action.TRIGGER, Action.ACKNOWLEDGE, Action.RESOLVE, Action.UPDATE
MUTE = Action.MUTE
MS = int(NOW * 1000)
WITHIN_S = 300.0
FEED = PagerSettings(upstreams={"feed": UpstreamSettings(within="5m", sources=("feed-*",))})


def muted(until: float | None = None, **fields: object) -> bytes:
    detail = {"until": None if until is None else until * 1000, "reason": "a known release"}
    return alert("muted", evidence={"detail": detail}, **fields)


def began(model: str, after_s: float = 0.0, event: str = "opened", **fields: object) -> bytes:
    """An incident of a model, named as the model is, whose change began so long after the first one's."""
    evidence = {"change_point": {"ts": MS + int(after_s * 1000), "offset": 7}}
    return alert(event, **{"incident": model, "model": model, "evidence": evidence, **fields})  # type: ignore[arg-type]


# What an incident is known by.


def test_what_joins_later_changes_nothing_that_an_incident_is_known_by() -> None:
    box = Box()
    box.take(alert("opened"))
    box.deliver()
    box.take(alert("updated", kind="performance", signal="loss", segment=None, ts=MS))
    box.restart()
    box.begin()
    assert (box.page.first.kind, box.page.first.signal, box.page.first.segment) == (
        "feature_drift",
        "feature:age",
        "country=de",
    )
    assert (box.page.alert.kind, box.page.alert.signal) == ("performance", "loss")


def test_an_incident_that_opens_again_pages_again_and_is_the_same_to_the_sink() -> None:
    box = Box()
    box.take(alert("opened"))
    box.deliver(reference="C1/17.5")
    box.take(alert("resolved"))
    box.deliver()
    box.restart()
    box.take(alert("reopened", kind="performance"))
    assert box.begin().action is TRIGGER
    assert (box.page.reference, box.page.first.kind) == ("C1/17.5", "feature_drift")


def test_a_signal_of_another_kind_pages_those_who_take_only_that() -> None:
    routes = {
        "drift": RouteSettings(kinds=("feature_drift",), sinks=("one",)),
        "harm": RouteSettings(kinds=("performance",), sinks=("two",)),
    }
    box = Box("one", "two", pager=PagerSettings(routes=routes))
    box.take(alert("opened"))
    assert (box.waiting("one"), box.waiting("two")) == ([TRIGGER], [])
    box.deliver("one")
    box.take(alert("updated", kind="performance"))
    assert (box.waiting("one"), box.waiting("two")) == ([UPDATE], [TRIGGER])


# Mutes.


def test_while_an_incident_is_muted_nobody_is_paged_for_it() -> None:
    box = Box()
    box.take(muted(), alert("opened"), alert("escalated"), alert("updated"), alert("reopened"))
    box.restart()
    box.look(NOW + 10 * 86_400)
    box.take(alert("acknowledged"))
    assert box.waiting() == [MUTE], "an outbox before this one may have paged"


def test_a_mute_takes_back_the_page_that_has_not_gone_out() -> None:
    box = Box()
    box.take(alert("opened"))
    box.take(muted())
    assert (box.waiting(), box.reasons) == ([], [("inc-1", "muted")])


def test_who_was_paged_is_told_of_the_mute_and_then_left_alone_until_the_end() -> None:
    box = Box()
    box.take(alert("opened"))
    box.deliver()
    box.take(muted(), alert("updated"), alert("escalated"), alert("amended"))
    assert box.deliver().action is MUTE
    assert box.waiting() == []
    box.take(alert("resolved"))
    assert box.waiting() == [RESOLVE]


def test_a_page_under_way_is_not_tried_again_once_its_incident_is_muted() -> None:
    box = Box()
    box.take(alert("opened"))
    under_way = box.begin()
    box.take(muted())
    box.outbox.again(under_way, NOW, arrived=True)
    assert box.waiting() == [MUTE]
    box.restart()
    assert box.waiting() == [MUTE]


def test_nor_when_the_pager_died_in_it() -> None:
    box = Box()
    box.take(alert("opened"))
    box.begin()
    box.take(muted())
    box.restart()
    assert box.waiting() == [MUTE]
    box.deliver()
    box.restart()
    assert box.waiting() == []


def test_a_refused_page_of_what_is_muted_is_no_page_at_the_fallback() -> None:
    box = Box()
    box.take(alert("opened"))
    under_way = box.begin()
    box.take(muted())
    box.outbox.failed(under_way, fallback="mail", note="", now=NOW, arrived=False)
    assert (box.waiting("one"), box.waiting("mail")) == ([], [])


def test_when_a_mute_ends_what_is_still_open_is_paged_as_it_is_by_then() -> None:
    box = Box()
    box.take(alert("opened"))
    box.deliver()
    box.take(muted(NOW + 60), alert("updated", summary="newer"))
    box.deliver()
    box.look(NOW + 59)
    assert box.waiting() == []
    box.restart()
    box.look(NOW + 60)
    assert box.begin(now=NOW + 60).action is TRIGGER
    assert (box.page.reason, box.page.alert.summary) == (Reason.MUTE_ENDED, "newer")
    box.restart()
    box.look(NOW + 120)
    assert box.waiting() == [TRIGGER]


@pytest.mark.parametrize("end", [None, NOW + 60])
def test_what_is_unmuted_is_paged(end: float | None) -> None:
    box = Box()
    box.take(alert("opened"))
    box.take(muted(end))
    box.take(alert("unmuted"))
    box.look(NOW + 3_600)
    assert box.begin().action is TRIGGER
    assert box.page.reason is Reason.UNMUTED
    assert box.reasons == [("inc-1", "muted"), ("inc-1", "unmuted")]


def test_what_is_over_when_its_mute_ends_pages_nobody_and_is_not_muted_when_it_opens_again() -> None:
    box = Box()
    box.take(alert("opened"))
    box.take(muted(NOW + 60), alert("resolved"))
    box.look(NOW + 60)
    assert box.waiting() == []
    box.take(alert("reopened"))
    assert box.waiting() == [TRIGGER]


def test_the_mutes_of_one_incident_are_no_others() -> None:
    box = Box()
    box.take(muted(), alert("opened", "inc-2"))
    assert [delivery.incident for delivery in box.outbox.waiting() if delivery.action is TRIGGER] == ["inc-2"]


@pytest.mark.parametrize("until", ["soon", [1], 1e999])
def test_a_mute_with_an_end_that_is_none_has_none(until: object) -> None:
    box = Box()
    box.take(alert("opened"), alert("muted", evidence={"detail": {"until": until}}))
    box.look(NOW + 10 * 86_400)
    assert box.waiting() == []


# Teams.


def teams(**routes: RouteSettings) -> PagerSettings:
    of = {
        "risk": TeamSettings(models=("fraud-*", "score"), sinks=("two",)),
        "web": TeamSettings(models=("search",), sinks=("three",)),
        "nobody": TeamSettings(models=("lonely",)),
    }
    return PagerSettings(teams=of, routes=routes)


@pytest.mark.parametrize(
    ("model", "sinks"),
    [
        ("fraud-eu", ["two"]),
        ("search", ["three"]),
        ("churn", ["one", "two", "three"]),
        ("lonely", ["one", "two", "three"]),
    ],
)
def test_without_routes_a_team_gets_what_is_its_own_and_all_get_what_is_nobodys(model: str, sinks: list[str]) -> None:
    box = Box("one", "two", "three", pager=teams())
    box.take(alert("opened", model=model))
    assert [sink for sink in box.sinks if box.waiting(sink)] == sinks


def test_routes_may_name_teams_and_sinks_of_their_own() -> None:
    routes = {"mine": RouteSettings(teams=("risk",)), "all": RouteSettings(severity="critical", sinks=("one",))}
    box = Box("one", "two", "three", pager=teams(**routes))
    box.take(alert("opened", "a", model="score"), alert("opened", "b", model="search"))
    box.take(alert("opened", "c", model="search", severity="critical"))
    assert [(one.sink, one.incident) for one in box.outbox.waiting()] == [("two", "a"), ("one", "c")]


def test_a_page_says_whose_the_model_is() -> None:
    box = Box("two", pager=teams())
    box.take(alert("opened", model="fraud-eu"))
    box.begin("two")
    assert box.page.teams == ("risk",)


# Several models, one cause.


def test_of_the_incidents_of_one_cause_the_first_is_paged_and_the_others_are_told_with_it() -> None:
    box = Box(pager=FEED)
    box.take(*(began(f"m{number:02}", number) for number in range(20)))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["m00"]
    box.begin()
    assert box.page.further.models == tuple(f"m{number:02}" for number in range(1, 20))
    assert "And 19 further incidents of 19 further models: m01, m02" in headline(box.page)
    assert box.reasons == [(f"m{number:02}", "upstream") for number in range(1, 20)]


def test_updates_of_a_cause_come_at_twos_powers_and_when_it_is_quiet() -> None:
    box = Box(pager=FEED)
    box.take(began("m00"))
    box.deliver()
    told = []
    for number in range(1, 20):
        box.take(began(f"m{number:02}"))
        if box.waiting():
            box.deliver()
            told.append((1 + len(box.page.further.models), box.page.action, box.page.reason))
        box.restart()
    for after in (SETTLED_S - 1, SETTLED_S, 2 * SETTLED_S):
        box.look(NOW + after)
        if box.waiting():
            box.deliver()
            told.append((1 + len(box.page.further.models), box.page.action, box.page.reason))
    assert told == [(models, UPDATE, Reason.FURTHER) for models in (2, 4, 8, 16, 20)]
    box.take(began("m20"))
    box.look(NOW + SETTLED_AGAIN_S)
    assert box.waiting() == [], "few updates, whatever comes little by little"
    box.look(NOW + SETTLED_S + SETTLED_AGAIN_S)
    assert box.waiting() == [UPDATE]


def test_no_two_things_that_are_told_have_one_id() -> None:
    box = Box(pager=FEED)
    ids = []
    for number in range(8):
        box.take(began(f"m{number}"))
        if box.waiting():
            box.deliver()
            ids.append(box.page.id)
    assert len(ids) == len(set(ids)) == 4


def test_an_incident_joins_once_however_often_it_is_told_of() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"), began("b", event="escalated"), began("b", event="reopened"))
    box.begin()
    assert (box.page.further.models, box.page.further.incidents) == (("b",), 1)


def test_the_end_of_the_first_says_how_far_it_went() -> None:
    box = Box(pager=FEED)
    box.take(began("a"))
    box.deliver()
    box.take(began("b"), began("c"))
    box.deliver()
    box.take(*(began(model, event="resolved") for model in "cba"))
    box.look(NOW + WITHIN_S)
    box.begin()
    assert (box.page.action, box.page.further.models) == (RESOLVE, ("b", "c"))


@pytest.mark.parametrize("after", [-301.0, 301.0])
def test_what_began_too_far_from_the_first_is_a_cause_of_its_own(after: float) -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b", after))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["a", "b"]


def test_one_models_incidents_are_of_one_cause_only_where_other_models_have_it_too() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("a", incident="a2"), began("b"), began("a", incident="a3"))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["a", "a2"]


def test_what_is_worse_than_the_first_is_paged_by_itself_and_also_what_becomes_so() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"), began("c", severity="critical"), began("d", severity="critical"))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["a", "c"]
    box.take(began("b", event="escalated", severity="critical"))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["a", "c"], "told with the other that is so"


def test_what_becomes_worse_than_all_that_was_paged_is_paged() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"), began("b", event="escalated", severity="critical"))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["a", "b"]


def test_whoever_would_not_hear_of_the_first_is_paged_by_itself() -> None:
    settings = teams(all=RouteSettings())
    box = Box("one", "two", "three", pager=PagerSettings(teams=settings.teams, upstreams=FEED.upstreams))
    box.take(began("score"), began("search"), began("fraud-eu"))
    assert [(one.sink, one.incident) for one in box.outbox.waiting()] == [("two", "score"), ("three", "search")]


def test_when_the_first_is_over_what_is_still_open_is_paged_after_it_had_its_time() -> None:
    box = Box(pager=FEED)
    box.take(*(began(model) for model in "abcd"))
    box.deliver()
    box.take(began("a", event="resolved"), began("b", event="resolved"))
    assert box.deliver().action is RESOLVE
    box.look(NOW + WITHIN_S - 1)
    assert box.waiting() == []
    box.restart()
    box.look(NOW + WITHIN_S)
    box.begin(now=NOW + WITHIN_S)
    assert (box.page.alert.model, box.page.action, box.page.reason) == ("c", TRIGGER, Reason.CAUSE_OVER)
    assert box.page.further.models == ("d",)
    box.look(NOW + 2 * WITHIN_S)
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["c"]


def test_nothing_waits_for_long_because_models_may_begin_far_apart() -> None:
    box = Box(pager=PagerSettings(upstreams={"feed": UpstreamSettings(within="1d")}))
    box.take(began("a"), began("b", 80_000), began("a", event="resolved"))
    box.look(NOW + OVER_TOO_MAX_S - 1)
    assert box.waiting() == []
    box.look(NOW + OVER_TOO_MAX_S)
    assert box.waiting() == [TRIGGER]


def test_what_joins_a_first_that_is_over_is_no_update_after_its_end() -> None:
    box = Box(pager=FEED)
    box.take(began("a"))
    box.deliver()
    box.take(began("a", event="resolved"), began("b"))
    assert box.waiting() == [RESOLVE]


def test_a_muted_first_is_told_of_no_further_models() -> None:
    box = Box(pager=FEED)
    box.take(*(began(model) for model in "abc"))
    box.deliver()
    box.take(began("d"), began("e"))
    box.deliver()
    box.take(muted(incident="a", model="a"))
    box.deliver()
    box.look(NOW + SETTLED_S)
    assert box.waiting() == []


@pytest.mark.parametrize("under_way", [False, True])
def test_what_opens_again_and_is_told_with_another_is_no_update_after_its_end(under_way: bool) -> None:
    """An endpoint would take an update of what it has closed for a page."""
    box = Box(pager=FEED)
    box.take(began("b"))
    box.deliver()
    box.take(began("a", event="opened"), began("b", event="resolved"))
    box.look(NOW + WITHIN_S)
    box.take(began("c"))
    end = box.begin() if under_way else None
    box.take(began("b", event="reopened"), began("b", event="updated"))
    if end is not None:
        box.outbox.delivered(end, None)
    assert [one.action for one in box.outbox.waiting() if one.incident == "b"] in ([], [RESOLVE])


def test_what_opens_again_in_that_time_is_the_first_again() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"), began("a", event="resolved"), began("a", event="reopened"))
    box.look(NOW + WITHIN_S)
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["a"]


def test_while_a_source_is_silent_what_begins_at_its_models_is_told_with_that() -> None:
    box = Box(pager=FEED)
    box.take(began("feed-1", kind="silence"))
    box.take(began("late", 3_600, severity="critical"), began("before", -200), began("long-before", -400))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["feed-1", "long-before"]
    assert box.reasons == [("late", "source"), ("before", "source")]
    box.take(began("feed-1", event="resolved", kind="silence"))
    box.look(NOW + WITHIN_S)
    assert [one.incident for one in box.outbox.waiting() if one.action is TRIGGER] == ["long-before", "late"]


def test_a_source_that_drifts_is_a_model_like_others() -> None:
    box = Box(pager=FEED)
    box.take(began("feed-1"), began("late", 3_600))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["feed-1", "late"]


def test_what_is_about_the_monitor_itself_is_told_by_itself() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("*", kind="system"))
    assert [delivery.incident for delivery in box.outbox.waiting()] == ["a", "*"]


def test_a_muted_first_lets_the_next_model_page_and_those_told_with_it_stay_quiet() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"))
    box.deliver()
    box.take(muted(incident="a", model="a"), began("c"))
    assert box.waiting() == [MUTE, TRIGGER]
    assert [one.incident for one in box.outbox.waiting() if one.action is TRIGGER] == ["c"]


def test_where_the_first_is_muted_before_anybody_was_told_the_others_are_paged() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"))
    box.take(muted(incident="a", model="a"))
    box.look(NOW + WITHIN_S)
    assert [one.incident for one in box.outbox.waiting()] == ["b"]


def test_a_follower_that_was_muted_is_judged_anew_when_its_mute_ends() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"), muted(NOW + 60, incident="b", model="b"))
    box.look(NOW + 60)
    assert [one.incident for one in box.outbox.waiting()] == ["a"]
    assert box.reasons == [("b", "upstream"), ("b", "muted"), ("b", "upstream")]


def test_where_the_firsts_page_is_refused_for_good_the_next_is_paged() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"))
    box.outbox.failed(box.begin(), fallback=None, note="", now=NOW, arrived=False)
    assert [one.incident for one in box.outbox.waiting()] == ["b"]


def test_a_fallback_tells_what_goes_with_the_page_that_it_got() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"))
    box.outbox.failed(box.begin(), fallback="mail", note="", now=NOW, arrived=False)
    box.begin("mail")
    assert (box.page.alert.model, box.page.further.models, box.waiting("one")) == ("a", ("b",), [])


def test_above_a_number_incidents_are_paged_and_not_withheld_unless_they_are_muted() -> None:
    box = Box(pager=FEED)
    box.withheld_max = 2
    box.restart()
    box.take(*(began(model) for model in "abcd"), muted(incident="e", model="e"), began("e"))
    assert [one.incident for one in box.outbox.waiting() if one.action is TRIGGER] == ["a", "d"]


def test_without_an_upstream_every_incident_is_paged() -> None:
    box = Box()
    box.take(*(began(model) for model in "abc"))
    assert len(box.waiting()) == 3


def test_an_upstream_that_is_not_configured_any_more_holds_nothing_back() -> None:
    box = Box(pager=FEED)
    box.take(began("a"), began("b"))
    box.pager = PagerSettings()
    box.restart()
    box.outbox.keep_only(["one"], NOW)
    box.look(NOW)
    assert [one.incident for one in box.outbox.waiting()] == ["a", "b"]
    assert [key for key in box.disk.rows if key.startswith((b"c/", b"w/"))] == []


def test_the_disk_is_empty_of_causes_that_are_over() -> None:
    box = Box(pager=FEED)
    box.take(*(began(model) for model in "abc"))
    box.deliver()
    box.take(*(began(model, event="resolved") for model in "abc"))
    box.look(NOW + WITHIN_S)
    assert [key for key in box.disk.rows if key.startswith((b"c/", b"w/"))] == []


def test_it_does_not_matter_where_the_pager_dies() -> None:
    """The same records in one life, and with a new one after each: the same is told, and for the same reasons."""
    steps = [
        *(began(f"m{number}", number) for number in range(6)),
        muted(NOW + 400, incident="m3", model="m3"),
        began("m0", event="resolved"),
        began("m1", event="escalated", severity="critical"),
        *(began(f"n{number}", 200 + number) for number in range(3)),
        began("m1", event="resolved"),
    ]

    def lived(*, dies: bool) -> list[tuple[object, ...]]:
        box, said = Box(pager=FEED), []
        for number, step in enumerate(steps):
            now = NOW + 100 * number
            box.look(now)
            box.take(step, now=now)
            while box.outbox.due("one", now) is not None:
                box.deliver(now=now)
                said.append(
                    (number, box.page.action, box.page.alert.incident, box.page.reason, box.page.further.models)
                )
            if dies:
                box.restart()
        return [*said, *box.reasons]

    one, other = lived(dies=False), lived(dies=True)
    assert one == other
    assert len(one) > 10


def test_the_page_has_every_reason_and_every_event() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pager.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", page, flags=re.MULTILINE)
    assert set(WORDS) == set(Reason)
    assert {(reason.value, words) for reason, words in WORDS.items()} <= set(rows)
    steps = page[page.index("## What an incident's steps do") : page.index("## Why nobody is paged")]
    assert {name for line in steps.splitlines() for name in re.findall(r"`(\w+)`", line.split(" | ")[0])} >= set(
        AlertEvent
    )
