"""What is delivered to whom, in which order, and that a process that ends at any point loses none of it."""

import random

import pytest

from streams.errors import CorruptStateError, UsageError
from streams.pager.outbox import CLOSED_KEPT_S, Outbox, Taken
from streams.pager.rows import Belongs
from streams.pager.steps import Action, read_alert
from tests.pager.steps import NOW, WHOSE, Box, alert
from tests.streams.disk import MemoryDisk

TRIGGER, ACKNOWLEDGE, RESOLVE, UPDATE = Action.TRIGGER, Action.ACKNOWLEDGE, Action.RESOLVE, Action.UPDATE


def test_positions_and_deliveries_are_one_write() -> None:
    box = Box("one", "two")
    writes = len(box.disk.before)
    box.take(alert("opened"), alert("opened", "inc-2"))
    assert len(box.disk.before) == writes + 1
    box.restart()
    assert (box.outbox.positions, box.waiting("one"), box.waiting("two")) == ({"0": 2}, [TRIGGER] * 2, [TRIGGER] * 2)


def test_what_was_taken_is_not_taken_again() -> None:
    box = Box()
    record = Taken(0, 0, alert("opened"))
    box.outbox.take([record], NOW)
    assert box.outbox.take([record], NOW).events == []
    assert box.waiting() == [TRIGGER]


def test_a_step_that_the_topic_repeats_pages_nobody_also_when_it_is_over() -> None:
    box, opened, resolved = Box(), alert("opened"), alert("resolved")
    box.take(opened)
    box.deliver()
    box.take(resolved)
    box.deliver()
    assert (box.take(opened, resolved).repeated, box.waiting()) == (2, [])


def test_a_resolve_waits_for_its_trigger() -> None:
    box = Box()
    box.take(alert("opened"))
    under_way = box.begin()
    box.take(alert("resolved"))
    assert box.waiting() == [TRIGGER, RESOLVE]
    box.outbox.again(under_way, NOW + 10, arrived=True)
    assert box.outbox.due("one", NOW) is None
    assert [box.begin(now=NOW + 10).action, box.waiting()] == [TRIGGER, [TRIGGER, RESOLVE]]


def test_what_is_over_before_it_could_arrive_pages_nobody() -> None:
    box = Box("one", "two")
    box.take(alert("opened"))
    box.deliver("two")
    assert box.take(alert("resolved")).cancelled == ["one"]
    assert (box.waiting("one"), box.waiting("two")) == ([], [RESOLVE])


def test_what_may_have_arrived_is_resolved_and_not_triggered_again() -> None:
    box = Box()
    box.take(alert("opened"))
    box.outbox.again(box.begin(), NOW, arrived=True)
    box.take(alert("resolved"))
    assert box.waiting() == [RESOLVE]


def test_a_process_that_ends_in_an_attempt_counts_it_as_one_that_may_have_arrived() -> None:
    box = Box()
    box.take(alert("opened"))
    box.begin()
    box.restart()
    box.take(alert("resolved"))
    assert box.waiting() == [RESOLVE]


def test_what_certainly_did_not_arrive_needs_no_resolve() -> None:
    box = Box()
    box.take(alert("opened"))
    under_way = box.begin()
    box.take(alert("resolved"))
    box.outbox.again(under_way, NOW, arrived=False)
    box.restart()
    assert box.waiting() == []


def test_a_process_that_ends_between_the_answer_and_the_note_of_it_delivers_once_more() -> None:
    box = Box()
    box.take(alert("opened"))
    first = box.begin()
    box.restart()
    second = box.begin()
    assert (first.incident, first.value) == (second.incident, second.value)


def test_what_waits_shows_what_is_newest() -> None:
    box = Box()
    box.take(alert("opened", summary="a"), alert("updated", summary="b"), alert("escalated", severity="critical"))
    assert box.waiting() == [TRIGGER]
    assert read_alert(box.begin().value).severity == "critical"
    box.take(alert("updated", summary="c"), alert("amended", summary="d"))
    assert box.waiting() == [TRIGGER, UPDATE]


