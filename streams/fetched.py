"""A consumer that hands over what was fetched as it lies there, in place of an object for each record.

aiokafka asks, checks and lets its position follow as ever. Only where it would unpack a record at a time, batches of
Kafka's are unpacked at once (``detectors.unpacking``), to what the engine reads (``detectors.pieces``). What is written
in an older format, or is not whole, is unpacked by aiokafka, so that it alone says what is wrong.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from struct import Struct
from typing import Any, NamedTuple

import aiokafka
import numpy as np
from aiokafka import TopicPartition
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.fetch import FetchRequest

from detectors.pieces import END, Piece
from detectors.unpacking import COUNT, Bytes, unpack
from schemas.records import RecordLike

# Of a batch: its offset, the length of what follows that; what the format is; attributes, the last record's offset in
# it, the time of the first record, the latest one; how many records there are.
_HEADER = Struct(">qi4xb4xhiqq8x2x4xi")
_LENGTH = Struct(">8xi")
_MAGIC_PLACE = 16
_FORMAT = 2
_CODEC, _APPENDED = 0x07, 0x08  # of the attributes
_RECORD_BYTES_MIN = 7
AT_ONCE_BYTES_MIN = 16 * 1024  # of what a broker sends of a partition; with less the calls cost more than they save
_DECODERS: Mapping[int, Callable[[bytes], bytes]] = {
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}


class Consumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc] # aiokafka is not typed for us
    """``getmany`` gives pieces, and single records where there are others; it must be asked for all that there is."""

    async def start(self) -> None:
        await super().start()
        unpack_what_comes(self._fetcher, self._client)


def unpack_what_comes(fetcher: Any, client: Any) -> None:
    """What brokers answer from now on is unpacked at once."""
    ask, send = fetcher._proc_fetch_request, client.send
    answers: dict[TopicPartition, tuple[bytes, Any]] = {}  # what came, and what was there before

    async def send_and_note(node_id: int, request: Any, **more: Any) -> Any:
        response = await send(node_id, request, **more)
        if isinstance(request, FetchRequest):
            for topic, partitions in response.topics:
                for number, *_, text in partitions:
                    tp = TopicPartition(topic, number)
                    answers[tp] = text, fetcher._records.get(tp)
        return response

    async def ask_and_unpack(*given: Any) -> bool:
        # Several brokers are asked at once, but nothing comes between an answer and what is made of it.
        try:
            is_new: bool = await ask(*given)
            for tp, (text, before) in answers.items():
                result = fetcher._records.get(tp)
                if len(text) >= AT_ONCE_BYTES_MIN and type(result) is FetchResult and result is not before:
                    _unpack_at_once(result._partition_records, text)
        finally:
            answers.clear()
        return is_new

    client.send, fetcher._proc_fetch_request = send_and_note, ask_and_unpack


def runs_of(fetched: Sequence[Piece | RecordLike]) -> list[Sequence[RecordLike]]:
    """Pieces, and records that came one by one."""
    runs = list[Any]()
    for found in fetched:
        if isinstance(found, Piece):
            runs.append(found)
        elif runs and isinstance(runs[-1], list):
            runs[-1].append(found)
        else:
            runs.append([found])
    return runs


def _unpack_at_once(records: Any, text: bytes) -> None:
    assert type(records) is PartitionRecords
    assert records._records.size_in_bytes() == len(text), "it was made of these bytes"
    assert records._isolation_level == READ_UNCOMMITTED, "or it must be looked who has broken off what"
    records._records_iterator = unpacked(records, text)


class _Section(NamedTuple):
    """A batch, and where its records lie: in what was fetched, or in a text of their own."""

    batch: Any
    own: bytes | None
    row: tuple[int, ...]

    @property
    def lies_apart(self) -> bool:
        return self.own is not None


def unpacked(records: Any, text: bytes) -> Iterator[Piece | RecordLike]:
    """What ``PartitionRecords`` would give of these bytes; its place follows as ever."""
    sections, wrong, at = list[_Section](), None, 0
    try:
        while records._records.has_next():
            batch = records._records.next_batch()
            start, at = at, at + _LENGTH.size + _LENGTH.unpack_from(text, at)[0]
            if records._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {records._tp}")
            sections.append(_section(batch, text, start, at))
    except Exception as error:  # it is said when its turn comes
        wrong = error
    for _, run in groupby(sections, key=attrgetter("lies_apart")):
        yield from _of_sections(records, text, list(run))
    if wrong is not None:
        raise wrong


def _section(batch: Any, text: bytes, start: int, end: int) -> _Section:
    """Nothing lies where it is not known how to read it."""
    if batch.is_control_batch:
        return _Section(batch, None, (0, 0, 0, batch.next_offset, 0, 0, 0))
    unknown = _Section(batch, None, (1, 0, 0, 0, 0, 0, 0))  # it ends before it begins
    if text[start + _MAGIC_PLACE] != _FORMAT or end - start < _HEADER.size:
        return unknown
    base, _, _, attributes, last, first_time, latest_time, count = _HEADER.unpack_from(text, start)
    codec, own, start = attributes & _CODEC, None, start + _HEADER.size
    if codec:
        try:
            own = _DECODERS[codec](text[start:end])
        except Exception:  # whatever a decoder says of what is broken: aiokafka says it again
            return unknown
        start, end = 0, len(own)
    if not 0 <= count <= (end - start) // _RECORD_BYTES_MIN:
        return unknown
    is_each = bool(attributes & _APPENDED)
    return _Section(
        batch, own, (start, end, base, base + last + 1, count, latest_time if is_each else first_time, is_each)
    )


def _of_sections(records: Any, text: bytes, sections: Sequence[_Section]) -> Iterator[Piece | RecordLike]:
    while sections:
        done, piece, following = _piece_of(records, text, sections)
        records.next_fetch_offset = following
        if len(piece):
            yield piece
        if done < len(sections):
            yield from _of_batch(records, sections[done].batch)
        sections = sections[done + 1 :]


def _piece_of(records: Any, text: bytes, sections: Sequence[_Section]) -> tuple[int, Piece, int]:
    """Of as many of them as can be read, from the first on."""
    batches = np.array([section.row for section in sections], dtype=np.int64)
    if sections[0].own is not None:
        own = [section.own or b"" for section in sections]
        text = b"".join(own)
        batches[:, :2] += np.cumsum([0, *map(len, own[:-1])])[:, None]
    count = int(batches[:, COUNT].sum())
    offsets, stamps = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    spans = np.empty((END + 1, count), dtype=np.int64)
    lying: Bytes = np.frombuffer(text, dtype=np.uint8)
    done, rows, following = unpack(lying, batches, records.next_fetch_offset, offsets, stamps, spans)
    topic, partition = records._tp
    return done, Piece(topic, partition, text, offsets[:rows], stamps[:rows], spans[:, :rows]), following


def _of_batch(records: Any, batch: Any) -> Iterator[RecordLike]:
    """As aiokafka takes one."""
    for record in batch:
        if record.offset < records.next_fetch_offset:
            continue
        told = records._consumer_record(records._tp, record)
        records.next_fetch_offset = record.offset + 1
        yield told
    records.next_fetch_offset = batch.next_offset
