"""What is unpacked at once is what aiokafka unpacks record by record, whatever the bytes are."""

import asyncio
import struct
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from detectors.pieces import Merged, Piece, one_piece, trimmed
from streams import fetched
from streams.fetched import AT_ONCE_BYTES_MIN, runs_of, unpack_what_comes, unpacked

TP = TopicPartition("predictions", 3)
START = 1_000  # milliseconds
GZIP = 1


def batch_of(base: int, rows: Sequence[tuple[Any, ...]], *, codec: int = 0, appended: bool = False) -> bytearray:
    """``rows``: what is added to the offset, the time, key, value, headers."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for row in rows:
        assert builder.append(*row) is not None
    batch = bytearray(builder.build())
    struct.pack_into(">q", batch, 0, base)
    if appended:
        batch[22] |= 8
        struct.pack_into(">q", batch, 35, START + 77)
    return sealed(batch)


def sealed(batch: bytearray) -> bytearray:
    struct.pack_into(">I", batch, 17, calc_crc32c(bytes(batch[21:])))
    return batch


def plain(count: int, draw: Random) -> list[tuple[Any, ...]]:
    """Offsets have gaps, times go back, all that may be null is null at times."""
    rows, offset = [], 0
    for _ in range(count):
        key = draw.choice((None, b"", b"churn", b"fraud", draw.randbytes(draw.choice((1, 70, 9_000)))))
        value = draw.choice((None, b"", b"{}", draw.randbytes(draw.choice((3, 63, 64, 300, 20_000)))))
        headers = draw.choice(([], [], [("id", b"x")], [("a", None), ("", b""), ("b" * 200, draw.randbytes(100))]))
        rows.append((offset, START + draw.randint(-500, 500), key, value, headers))
        offset += draw.choice((1, 1, 1, 3, 200))
    return rows


def both(text: bytes, first: int = 0, *, checked: bool = True) -> tuple[Any, Any]:
    """What comes of it one by one, and at once: records, or why there are none, and where reading goes on."""

    def told(at_once: bool) -> Any:
        records = PartitionRecords(TP, MemoryRecords(text), [], first, None, None, checked, READ_UNCOMMITTED)
        if at_once:
            records._records_iterator = unpacked(records, text)
        found, error = list[Any](), None
        try:
            found.extend(records)
        except Exception as raised:
            error = type(raised), str(raised)
        rows = [row for run in runs_of(found) for row in run]
        names = "topic", "partition", "offset", "timestamp", "key", "value", "headers"
        return [tuple(getattr(row, name) for name in names) for row in rows], error, records.next_fetch_offset

    return told(False), told(True)


@pytest.mark.parametrize("seed", range(30))
def test_whole_batches(seed: int) -> None:
    draw, base, text = Random(seed), 40, bytearray()
    for _ in range(draw.randint(1, 6)):
        rows = plain(draw.randint(1, 12), draw)
        text += batch_of(base, rows, codec=draw.randrange(5), appended=draw.random() < 0.3)
        base += rows[-1][0] + draw.choice((1, 1, 5))
    theirs, ours = both(bytes(text), draw.choice((0, 41, 45, base - 1, base + 10)))
    assert theirs == ours
    assert ours[1] is None
    cut = bytes(text[: draw.randrange(len(text))])  # as a broker does with the last one
    assert both(cut)[0] == both(cut)[1]


def test_control_batches_older_formats_and_what_is_empty() -> None:
    draw = Random(1)
    control, empty = batch_of(9, plain(1, draw)), batch_of(30, plain(3, draw))
    control[22] |= 0x20
    empty = empty[:61]  # all was compacted away
    struct.pack_into(">i", empty, 8, 61 - 12)
    struct.pack_into(">i", empty, 57, 0)
    texts = [bytes(batch_of(0, plain(4, draw))), bytes(sealed(control)), bytes(sealed(empty))]
    for magic, codec in ((0, 0), (1, 0), (1, 1)):
        builder = LegacyRecordBatchBuilder(magic=magic, compression_type=codec, batch_size=10_000)
        for offset in range(3):
            builder.append(50 + offset, timestamp=START, key=b"k", value=b"v")
        texts.append(bytes(builder.build()))
    for seed in range(30):
        Random(seed).shuffle(texts)
        theirs, ours = both(b"".join(texts))
        assert theirs == ours
    theirs, ours = both(bytes(sealed(control)))
    assert theirs == ours == ([], None, Random and control[7] + struct.unpack_from(">i", control, 23)[0] + 1)


def test_each_byte_of_a_batch_may_be_any_other() -> None:
    whole = batch_of(5, [(0, START, b"churn", b"{}", []), (1, START + 1, None, b"x" * 70, [("id", b"1"), ("b", None)])])
    after = bytes(batch_of(9, plain(2, Random(2))))
    seen = set()
    for place in [*range(12, 16), *range(21, len(whole))]:
        if place == 12 + 4:
            continue
        for value in (0, 1, 2, 3, 0x20, 0x7F, 0x80, 0xC3, 0xFE, 0xFF, whole[place] ^ 2, whole[place] ^ 0x40):
            other = bytearray(whole)
            other[place] = value
            theirs, ours = both(bytes(sealed(other)) + after)
            assert (theirs[1], theirs[2]) == (ours[1], ours[2]), (place, value)
            assert theirs[0] == ours[0], (place, value)
            seen.add(theirs[1] and theirs[1][0].__name__)
    assert {None, "CorruptRecordException"} <= seen


def test_a_checksum_that_is_wrong_is_said_after_what_comes_before_it() -> None:
    good, bad = bytes(batch_of(0, plain(3, Random(3)))), batch_of(600, plain(3, Random(4)))
    bad[-1] ^= 1
    theirs, ours = both(good + bytes(bad) + good)
    assert theirs == ours
    assert ours[1][0].__name__ == "CorruptRecordException"
    assert both(good + bytes(bad), checked=False)[0] == both(good + bytes(bad), checked=False)[1]


def test_pieces_can_be_cut_and_put_together() -> None:
    text = bytes(batch_of(0, plain(40, Random(5))))
    records = PartitionRecords(TP, MemoryRecords(text), [], 0, None, None, True, READ_UNCOMMITTED)
    (piece,) = unpacked(records, text)
    assert isinstance(piece, Piece)
    rows = list(piece)
    parts = [piece[:3], piece[3:4], piece[4:29], piece[29:]]
    assert [row for part in parts for row in part] == rows
    whole = one_piece(parts[1:3])
    assert list(whole) == rows[3:29]
    assert len(whole.text) < len(text)
    assert {key: whole.at(own) for key, own in whole.by_key(1)} == {
        key: [row for row in rows[3:29] if row.key == key] for key in {row.key for row in rows[3:29]} - {None}
    }
    assert whole[2] == rows[5]


def test_what_is_merged_is_told_in_its_order() -> None:
    text = bytes(batch_of(0, plain(6, Random(6))))
    records = PartitionRecords(TP, MemoryRecords(text), [], 0, None, None, True, READ_UNCOMMITTED)
    (piece,) = unpacked(records, text)
    rows, others = list(piece), list("abc")
    merged = Merged([(np.array([0, 1, 4, 5, 7, 8]), piece), (np.array([2, 3, 6]), others)])
    told = [*rows[:2], "a", "b", *rows[2:4], "c", *rows[4:]]
    assert list(merged) == told == [merged[place] for place in range(9)]
    assert (merged[-1], merged[3:6]) == (told[-1], told[3:6])


class Brokers:
    """Two that are asked at once, each of which answers when it is told to; and what aiokafka makes of an answer."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.may_answer = [asyncio.Event() for _ in texts]
        self._texts = texts
        self._records: dict[TopicPartition, Any] = {}
        self.client = SimpleNamespace(send=self._answer)

    async def _answer(self, number: int, _: Any) -> Any:
        await self.may_answer[number].wait()
        return SimpleNamespace(topics=[("predictions", [(number, 0, self._texts[number])])])

    async def _proc_fetch_request(self, assignment: Any, number: int, request: Any) -> bool:
        await self.client.send(number, request)
        tp, records = TopicPartition("predictions", number), MemoryRecords(self._texts[number])
        made = PartitionRecords(tp, records, [], 0, None, None, True, READ_UNCOMMITTED)
        self._records[tp] = FetchResult(tp, assignment=assignment, partition_records=made, backoff=0)
        return True

    def read(self, number: int) -> list[int]:
        """The offsets of what is read next."""
        given = self._records[TopicPartition("predictions", number)]._partition_records
        return [record.offset for record in next(given)]


