"""Records that retention took: where reading goes on, what is said of them. A real broker, real deletions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from faust.types import TP

from schemas.codec import decode_output
from schemas.events import EVERY_MODEL, Alert, AlertEvent, Kind, Severity
from schemas.topics import Stream
from streams.identity import Identity
from streams.offsets import Offsets
from streams.places import Places
from streams.reading import DataGapError

pytestmark = pytest.mark.broker

NOW_MS = 1_760_000_000_000
T = TypeVar("T")


class Log:
    """Two topics of one partition, one of them with records."""

    def __init__(self, bootstrap: str) -> None:
        prefix = uuid4().hex[:8]
        self.full, self.empty = f"{prefix}.full", f"{prefix}.empty"
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        self.make(self.full, self.empty)

    def make(self, *names: str) -> None:
        for future in self._admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
            future.result(20)

    def remove(self, name: str) -> None:
        self._admin.delete_topics([name])[name].result(20)

    def write(self, records: int) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for number in range(records):
            producer.produce(self.full, b"%d" % number, partition=0, timestamp=NOW_MS + number)
        assert producer.flush(20) == 0

    def delete_before(self, offset: int) -> None:
        place = TopicPartition(self.full, 0, offset)
        self._admin.delete_records([place])[place].result(20)

    def ask(self, question: Callable[[Places], Awaitable[T]]) -> T:
        async def run() -> T:
            async with Offsets({"bootstrap_servers": self.bootstrap}) as offsets:
                return await question(Places(offsets, [self.full, self.empty], clock=lambda: NOW_MS / 1000))

        return asyncio.run(run())

    @property
    def sides(self) -> set[TP]:
        return {TP(self.full, 0), TP(self.empty, 0)}


@pytest.fixture
def log(bootstrap: str) -> Log:
    return Log(bootstrap)


def told(places: Places, positions: dict[str, int]) -> list[Alert]:
    alerts = [decode_output(jump.effect.value) for jump in places.done(0, positions)]
    return [alert for alert in alerts if isinstance(alert, Alert)]


async def began(places: Places, log: Log, known: dict[str, int]) -> tuple[dict[TP, int], list[Alert]]:
    seeks = await places.begin(log.sides, {0: known}, {})
    return seeks, told(places, {tp.topic: place for tp, place in seeks.items()})


def test_what_retention_took_is_passed_and_told_as_a_critical_alert_with_the_exact_range(log: Log):
    log.write(50)
    log.delete_before(30)
    seeks, alerts = log.ask(lambda places: began(places, log, {log.full: 12, log.empty: 0}))
    assert seeks == {TP(log.full, 0): 30, TP(log.empty, 0): 0}
    (alert,) = alerts
    assert (alert.kind, alert.severity, alert.event) == (Kind.SYSTEM, Severity.CRITICAL, AlertEvent.OPENED)
    assert alert.evidence.detail == {"cause": "retention", f"{log.full}.from": 12, f"{log.full}.to": 29}
    assert (alert.model, alert.evidence.n, alert.position.offset, alert.ts) == (EVERY_MODEL, 18, 30, NOW_MS + 30)
    assert f"{log.full} 12 to 29" in alert.summary


def test_the_same_hole_has_the_same_alert_whoever_finds_it_and_another_hole_another(log: Log):
    log.write(50)
    log.delete_before(30)
    found = [log.ask(lambda places, k=known: began(places, log, {log.full: k}))[1] for known in (12, 12, 13)]
    assert found[0] == found[1]
    assert found[0][0].id != found[2][0].id


def test_a_place_that_is_left_is_gone_on_from_with_nothing_to_tell(log: Log):
    log.write(50)
    log.delete_before(30)
    seeks, alerts = log.ask(lambda places: began(places, log, {log.full: 30, log.empty: 0}))
    assert (seeks[TP(log.full, 0)], alerts) == (30, [])


def test_a_start_without_state_says_how_far_back_it_sees(log: Log):
    log.write(50)
    log.delete_before(30)
    _, (alert,) = log.ask(lambda places: began(places, log, {}))
    assert (alert.severity, alert.evidence.detail[f"{log.full}.to"]) == (Severity.WARNING, 29)
    assert "sees back to 2025-10-09T08:53:20+00:00 only" in alert.summary


def test_a_start_without_state_on_whole_topics_has_nothing_to_tell(log: Log):
    log.write(5)
    assert log.ask(lambda places: began(places, log, {}))[1] == []


def test_a_topic_that_was_emptied_is_passed_to_its_end(log: Log):
    log.write(50)
    log.delete_before(50)
    seeks, (alert,) = log.ask(lambda places: began(places, log, {log.full: 12, log.empty: 0}))
    assert (seeks[TP(log.full, 0)], alert.evidence.n, alert.ts) == (50, 38, NOW_MS)


def test_a_jump_met_while_reading_is_told_when_what_lies_before_it_is_applied(log: Log):
    log.write(50)
    log.delete_before(30)

    async def read(places: Places) -> list[list[Alert]]:
        await places.passed(TP(log.full, 0), 12, 30)
        return [told(places, {log.full: place, log.empty: 0}) for place in (12, 30, 31)]

    before, at, after = log.ask(read)
    assert [len(before), len(at), len(after)] == [0, 1, 0]
    assert at[0].evidence.detail[f"{log.full}.from"] == 12


def test_a_hole_that_markers_or_compaction_left_is_not_told(log: Log):
    log.write(50)

    async def read(places: Places) -> list[Alert]:
        await places.passed(TP(log.full, 0), 12, 14)
        return told(places, {log.full: 14, log.empty: 0})

    assert log.ask(read) == []


def test_a_topic_that_was_made_anew_is_refused_though_it_has_grown_past_the_place(log: Log):
    log.write(5)

    async def read(places: Places) -> None:
        await places.begin(log.sides, {0: {log.full: 5, log.empty: 0}}, {})
        await asyncio.to_thread(log.remove, log.full)
        await asyncio.to_thread(log.make, log.full)
        await asyncio.to_thread(log.write, 9)
        await places.check_topics()

    with pytest.raises(DataGapError, match=f"{log.full}: its id was .* not the topic that the state was made from"):
        log.ask(read)


def test_a_state_that_was_made_from_another_topic_of_the_name_is_refused(log: Log):
    log.write(5)

    async def read(places: Places) -> None:
        seeks = await places.begin(log.sides, {0: {log.full: 3}}, {0: dict(places.topics)})
        assert seeks[TP(log.full, 0)] == 3
        await places.begin(log.sides, {0: {log.full: 3}}, {0: dict(places.topics)})
        await places.begin(log.sides, {0: {log.full: 3}}, {0: {log.full: Identity("another", 1)}})

    with pytest.raises(DataGapError, match=f"{log.full}: its id was another and is .*: this is not the topic"):
        log.ask(read)


def test_a_state_that_was_made_from_fewer_partitions_is_refused(log: Log):
    log.write(5)

    async def read(places: Places) -> None:
        await places.check_topics()
        fewer = places.topics[log.full]._replace(partitions=0)
        await places.begin(log.sides, {0: {log.full: 3}}, {0: {log.full: fewer}})

    with pytest.raises(DataGapError, match=f"{log.full}: had 0 partitions and has 1: models lie on other partitions"):
        log.ask(read)


def test_an_output_topic_that_was_made_anew_is_no_hindrance_at_a_start(log: Log):
    async def read(offsets: Offsets) -> None:
        places = Places(offsets, [log.full], [log.empty])
        await places.begin({TP(log.full, 0)}, {0: {}}, {0: {log.empty: Identity("another", 1)}})

    async def run() -> None:
        async with Offsets({"bootstrap_servers": log.bootstrap}) as offsets:
            await read(offsets)

    asyncio.run(run())


def test_an_alert_goes_to_the_alerts_without_a_key(log: Log):
    log.write(50)
    log.delete_before(30)

    async def effect(places: Places) -> tuple[Stream, bytes | None]:
        await places.begin(log.sides, {0: {log.full: 12}}, {})
        (jump,) = places.done(0, {log.full: 30, log.empty: 0})
        return jump.effect.stream, jump.effect.key

    assert log.ask(effect) == (Stream.ALERTS, None)
