"""Sends generated days to Kafka as if they happened now, quicker than they would.

Each event gets the time of its sending, so stream time is append time; a label's delay shrinks by as much as the day
does. Ids begin with the run's own mark, because a second run of the same seed tells of other predictions.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from load.scenarios import DAY_MS, DAY_STARTS_MS, Event, InjectedDrift, scenario
from schemas.topics import TopicNames
from streams.connection import check_login, client_settings, start_client
from streams.errors import BrokerError, UsageError
from streams.permissions import permissions
from streams.progress import progress_on
from streams.sections import KafkaSettings
from streams.terminal import complain

LINGER_MS = 10  # fuller batches compress better; nobody waits for a generated event
PAUSE_MIN_S = 0.01  # shorter waits cost more than the evenness they bring
YIELD_EVERY = 256  # events between two looks at signals and acknowledgements
FLUSH_S_MAX = 20.0  # what is on its way when a stop is asked for gets so long; containers are killed after 30 s
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Pace = Callable[[int, Event], float]  # the event's number and itself → seconds after the start when it is due


class Days(NamedTuple):
    """What to send: one day, or day after day, each from the next seed."""

    seed: int
    endless: bool = False

    def events(self, on_drift: Callable[[InjectedDrift], None]) -> Iterator[Event]:
        seeds = count(self.seed) if self.endless else (self.seed,)
        return chain.from_iterable(_day(seed, number * DAY_MS, on_drift) for number, seed in enumerate(seeds))


class Report(NamedTuple):
    """Whoever watches: how many more events were sent, and a line when a drift begins."""

    sent: Callable[[int], None]
    note: Callable[[str], None]


class Sent(NamedTuple):
    events: int
    seconds: float


def steadily(rate: float) -> Pace:
    """So many events a second, whatever the hour of the generated day."""
    return lambda number, _event: number / rate


def sped_up(speed: float) -> Pace:
    """The day's own volume curve, so many times as fast."""
    return lambda _number, event: (event.at_ms - DAY_STARTS_MS) / 1_000 / speed


def produce(kafka: KafkaSettings, days: Days, pace: Pace, *, seconds_max: float | None = None) -> Sent:
    """Sends, shows how far it is, and ends in good order when it is told to."""
    return asyncio.run(_until_stopped(kafka, days, pace, seconds_max))


async def _until_stopped(kafka: KafkaSettings, days: Days, pace: Pace, seconds_max: float | None) -> Sent:
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    total = None if days.endless else scenario(days.seed).event_count()
    done = 0

    def sent(events: int) -> None:
        nonlocal done
        done += events
        progress(events)

    complain(f"to {kafka.bootstrap}: {', '.join(kafka.topics.inputs)}")
    with progress_on(sys.stderr, lambda: min(done / total, 1.0) if total else None) as progress:
        return await send(kafka, days, pace, Report(sent, complain), stop, seconds_max=seconds_max)


async def send(
    kafka: KafkaSettings,
    days: Days,
    pace: Pace,
    report: Report,
    stop: asyncio.Event,
    *,
    seconds_max: float | None = None,
) -> Sent:
    """Until the days are over, ``stop`` is set or the time is up; all that was sent is acknowledged then."""
    check_login(kafka, permissions(kafka))
    producer = AIOKafkaProducer(
        **client_settings(kafka), acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=LINGER_MS
    )
    try:
        await start_client(producer)
        await _check_topics(producer, kafka.topics)
        return await _Sending(producer, kafka.topics, report, stop).run(days, pace, seconds_max)
    except KafkaError as error:
        raise BrokerError(str(error), where=kafka.bootstrap, advice="see whether the broker runs") from error
    except TimeoutError as error:
        advice = "see whether the broker runs"
        raise BrokerError(f"no answer within {FLUSH_S_MAX:g} s", where=kafka.bootstrap, advice=advice) from error
    finally:
        await _close(producer)


