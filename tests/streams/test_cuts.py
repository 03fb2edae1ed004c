"""What is told of cuts, and read again."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

from detectors.effects import Effect
from schemas.codec import decode_output
from schemas.events import EVERY_MODEL, Kind, Signal
from schemas.records import Record
from schemas.topics import Stream
from streams.cuts import positions_of, read_cuts, told, within
from streams.merge import Cut, Reached

INPUTS = ("control", "predictions")
POSITIONS = {"control": 3, "predictions": 40}
LATE = Record("predictions", 2, 40, 1_760_000_000_000, None, b"")
CUT = Cut(POSITIONS, Reached(1_760_000_000_250, 0), LATE)


class Signals:
    """Stands for ``Offsets`` over a signals topic."""

    def __init__(self, *pieces: Sequence[Record]) -> None:
        self.pieces = pieces
        self.asked: Mapping[TopicPartition, int | None] = {}

    async def read(self, start: Mapping[TopicPartition, int | None]) -> AsyncIterator[Sequence[Record]]:
        self.asked = start
        for piece in self.pieces:
            yield piece


def message(value: bytes | None, key: bytes | None = None, partition: int = 2) -> Record:
    return Record("signals", partition, 0, 0, key, value)


def of(positions: Mapping[str, int], partition: int = 2) -> Record:
    return message(told(partition, CUT._replace(positions=positions)).value, partition=partition)


def cuts_in(*pieces: Sequence[Record], **options: Any) -> dict[int, list[Mapping[str, int]]]:
    return asyncio.run(read_cuts(Signals(*pieces), "signals", {2: 7}, INPUTS, **options))  # type: ignore[arg-type]


def test_a_cut_is_a_system_signal_that_says_how_late_which_record_came_and_where_the_order_is_cut():
    effect = told(2, CUT)
    signal = decode_output(effect.value)
    assert isinstance(signal, Signal)
    assert (effect.stream, effect.key, effect.id) == (Stream.SIGNALS, None, signal.id)
    assert (signal.model, signal.kind, signal.evidence.value) == (EVERY_MODEL, Kind.SYSTEM, 250.0)
    assert (signal.position.topic, signal.position.partition, signal.position.offset) == ("predictions", 2, 40)
    assert positions_of(message(effect.value)) == POSITIONS


def test_the_same_record_late_again_is_the_same_event_and_another_one_another():
    ids = [told(2, CUT).id, told(2, CUT).id, told(1, CUT).id, told(2, CUT._replace(late=LATE._replace(offset=41))).id]
    assert len(set(ids)) == 3


def test_a_producers_time_beyond_all_sense_is_told_as_the_nearest_that_has_some():
    effect: Effect = told(2, CUT._replace(reached=Reached(2**62, 0)))
    assert isinstance(decode_output(effect.value), Signal)


def test_other_signals_and_foreign_records_are_no_cuts():
    cut = told(2, CUT).value
    deep = (cut or b"")[:-1] + b',"later":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    others = [message(None), message(b"{"), message(b"{}"), message(cut, key=b"amber"), message(deep)]
    assert [positions_of(other) for other in others] == [None] * 5


def test_cuts_are_read_by_partition_number_in_their_order_however_often_they_were_told():
    first, second = {"control": 1, "predictions": 9}, {"control": 1, "predictions": 12}
    found = cuts_in([of(first), of(second)], [of(POSITIONS, 1), of(first)])
    assert found == {2: [first, first, second], 1: [POSITIONS]}


def test_cuts_of_other_inputs_are_left_out():
    assert cuts_in([of({"control": 1, "others": 9})]) == {}


def test_reading_ends_where_nobody_waits_for_it_any_more():
    assert cuts_in([of(POSITIONS)], [of(POSITIONS)], goes_on=lambda: False) == {2: [POSITIONS]}


def test_a_cut_beyond_the_end_of_a_topic_is_not_waited_for():
    ends = {TopicPartition("control", 2): 3, TopicPartition("predictions", 2): 40}
    beyond = {"control": 4, "predictions": 40}
    assert within([POSITIONS, beyond], 2, ends) == [POSITIONS]
