"""The traffic that latencies are measured with: what it holds, when it breaks, and that it is on time or says so."""

from collections.abc import Iterator, Mapping

import pytest

from detectors.config import ModelConfig, MonitorConfig
from detectors.engine import Engine
from load.breaks import BASELINE_ROWS, BREAKING_ONE_IN, REHEARSED, TURN_S, Event, Plan, Traffic, number_of, on_time
from schemas.codec import Decoder, decode_output
from schemas.events import Alert, AlertEvent, Outcome, Prediction
from schemas.records import Record
from schemas.topics import Stream, TopicNames

PLAN = Plan(per_second=480, models=REHEARSED + 8, alarms=4, seconds=2, seed=1)
TOPICS = {stream: name for name, stream in TopicNames().inputs.items()}
STARTS_S = 1_760_000_000.0
BATCH = 1_000


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(PLAN)


def events_of(traffic: Traffic, numbers: range) -> Iterator[Event]:
    for number in numbers:
        yield from traffic.events(number, STARTS_S + number * PLAN.slot_s)


def records_of(traffic: Traffic) -> list[Record]:
    records, ends = [], dict.fromkeys(TOPICS, 0)
    for number in range(PLAN.steady.stop):
        due_s = STARTS_S + number * PLAN.slot_s
        for stream, model, value in traffic.events(number, due_s):
            records.append(Record(TOPICS[stream], 0, ends[stream], int(due_s * 1000), model.encode(), value))
            ends[stream] += 1
    return records


def test_every_event_keeps_the_contract_and_every_outcome_has_its_prediction(traffic: Traffic) -> None:
    decoder, asked = Decoder(), set()
    for offset, event in enumerate(events_of(traffic, range(PLAN.steady.start, PLAN.steady.start + 2_000))):
        decoded = decoder.decode(event.stream, Record("t", 0, offset, 0, event.model.encode(), event.value))
        if isinstance(decoded, Prediction):
            asked.add((decoded.model, decoded.id))
        else:
            assert isinstance(decoded, Outcome)
            first = number_of(decoded.id) < PLAN.steady.start
            assert first or (decoded.model, decoded.id) in asked
    assert len(asked) == 2_000
    assert decoder.unknown_fields == 0


def test_a_seed_gives_the_same_bytes_and_another_seed_others(traffic: Traffic) -> None:
    some = range(1_000)
    assert list(events_of(traffic, some)) == list(events_of(Traffic(PLAN), some))
    assert list(events_of(traffic, some)) != list(events_of(Traffic(PLAN._replace(seed=2)), some))


def test_every_break_is_found_within_some_records_of_it_and_nothing_else_is(traffic: Traffic) -> None:
    config = MonitorConfig(defaults=ModelConfig(baseline_rows=BASELINE_ROWS))
    engine, records = Engine(0, config, TopicNames()), records_of(traffic)
    values = {(record.topic, record.offset): record.value for record in records}
    every = BREAKING_ONE_IN * len(traffic.breaks)  # predictions from one of a model that breaks to its next
    rows: dict[str, int] = {}
    deciding: dict[str, set[str]] = {}
    for start in range(0, len(records), BATCH):
        for effect in engine.apply(records[start : start + BATCH]).effects:
            if effect.stream != Stream.ALERTS:
                continue
            alert = decode_output(effect.value)
            assert isinstance(alert, Alert)
            if alert.event is not AlertEvent.OPENED:
                continue
            value = values[alert.position.topic, alert.position.offset]
            assert value is not None
            number = number_of(value.split(b'"id":"')[1].split(b'"')[0].decode())
            assert traffic.broken(alert.model, number), alert.summary
            rows.setdefault(alert.model, (number - traffic.breaks[alert.model]) // every)
            deciding.setdefault(alert.position.topic, set()).add(alert.model)
    assert rows.keys() == traffic.breaks.keys()
    assert max(rows.values()) < 12
    halves = list(traffic.breaks)[::2], list(traffic.breaks)[1::2]
    assert deciding == {
        TOPICS[stream]: set(half) for stream, half in zip((Stream.PREDICTIONS, Stream.OUTCOMES), halves, strict=True)
    }


def test_alarms_begin_evenly_and_the_rehearsed_ones_before_them() -> None:
    breaks: Mapping[str, int] = PLAN.breaks()
    assert list(breaks.values()) == sorted(breaks.values())
    assert [number in PLAN.counted for number in breaks.values()] == [False] * REHEARSED + [True] * PLAN.alarms


class Clock:
    """Time passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_each_is_sent_when_it_is_due_and_never_before() -> None:
    clock, sent = Clock(), list[tuple[int, float, float]]()
    on_time(range(5, 45), 0.005, lambda number, due: sent.append((number, due, clock.now)), clock, clock.sleep)
    assert [number for number, _, _ in sent] == list(range(5, 45))
    assert [due for _, due, _ in sent] == pytest.approx([1_000 + 0.005 * place for place in range(40)])
    assert all(-1e-9 <= at - due <= TURN_S + 1e-9 for _, due, at in sent)


def test_what_a_pause_made_late_is_sent_at_once_with_the_moment_at_which_it_was_due() -> None:
    """A sender that put off what follows would hide what a pause costs."""
    clock, sent = Clock(), list[tuple[float, float]]()

    def send(number: int, due: float) -> None:
        sent.append((due, clock.now))
        if number == 10:
            clock.now += 0.2

    on_time(range(100), 0.005, send, clock, clock.sleep)
    late = [at - due for due, at in sent]
    assert max(late) == pytest.approx(0.195, abs=2.1 * TURN_S)
    assert sum(wait > 2 * TURN_S for wait in late) == pytest.approx(40, abs=2)
    assert [due for due, _ in sent] == pytest.approx([1_000 + 0.005 * number for number in range(100)])
