"""What is delivered to whom, in which order, and that a process that ends at any point loses none of it."""

import random

import msgspec
import pytest

from detectors.sealing import open_sealed, seal
from streams.errors import CorruptStateError, UsageError
from streams.pager.incidents import CLOSED_KEPT_S
from streams.pager.outbox import Outbox, Taken
from streams.pager.reasons import ANEW
from streams.pager.rows import Belongs
from streams.pager.steps import Action, Page, read_alert
from tests.pager.steps import NOW, WHOSE, Box, alert
from tests.streams.disk import MemoryDisk

TRIGGER, ACKNOWLEDGE, RESOLVE, UPDATE = Action.TRIGGER, Action.ACKNOWLEDGE, Action.RESOLVE, Action.UPDATE
MUTE = Action.MUTE


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


def test_a_resolve_waits_for_an_attempt_that_is_under_way_and_what_may_have_arrived_is_not_tried_again() -> None:
    box = Box()
    box.take(alert("opened"))
    under_way = box.begin()
    box.take(alert("resolved"))
    assert box.waiting() == [TRIGGER, RESOLVE]
    box.outbox.again(under_way, NOW + 10, arrived=True)
    box.restart()
    assert [box.begin().action, box.waiting()] == [RESOLVE, [RESOLVE]]


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
    box.sinks = ("two",)
    box.restart()
    assert box.outbox.keep_only(["two"], NOW) == 1
    box.restart()
    assert (box.waiting("one"), [name for name, _ in box.outbox.standings("two")]) == ([], ["inc-1"])
    box.take(alert("resolved"))
    assert (box.waiting("one"), box.waiting("two")) == ([], [RESOLVE])


def test_a_page_that_has_not_gone_out_goes_to_the_sink_that_takes_the_place_of_its_own() -> None:
    """As whoever is on call does where an endpoint is away: another sink in its place, and the pager started again."""
    box = Box("one")
    box.take(alert("opened"), alert("opened", "inc-2"), alert("muted", "inc-2"), alert("opened", "inc-3"))
    box.take(alert("resolved", "inc-3"))
    box.outbox.again(box.begin(), NOW, arrived=False)
    box.sinks = ("two",)
    box.restart()
    box.outbox.keep_only(["two"], NOW)
    box.restart()
    (page,) = box.outbox.waiting("two")
    assert (page.incident, page.action, page.tries) == ("inc-1", TRIGGER, 0)
    assert page.note == "one, which it was for, is not configured any more"
    box.take(alert("unmuted", "inc-2"), alert("resolved"))
    assert [(one.incident, one.action) for one in box.outbox.waiting("two")] == [("inc-2", TRIGGER)]


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


@pytest.mark.parametrize("number", [b"1e300", b"9" * 30, b"9" * 400, b"-" + b"9" * 30])
def test_a_time_of_any_size_neither_ends_the_pager_nor_loses_the_next_page(number: bytes) -> None:
    """A record that ends the process would end it at every start: nobody would be paged for anything any more."""
    box = Box()
    change = alert("opened", evidence={"change_point": {"ts": 7}}).replace(b'"ts":7', b'"ts":' + number)
    mute = alert("muted", "inc-2", evidence={"detail": {"until": 7}}).replace(b'"until":7', b'"until":' + number)
    own = alert("opened", "inc-3", ts=7).replace(b'"ts":7', b'"ts":' + number)
    told = box.take(change, mute, own, alert("opened", "inc-4"))
    box.restart()
    assert [record.offset for record in told.unreadable] == [2]
    assert box.waiting() == [TRIGGER, MUTE, TRIGGER]


def test_another_pagers_outbox_is_refused() -> None:
    box = Box()
    with pytest.raises(UsageError, match=r"pager\.dir: the outbox there is that of group driftline-pager"):
        Outbox(box.disk, Belongs("other", "driftline.alerts"), box.policy())


def test_a_damaged_outbox_is_noticed() -> None:
    box = Box()
    box.take(alert("opened"))
    key = next(key for key in box.disk.rows if key.startswith(b"d/"))
    box.disk.rows[key] = box.disk.rows[key][:-1] + b"?"
    with pytest.raises(CorruptStateError):
        box.restart()


