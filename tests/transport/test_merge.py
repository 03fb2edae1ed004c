"""The merge against the plainest possible oracle: sort everything there is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Record
from streams.merge import Cut, Merge, OrderError, Reached
from tests.detectors.lying import piece_of

TOPICS = ("control", "predictions", "outcomes")
START = dict.fromkeys(TOPICS, 0)


def record(topic: str, offset: int, timestamp: int) -> Record:
    return Record(topic, 0, offset, timestamp, None, None)


def log(topic: str, timestamps: list[int]) -> list[Record]:
    return [record(topic, offset, timestamp) for offset, timestamp in enumerate(timestamps)]


def merge_from(**positions: int) -> Merge:
    return Merge(TOPICS, {**START, **positions}, grace_s=1)


def names(records) -> list[tuple[str, int]]:
    return [(r.topic, r.offset) for r in records]


def as_it_came(records: list[Record], chance: random.Random):
    """Records, or as they lie."""
    return piece_of(records) if records and chance.random() < 0.7 else records


def in_order(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (r.timestamp, TOPICS.index(r.topic), r.offset))


def test_a_side_that_never_showed_its_end_holds_the_others_back():
    merge = merge_from()
    merge.offer("predictions", log("predictions", [1, 2]), now=0)
    assert merge.take(10) is None


def test_sides_that_were_read_to_their_end_let_the_others_pass():
    merge = merge_from()
    merge.offer("predictions", log("predictions", [1, 2]), now=0)
    question = merge.question(now=1)
    assert question is not None
    assert question.topics == ("control", "outcomes")
    assert merge.answer(question, {"control": 0, "outcomes": 0}) == ()
    run = merge.take(10)
    assert run is not None
    assert names(run.records) == [("predictions", 0), ("predictions", 1)]
    assert run.positions == {"control": 0, "predictions": 2, "outcomes": 0}


def test_an_answer_vouches_only_for_what_was_held_when_it_was_asked():
    merge = merge_from()
    merge.offer("predictions", [record("predictions", 0, 1)], now=0)
    question = merge.question(now=1)
    merge.offer("predictions", [record("predictions", 1, 5)], now=0)
    merge.answer(question, {"control": 0, "outcomes": 0})
    run = merge.take(10)
    assert names(run.records) == [("predictions", 0)]
    assert merge.take(10) is None


def test_an_answer_does_not_vouch_for_what_arrived_within_the_grace():
    merge = merge_from()
    merge.offer("outcomes", [record("outcomes", 0, 7)], now=7)
    assert merge.waits
    assert merge.question(now=7.5) is None
    assert merge.question(now=8) is not None


def test_records_that_are_on_the_topic_but_not_read_yet_still_hold_the_others_back():
    merge = merge_from()
    merge.offer("predictions", [record("predictions", 0, 9)], now=0)
    assert merge.answer(merge.question(now=1), {"control": 0, "outcomes": 1}) == ("outcomes",)
    assert merge.take(10) is None
    merge.offer("outcomes", [record("outcomes", 0, 3)], now=1)
    merge.answer(merge.question(now=2), {"control": 0})
    assert names(merge.take(1).records) == [("outcomes", 0)]


def test_markers_at_the_end_of_a_topic_do_not_hold_the_others_back_for_ever():
    merge = merge_from()
    merge.offer("predictions", [record("predictions", 0, 9)], now=0)
    merge.advance("outcomes", 1)
    assert merge.answer(merge.question(now=1), {"control": 0, "outcomes": 1}) == ()
    assert merge.take(10).positions == {"control": 0, "predictions": 1, "outcomes": 1}


def test_of_equal_times_the_lower_rank_goes_first():
    merge = merge_from()
    for topic in reversed(TOPICS):
        merge.offer(topic, [record(topic, 0, 7)], now=0)
    assert names(merge.take(1).records) == [("control", 0)]
    merge.offer("control", [record("control", 1, 8)], now=0)
    assert names(merge.take(1).records) == [("predictions", 0)]


def test_an_append_time_that_went_back_keeps_the_order_of_the_offsets():
    merge = merge_from()
    merge.offer("control", [record("control", 0, 100)], now=0)
    merge.offer("predictions", log("predictions", [10, 4, 12]), now=0)
    merge.offer("outcomes", [record("outcomes", 0, 11)], now=0)
    assert names(merge.take(3).records) == [("predictions", 0), ("predictions", 1), ("outcomes", 0)]


def test_what_was_read_before_is_refused():
    merge = merge_from(predictions=5)
    with pytest.raises(OrderError, match=r"predictions\[0\]: offset 4 came after 4"):
        merge.offer("predictions", [record("predictions", 4, 1)], now=0)


class Broker:
    """Three logs of one clock, read in any pieces: what a worker sees of a broker."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.clock = chance, 0
        self.logs: dict[str, list[Record]] = {topic: [] for topic in TOPICS}

    def append(self) -> None:
        self.clock += self.chance.choice((0, 0, 1, 3))
        topic = self.chance.choice(TOPICS)
        self.logs[topic].append(record(topic, len(self.logs[topic]), self.clock))

    def ends(self) -> dict[str, int]:
        return {topic: len(records) for topic, records in self.logs.items()}


