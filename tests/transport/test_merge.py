"""The merge against the plainest possible oracle: sort everything there is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Record
from streams.merge import Merge, OrderError

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
            merge.offer(topic, broker.logs[topic][start : start + chance.randrange(1, 9)], broker.clock)
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