def test_an_incident_that_opens_again_pages_again() -> None:
    box = Box()
    box.take(alert("opened"))
    box.deliver()
    box.take(alert("resolved"), alert("opened"))
    assert box.waiting() == [RESOLVE, TRIGGER]


def test_after_it_is_over_only_a_new_trigger_counts() -> None:
    box = Box()
    box.take(alert("opened"))
    box.deliver()
    box.take(alert("resolved"))
    box.deliver()
    box.take(alert("updated"), alert("acknowledged"), alert("amended"), alert("resolved"))
    assert box.waiting() == []


def test_ends_of_what_is_not_known_are_told_all_the_same_and_updates_trigger() -> None:
    box = Box()
    box.take(alert("resolved", "a"), alert("updated", "b"), alert("amended", "c"))
    box.outbox.again(box.begin(), NOW, arrived=False)  # the endpoint is away; it must not be dropped for that
    box.restart()
    assert box.waiting() == [RESOLVE, TRIGGER]


def test_a_page_that_is_refused_goes_to_the_fallback_and_so_does_what_follows() -> None:
    box = Box("one")
    box.take(alert("opened"))
    box.outbox.failed(box.begin(), fallback="mail", note="one: 401", now=NOW, arrived=False)
    box.restart()
    assert box.begin("mail").note == "one: 401"
    box.deliver("mail")
    box.take(alert("resolved"))
    assert (box.waiting("one"), box.waiting("mail")) == ([], [RESOLVE])


def test_a_fallback_that_pages_anyway_does_not_page_twice() -> None:
    box = Box("one", "mail")
    box.take(alert("opened"))
    box.deliver("mail")
    box.outbox.failed(box.begin(), fallback="mail", note="", now=NOW, arrived=False)
    assert box.waiting("mail") == []


def test_a_refused_escalation_leaves_the_sink_what_it_is_to_resolve() -> None:
    box = Box("one")
    box.take(alert("opened"))
    box.deliver()
    box.take(alert("escalated"))
    box.outbox.failed(box.begin(), fallback="mail", note="", now=NOW, arrived=False)
    box.deliver("mail")
    box.take(alert("resolved"))
    assert (box.waiting("one"), box.waiting("mail")) == ([RESOLVE], [RESOLVE])


def test_what_is_over_when_it_is_refused_pages_nobody_elsewhere() -> None:
    box = Box("one")
    box.take(alert("opened"))
    under_way = box.begin()
    box.take(alert("resolved"))
    box.outbox.failed(under_way, fallback="mail", note="", now=NOW, arrived=False)
    assert (box.waiting("one"), box.waiting("mail")) == ([], [])


def test_what_is_held_back_is_told_once_and_its_end_is_nobodys() -> None:
    box = Box()
    box.take(alert("opened"), alert("opened", "inc-2", severity="critical"))
    for _ in range(2):
        delivery = box.outbox.due("one", NOW)
        assert delivery is not None
        box.outbox.hold(delivery, read_alert(delivery.value), NOW)
    box.restart()
    held = box.outbox.held("one")
    assert held is not None
    assert (held.count, held.by_severity) == (2, {"warning": 1, "critical": 1})
    box.outbox.summarise("one", read_alert(alert("opened", "held-back-1")), NOW)
    box.restart()
    assert (box.outbox.held("one"), box.waiting()) == (None, [TRIGGER])
    box.deliver()
    assert (box.take(alert("resolved")).cancelled, box.waiting(), box.outbox.standings("one")) == ([], [], [])


def test_one_incident_that_waits_lets_the_others_pass() -> None:
    box = Box()
    box.take(alert("opened", "a"), alert("opened", "b"))
    box.outbox.again(box.begin(), NOW + 60, arrived=False)
    assert box.begin().incident == "b"


def test_of_those_whose_turn_it_is_the_one_goes_first_that_was_tried_longest_ago() -> None:
    box = Box()
    box.take(alert("opened", "a"), alert("opened", "b"))
    box.outbox.again(box.begin(), NOW, arrived=False)
    assert box.begin().incident == "b"