@given(seed=st.integers(0, 2**32), appends=st.integers(0, 200), most=st.integers(1, 7), restarts=st.booleans())
def test_any_interleaving_of_appends_reads_questions_and_restarts_gives_the_sorted_order(seed, appends, most, restarts):
    chance = random.Random(seed)
    broker, merge = Broker(chance), merge_from()
    applied: list[Record] = []
    positions = dict(START)
    left, pending = appends, None
    for _ in range(appends * 20 + 40):
        step = chance.randrange(6 if restarts else 5)
        if step == 0 and left:
            broker.append()
            left -= 1
        elif step == 1:
            topic = chance.choice(TOPICS)
            start = merge.position(topic)
            came = broker.logs[topic][start : start + chance.randrange(1, 9)]
            merge.offer(topic, as_it_came(came, chance), broker.clock)
        elif step == 2:
            question = merge.question(broker.clock)
            pending = (question, broker.ends()) if question else None
        elif step == 3 and pending:
            merge.answer(*pending)
            pending = None
        elif step == 4:
            run = merge.take(most)
            if run is not None:
                applied += run.records
                positions = run.positions
        elif step == 5 and chance.random() < 0.05:
            merge, pending = merge_from(**positions), None
    while left:
        broker.append()
        left -= 1
    for topic in TOPICS:
        merge.offer(topic, broker.logs[topic][merge.position(topic) :], broker.clock)
    end = broker.clock + 1
    while (question := merge.question(end)) is not None or any(merge.held(topic) for topic in TOPICS):
        if question is not None:
            merge.answer(question, broker.ends())
        run = merge.take(most)
        assert run is not None
        applied += run.records
    everything = [entry for entries in broker.logs.values() for entry in entries]
    assert names(applied) == names(in_order(everything))


class LateBroker(Broker):
    """What is appended can be seen only when the replicas have it: each topic's when it likes, with times as appended.

    Now and then a clock steps back.
    """

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self.clock = 10_000
        self.visible = dict(START)

    def append(self) -> None:
        if self.chance.random() < 0.05:
            self.clock -= self.chance.randrange(20)
        super().append()

    def show(self) -> None:
        topic = self.chance.choice(TOPICS)
        self.visible[topic] = self.chance.randint(self.visible[topic], len(self.logs[topic]))

    def show_all(self) -> None:
        self.visible = {topic: len(records) for topic, records in self.logs.items()}

    def ends(self) -> dict[str, int]:
        return dict(self.visible)

    def read(self, topic: str, start: int, most: int = 1_000) -> list[Record]:
        return self.logs[topic][start : min(self.visible[topic], start + most)]