class Life:
    """A sink that remembers what arrived, and incidents whose lives are random; a pager that may end at any time."""

    def __init__(self, seed: int) -> None:
        self.chance, self.now = random.Random(seed), NOW
        self.box = Box()
        self.over: dict[str, bool] = {}
        self.muted: dict[str, float | None] = {}  # until when
        self.shown: set[str] = set()
        self.called: set[str] = set()  # of these, those that people were called for since they were muted last

    def happens(self) -> None:
        """The next step of an incident, as a monitor would tell it."""
        name = self.chance.choice("abc")
        if self.over.get(name, True):
            event = "reopened" if name in self.over else "opened"
        else:
            events = ["updated", "escalated", "acknowledged", "resolved", "muted", "unmuted"]
            event = self.chance.choice(events if name in self.muted else events[:-1])
        until = self.chance.choice([None, self.now + 30])
        if event == "muted":
            self.muted[name] = until
        if event in ("unmuted", "resolved"):
            self.muted.pop(name, None)
        self.over[name] = event == "resolved"
        detail = {"until": until and until * 1000, "reason": "known"}
        self.box.take(alert(event, name, evidence={"detail": detail}), now=self.now)

    def time_passes(self) -> None:
        self.now += 10
        self.muted = {name: until for name, until in self.muted.items() if until is None or until > self.now}
        self.box.look(self.now)

    def attempt(self) -> None:
        delivery = self.box.outbox.due("one", self.now)
        if delivery is None:
            return
        name, action = delivery.incident, delivery.action
        assert not (action is TRIGGER and name in self.muted), "paged while it is muted"
        assert action is not TRIGGER or not self.over[name] or name in self.shown, "paged for what is over"
        page = self.box.outbox.begin(delivery, self.now)
        fate = self.chance.choice(["delivered", "delivered", "lost", "arrived", "killed", "killed and arrived"])
        if fate in ("delivered", "arrived", "killed and arrived"):
            self.arrives(page)
        if self.chance.random() < 0.3:
            self.happens()  # while the attempt is under way
        if fate.startswith("killed"):
            self.box.restart()
        elif fate == "delivered":
            self.box.outbox.delivered(delivery, None)
        else:
            self.box.outbox.again(delivery, self.now, arrived=fate == "arrived")

    def over_with(self) -> None:
        """The endpoint is well from now on, and no more happens."""
        while (delivery := self.box.outbox.due("one", self.now)) is not None:
            self.arrives(self.box.outbox.begin(delivery, self.now))
            self.box.outbox.delivered(delivery, None)

    def arrives(self, page: Page) -> None:
        name = page.alert.incident
        if page.action is RESOLVE:
            self.shown.discard(name)
            self.called.discard(name)
        elif page.action is TRIGGER:
            anew = page.reason in ANEW or name not in self.shown or name in self.called
            assert anew, "an endpoint calls nobody again for what it holds to be muted"
            self.shown.add(name)
            self.called.add(name)
        elif page.action is MUTE:
            self.called.discard(name)


@pytest.mark.parametrize("seed", range(300))
def test_whatever_happens_triggers_come_first_ends_last_and_nothing_is_lost(seed: int) -> None:
    """What the sink shows in the end is what the topic says, and whoever is to be called was."""
    life = Life(seed)
    for _ in range(80):
        life.chance.choice([life.happens, life.happens, life.attempt, life.attempt, life.time_passes])()
    life.over_with()
    still_open = {name for name, is_over in life.over.items() if not is_over}
    assert life.box.waiting() == []
    assert life.shown <= still_open
    assert life.called == still_open - set(life.muted)
    assert {name for name, _ in life.box.outbox.standings("one")} >= life.shown


def test_an_outbox_of_an_earlier_release_goes_on() -> None:
    """It knew of no reasons, of no beginnings and of nothing that is told with another."""
    box = Box()
    box.take(alert("opened"))
    for prefix, fields in ((b"i/", 3), (b"d/", 9)):
        (key,) = [key for key in box.disk.rows if key.startswith(prefix)]
        row = msgspec.msgpack.decode(open_sealed(box.disk.rows[key]))
        box.disk.rows[key] = seal(msgspec.msgpack.encode(row[:fields]))
    box.restart()
    box.take(alert("updated", kind="performance"))
    assert box.deliver().action is TRIGGER
    box.take(alert("updated", kind="performance"), alert("updated"))
    box.begin()
    assert box.page.first.kind == "performance"


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