async def test_what_a_broker_has_sent_is_unpacked_once_whatever_others_send_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetched, "AT_ONCE_BYTES_MIN", 0)
    rows: list[tuple[Any, ...]] = [(number, START, b"churn", b"{}", []) for number in range(3)]
    lying, packed = batch_of(0, rows), batch_of(3, rows, codec=GZIP)
    brokers = Brokers([bytes(lying + packed), bytes(lying)])  # the first is read in two steps
    unpack_what_comes(brokers, brokers.client)
    request = FetchRequest.__new__(FetchRequest)
    asked = [asyncio.create_task(brokers._proc_fetch_request(None, number, request)) for number in range(2)]
    brokers.may_answer[0].set()
    assert await asked[0]
    assert brokers.read(0) == [0, 1, 2]
    brokers.may_answer[1].set()
    assert await asked[1]
    assert brokers.read(0) == [3, 4, 5]
    assert brokers.read(1) == [0, 1, 2]


@pytest.mark.parametrize(("value", "kind"), [(b"{}", ConsumerRecord), (b"{}" * AT_ONCE_BYTES_MIN, Piece)])
async def test_what_is_little_comes_record_by_record(value: bytes, kind: type) -> None:
    brokers = Brokers([bytes(batch_of(0, [(0, START, b"churn", value, [])]))])
    unpack_what_comes(brokers, brokers.client)
    brokers.may_answer[0].set()
    assert await brokers._proc_fetch_request(None, 0, FetchRequest.__new__(FetchRequest))
    assert type(next(brokers._records[TopicPartition("predictions", 0)]._partition_records)) is kind


def test_of_a_piece_of_which_little_is_left_no_more_is_held() -> None:
    rows: list[tuple[Any, ...]] = [(number, START + number, b"churn", b"x" * 100, []) for number in range(1_000)]
    text = bytes(batch_of(0, rows))
    records = PartitionRecords(TP, MemoryRecords(text), [], 0, None, None, True, READ_UNCOMMITTED)
    (whole,) = list(unpacked(records, text))
    assert isinstance(whole, Piece)
    most, few = trimmed(whole[100:]), trimmed(whole[990:])
    assert most.text is whole.text
    assert len(few.text) < 2_000
    assert few.offsets.base is None
    assert list(few) == list(whole)[990:]