def test_sinks_that_are_gone_are_forgotten() -> None:
    box = Box("one", "two")
    box.take(alert("opened"))
    box.deliver("two")
    assert box.outbox.keep_only(["two"]) == 1
    box.restart()
    assert (box.waiting("one"), [name for name, _ in box.outbox.standings("two")]) == ([], ["inc-1"])
    box.take(alert("resolved"))
    assert (box.waiting("one"), box.waiting("two")) == ([], [RESOLVE])


def test_what_was_over_long_ago_is_forgotten() -> None:
    box = Box()
    box.take(alert("opened"), alert("opened", "inc-2"), alert("resolved"))
    box.outbox.prune(NOW + CLOSED_KEPT_S - 1)
    rows = len(box.disk.rows)
    box.outbox.prune(NOW + CLOSED_KEPT_S + 1)
    assert len(box.disk.rows) == rows - 1
    box.restart()
    assert box.waiting() == [TRIGGER]


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"{}", b"\xff", alert("opened", incident="x" * 300)])
def test_a_record_that_is_no_alert_is_passed_over_and_told(value: bytes | None) -> None:
    box = Box()
    told = box.outbox.take([Taken(0, 0, value), Taken(0, 1, alert("opened"))], NOW)
    assert ([record.offset for record in told.unreadable], box.waiting()) == ([0], [TRIGGER])


def test_another_pagers_outbox_is_refused() -> None:
    box = Box()
    with pytest.raises(UsageError, match=r"pager\.dir: the outbox there is that of group driftline-pager"):
        Outbox(box.disk, Belongs("other", "driftline.alerts"), lambda alert, now: [])


def test_a_damaged_outbox_is_noticed() -> None:
    box = Box()
    box.take(alert("opened"))
    key = next(key for key in box.disk.rows if key.startswith(b"d/"))
    box.disk.rows[key] = box.disk.rows[key][:-1] + b"?"
    with pytest.raises(CorruptStateError):
        box.restart()


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_triggers_come_first_ends_last_and_nothing_is_lost(seed: int) -> None:
    """A sink that remembers what arrived, in random lives: what it shows in the end is what the topic says."""
    chance = random.Random(seed)
    box, shown, over = Box(), set(), {}
    incidents = ["a", "b", "c"]

    def attempt(now: float) -> None:
        delivery = box.outbox.due("one", now)
        if delivery is None:
            return
        box.outbox.begin(delivery)
        fate = chance.choice(["delivered", "delivered", "lost", "arrived", "killed", "killed and arrived"])
        if fate in ("delivered", "arrived", "killed and arrived"):
            name, action = delivery.incident, delivery.action
            if action is RESOLVE:
                shown.discard(name)
            elif action is TRIGGER:
                assert not over[name] or name in shown, "paged for what is over"
                shown.add(name)
            else:
                assert name in shown, "an update of what was never shown"
        if fate.startswith("killed"):
            box.restart()
        elif fate == "delivered":
            box.outbox.delivered(delivery, None)
        else:
            box.outbox.again(delivery, now, arrived=fate == "arrived")

    for _ in range(60):
        name = chance.choice(incidents)
        if chance.random() < 0.5:
            open_now = over.get(name) is False
            event = chance.choice(["updated", "escalated", "acknowledged", "resolved"]) if open_now else "opened"
            if event == "resolved":
                over[name] = True
            elif event in ("opened", "escalated"):
                over[name] = False
            box.take(alert(event, name))
        else:
            attempt(NOW)
    for _ in range(2_000):
        attempt(NOW)
    assert box.waiting() == []
    assert shown == {name for name, is_over in over.items() if not is_over}
    assert set(box.outbox._standings) == {("one", name) for name in shown}


def test_the_disk_is_empty_of_what_is_done() -> None:
    disk = MemoryDisk()
    box = Box(disk=disk)
    box.take(alert("opened"), alert("acknowledged"))
    for _ in range(2):
        box.deliver(reference="r")
    assert box.outbox.standings("one")[0][1].reference == "r"
    box.take(alert("resolved"))
    box.deliver()
    assert {key[:2] for key in disk.rows} == {b"be", b"in", b"po", b"i/"}
    assert WHOSE.version == 1