async def _close(producer: AIOKafkaProducer) -> None:
    """Closing waits for brokers that may never answer; what matters is acknowledged by then."""
    with suppress(TimeoutError):
        await asyncio.wait_for(producer.stop(), FLUSH_S_MAX)


class _Sending:
    def __init__(self, producer: AIOKafkaProducer, topics: TopicNames, report: Report, stop: asyncio.Event) -> None:
        self._producer, self._report, self._stop = producer, report, stop
        self._topics = {stream: name for name, stream in topics.inputs.items()}
        self._failure: BaseException | None = None

    async def run(self, days: Days, pace: Pace, seconds_max: float | None) -> Sent:
        clock = asyncio.get_running_loop().time
        mark, started, sent = f"{time.time_ns() // 1_000_000:x}", clock(), 0
        for number, event in enumerate(days.events(self._announce)):
            due, passed = pace(number, event), clock() - started
            if seconds_max is not None and max(due, passed) >= seconds_max:
                break
            await self._wait(due - passed, number)
            if self._stop.is_set() or self._failure is not None:
                break
            await self._queue(event, mark)
            sent = number + 1
        await asyncio.wait_for(self._producer.flush(), FLUSH_S_MAX)
        self._raise_failure()
        return Sent(sent, clock() - started)

    async def _wait(self, seconds: float, number: int) -> None:
        if number % YIELD_EVERY == 0:
            self._report.sent(YIELD_EVERY)
            await asyncio.sleep(0)
        if seconds < PAUSE_MIN_S:
            return
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    async def _queue(self, event: Event, mark: str) -> None:
        value = live(event, time.time_ns() // 1_000_000, mark)
        acknowledged = await self._producer.send(self._topics[event.stream], value, key=event.model.encode())
        acknowledged.add_done_callback(self._settled)

    def _settled(self, acknowledged: asyncio.Future[Any]) -> None:
        if not acknowledged.cancelled() and acknowledged.exception() is not None:
            self._failure = self._failure or acknowledged.exception()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise BrokerError(str(self._failure), advice="events were lost; see the broker's log") from self._failure

    def _announce(self, drift: InjectedDrift) -> None:
        now = datetime.now(UTC).strftime("%H:%M:%S")
        self._report.note(f"{now} {drift.model}: {drift.description} ({drift.kind})")


def live(event: Event, now_ms: int, mark: str) -> bytes:
    """The event as it would be sent at ``now_ms``, in the notation of time that its model uses."""
    was_text = isinstance(event.fields["ts"], str)
    now = datetime.fromtimestamp(now_ms / 1_000, UTC).isoformat(timespec="milliseconds") if was_text else now_ms
    return orjson.dumps({**event.fields, "id": f"{mark}-{event.fields['id']}", "ts": now})


def _day(seed: int, later_ms: int, on_drift: Callable[[InjectedDrift], None]) -> Iterator[Event]:
    """One day, ``later_ms`` after the first, that tells of each drift as it begins."""
    day = scenario(seed)
    ahead = sorted(day.truth, key=lambda drift: drift.starts_ms, reverse=True)
    for event in day.events():
        while ahead and ahead[-1].starts_ms <= event.at_ms:
            on_drift(ahead.pop())
        yield event._replace(
            at_ms=event.at_ms + later_ms, fields={**event.fields, "id": f"{seed}-{event.fields['id']}"}
        )


async def _check_topics(producer: AIOKafkaProducer, topics: TopicNames) -> None:
    """Before anything is sent: a broker that makes topics by itself would make them with other settings."""
    cluster = await producer.client.fetch_all_metadata()
    counts = {name: cluster.partitions_for_topic(name) for name in topics.inputs}
    missing = [name for name, partitions in counts.items() if not partitions]
    if missing:
        raise BrokerError(f"no topic {' and no topic '.join(missing)}", advice="run `driftline topics create` first")
    sizes = {name: len(partitions or ()) for name, partitions in counts.items()}
    if len(set(sizes.values())) > 1:
        raise UsageError(
            f"topics differ in partitions: {sizes}", advice="an outcome would not meet its prediction; make them equal"
        )