class Life:
    """A worker's way through the topics: what it applied, the cuts, and where it would go on."""

    def __init__(self, chance: random.Random, broker: LateBroker, most: int) -> None:
        self.chance, self.broker, self.most = chance, broker, most
        self.applied: list[Record] = []
        self.cuts: list[Cut] = []
        self.begin(START, None, [])

    def begin(self, positions: dict[str, int], reached: Reached | None, cuts: list[dict[str, int]]) -> None:
        self.positions, self.reached = positions, reached
        self.merge = Merge(TOPICS, positions, 0, reached=reached, cuts=cuts)
        self.asked = None

    def start_again(self) -> None:
        self.begin(self.positions, self.reached, [])

    def step(self) -> None:
        chance, merge = self.chance, self.merge
        what = chance.randrange(4)
        if what == 0:
            topic = chance.choice(TOPICS)
            came = self.broker.read(topic, merge.position(topic), chance.randrange(1, 9))
            merge.offer(topic, as_it_came(came, chance), 0)
        elif what == 1 and (question := merge.question(0)) is not None:
            self.asked = question, self.broker.ends()
        elif what == 2 and self.asked is not None:
            merge.answer(*self.asked)
            self.asked = None
        elif what == 3 and (run := merge.take(self.most)) is not None:
            self.applied += run.records
            self.positions, self.reached = run.positions, run.reached
            if run.cut is not None:
                self.cuts.append(run.cut)

    def finish(self) -> "Life":
        self.broker.show_all()
        while any(self.positions[topic] < end for topic, end in self.broker.ends().items()):
            self.step()
        return self


@given(seed=st.integers(0, 2**32), appends=st.integers(1, 100), most=st.integers(1, 7))
def test_the_topics_and_the_cuts_give_the_order_again_however_late_appends_were_to_be_seen(seed, appends, most):
    chance = random.Random(seed)
    broker = LateBroker(chance)
    life = Life(chance, broker, most)
    then = None
    for _ in range(appends):
        broker.append()
        for _ in range(chance.randrange(12)):
            if chance.random() < 0.1:
                broker.show()
            if chance.random() < 0.02:
                life.start_again()
            life.step()
        if then is None and chance.random() < 0.03:  # a checkpoint
            then = len(life.applied), life.positions, life.reached
    life.finish()
    cuts = [cut.positions for cut in life.cuts]

    replayed = Life(chance, broker, chance.randrange(1, 50))
    replayed.begin(START, None, cuts)
    assert names(replayed.finish().applied) == names(life.applied)
    assert replayed.cuts == life.cuts

    count, positions, reached = then or (0, START, None)
    rebuilt = Life(chance, broker, most)
    rebuilt.begin(positions, reached, cuts)
    assert names(rebuilt.finish().applied) == names(life.applied[count:])
    assert rebuilt.cuts == [cut for cut in life.cuts if sum(cut.positions.values()) >= count]


def test_a_record_that_is_seen_after_a_later_one_was_released_is_a_cut():
    merge = merge_from()
    merge.offer("outcomes", log("outcomes", [7, 8]), now=0)
    merge.answer(merge.question(now=1), {"control": 0, "predictions": 0})
    before = merge.take(10)
    assert (before.cut, before.reached) == (None, Reached(8, 2))
    late = record("predictions", 0, 3)
    merge.offer("predictions", [late], now=1)
    merge.answer(merge.question(now=2), {"control": 0, "outcomes": 2})
    run = merge.take(10)
    assert run.cut == Cut({"control": 0, "predictions": 0, "outcomes": 2}, Reached(8, 2), late)
    assert (names(run.records), run.reached) == ([("predictions", 0)], Reached(3, 1))


def test_a_cut_is_kept_to_without_evidence_because_what_lies_below_it_is_known():
    cut = {"control": 0, "predictions": 0, "outcomes": 2}
    merge = Merge(TOPICS, START, grace_s=1, cuts=[cut])
    merge.offer("predictions", log("predictions", [3]), now=0)
    merge.offer("outcomes", log("outcomes", [7, 8]), now=0)
    run = merge.take(10)
    assert (names(run.records), run.cut) == ([("outcomes", 0), ("outcomes", 1)], None)
    merge.answer(merge.question(now=1), {"control": 0, "outcomes": 2})
    run = merge.take(10)
    assert (names(run.records), run.cut.positions) == ([("predictions", 0)], cut)
