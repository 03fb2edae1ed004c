"""The live worker: where all its parts are put together. How it runs and ends is ``streams.running``."""

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Never

import faust
import faust.tables
import structlog
from faust.types import TP
from yarl import URL

from schemas.times import duration_ms
from schemas.topics import CATALOGUE, Stream, TopicNames
from streams import grants
from streams.connection import client_settings, is_refusal, security
from streams.errors import DriftlineError, GroupSilentError
from streams.lease import SEND_S_MAX, Lease
from streams.offsets import Offsets
from streams.ownership import Partitions
from streams.pace import Pace
from streams.partition import OwnedPartition
from streams.reading import Batch, Fatal, Reading
from streams.sections import KafkaSettings
from streams.sender import Sender, destinations
from streams.settings import Settings
from streams.state import PartitionState, StateStore
from streams.telemetry import NoTelemetry, Telemetry
from streams.ticks import Ticks
from streams.transport import Transport
from streams.watchdog import Progress, certain_end

log = structlog.get_logger(__name__)

EXIT_UNEXPECTED = 70  # sysexits' "internal software error"
ORDER_GRACE_S = 0.02  # an append that hangs inside a broker for longer could be overtaken; also the least latency
COMMIT_INTERVAL_S = 1.0  # group offsets are for lag tools; nothing is decided by them
AGENT_QUEUE_BATCHES = 2  # one in work, two waiting: enough that the agent never waits for the reader
REBALANCE_TIMEOUT_S = 60.0
OPENING_S_MAX = 86_400.0  # of states that are fetched from far away; the watchdog looks whether that moves
PRODUCER_LINGER_S = 0.0  # the effects of a batch are queued together before the loop turns, so waiting gathers nothing
PRODUCER_BATCH_BYTES = 512 * 1024  # a flood of dead letters leaves in a few requests, not one after another in hundreds
REQUEST_BYTES_MAX = max(topic.max_message_bytes for topic in CATALOGUE.values())

REFUSAL_ADVICE = "see what this user may do; the next start names every permission that is missing"

Exit = Callable[[int], Never]
Chore = Callable[[], Awaitable[None]]


class App(faust.App):  # type: ignore[misc] # Faust is not typed for us
    """Faust's application with our transport, and without its directories on disk."""

    def __init__(self, *args: Any, transport_of: Callable[[list[URL], faust.App], Transport], **kwargs: Any) -> None:
        self._transport_of = transport_of
        super().__init__(*args, **kwargs)

    def _new_transport(self) -> Transport:
        return self._transport_of(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return self._transport_of(self.conf.broker_producer, self)

    def _create_directories(self) -> None:
        """No Faust tables, so nothing to put there."""


class NoTables(faust.tables.TableManager):  # type: ignore[misc]
    """Faust gives a program a second to declare its tables before it joins the group. Here there are none."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class Worker(NamedTuple):
    """What ``build`` makes."""

    app: faust.App
    offsets: Offsets
    partitions: Partitions
    progress: Progress
    fatal: Fatal
    exit_process: Exit
    chores: Sequence[Chore]  # what runs beside the application


def build(
    settings: Settings,
    store: StateStore,
    *,
    telemetry: Telemetry | None = None,
    exit_process: Exit = os._exit,
    grace_s: float = ORDER_GRACE_S,
) -> Worker:
    """Puts the parts together. Nothing is connected and nothing runs yet."""
    telemetry = telemetry or NoTelemetry()
    kafka = settings.kafka
    offsets = Offsets(client_settings(kafka))
    lease = _lease(kafka)
    progress = Progress(
        join_s=max(duration_ms(kafka.session_timeout) / 1000, REBALANCE_TIMEOUT_S),
        commit_s=SEND_S_MAX + lease.send_s,  # the group is asked, and then what is sent is acknowledged
    )
    fatal = _fatal(exit_process)

    def transport_of(url: list[URL], app: faust.App) -> Transport:
        reading = _reading(settings, grace_s)
        return Transport(url, app, owner=partitions, reading=reading, offsets=offsets, lease=lease, fatal=fatal)

    async def is_member(number: int) -> bool:
        own = {TP(*tp): offset for tp, offset in partitions.positions.items() if tp.partition == number}
        return await _is_member(app, own)

    def partition_of(number: int, state: PartitionState) -> OwnedPartition:
        return OwnedPartition(
            number,
            state,
            sender=_sender(app, kafka, lease, telemetry),
            offsets=offsets,
            inputs=tuple(kafka.topics.inputs),
            outputs=tuple(kafka.topics.outputs),
            pace=Pace(
                duration_ms(settings.state.commit_interval) / 1000,
                sharers=lambda: len(partitions.numbers),
                stall_s=duration_ms(settings.worker.watchdog_stall) / 1000,
            ),
            telemetry=telemetry,
            is_current=partitions.is_current,
            is_member=is_member,
            is_leaving=lambda: partitions.leaving,
            moved=progress.moved,
        )

    partitions = Partitions(store, partition_of, telemetry, progress)
    app = _app(kafka, transport_of)
    _monitor(app, kafka.topics, partitions, fatal)
    tick_s = duration_ms(settings.worker.tick_interval) / 1000
    control = kafka.topics.of(Stream.CONTROL)
    ticks = Ticks(client_settings(kafka), control, lambda: partitions.numbers, telemetry, every_s=tick_s)
    chores = (
        partial(partitions.keep_committing, duration_ms(settings.state.commit_interval) / 1000),
        partial(partitions.keep_checkpointing, duration_ms(settings.state.checkpoint_interval) / 1000),
        ticks.run,
        partial(grants.keep_looking, kafka, offsets, ticks=tick_s > 0),
    )
    return Worker(app, offsets, partitions, progress, fatal, exit_process, chores)


def _lease(kafka: KafkaSettings) -> Lease:
    return Lease(
        duration_ms(kafka.session_timeout) / 1000,
        meets_s=REBALANCE_TIMEOUT_S,
        heartbeat_s=duration_ms(kafka.heartbeat_interval) / 1000,
    )


async def _is_member(app: faust.App, own: Mapping[TP, int]) -> bool:
    try:
        async with asyncio.timeout(SEND_S_MAX):
            answer: bool = await app.consumer.is_member(own)
    except TimeoutError as error:
        raise GroupSilentError(
            f"the group did not say within {SEND_S_MAX:g} s whether this worker belongs to it",
            where=app.conf.id,
            advice="see whether the broker that coordinates it answers",
        ) from error
    return answer


def _sender(app: faust.App, kafka: KafkaSettings, lease: Lease, telemetry: Telemetry) -> Sender:
    return Sender(
        app.producer,
        destinations(kafka.topics),
        telemetry,
        bytes_max=REQUEST_BYTES_MAX,
        timeout_s=lease.send_s,
    )


def _app(kafka: KafkaSettings, transport_of: Callable[[list[URL], faust.App], Transport]) -> App:
    request_s = duration_ms(kafka.request_timeout) / 1000
    return App(
        kafka.group,
        transport_of=transport_of,
        broker=[URL(f"kafka://{address}") for address in kafka.bootstrap.split(",")],
        broker_client_id=kafka.client_id,
        # Faust would give up waiting for the seek without a word, and never resume. Our own clients have their own.
        broker_request_timeout=OPENING_S_MAX,
        broker_session_timeout=duration_ms(kafka.session_timeout) / 1000,
        broker_commit_interval=COMMIT_INTERVAL_S,
        producer_linger=PRODUCER_LINGER_S,
        producer_request_timeout=request_s,
        producer_max_request_size=REQUEST_BYTES_MAX,
        producer_max_batch_size=PRODUCER_BATCH_BYTES,
        store="memory://",
        TableManager=NoTables,
        stream_buffer_maxsize=AGENT_QUEUE_BATCHES,
        stream_wait_empty=False,  # the batch in hand is waited for in Partitions.revoked
        topic_allow_declare=False,  # Faust would declare with one replica
        topic_disable_leader=True,
        web_enabled=False,  # no login, and it forwards requests to whatever a group member names
        autodiscover=False,
        consumer_auto_offset_reset="earliest",
    )


def _reading(settings: Settings, grace_s: float) -> Reading:
    kafka = settings.kafka
    group = {
        "group_id": kafka.group,
        "session_timeout_ms": duration_ms(kafka.session_timeout),
        "heartbeat_interval_ms": duration_ms(kafka.heartbeat_interval),
        "rebalance_timeout_ms": int(REBALANCE_TIMEOUT_S * 1000),
    }
    return Reading(
        inputs=tuple(kafka.topics.inputs),
        outputs=tuple(kafka.topics.outputs),
        signals=kafka.topics.signals,
        consumer={**client_settings(kafka), **group},
        security=security(kafka),
        batch_records_max=settings.worker.batch_records_max,
        queue_records_max=settings.worker.queue_records_max,
        grace_s=grace_s,
    )


def _monitor(app: faust.App, names: TopicNames, partitions: Partitions, fatal: Fatal) -> None:
    """The one agent: it takes what the topics hold, in order, one batch at a time."""
    # Acks are off: Faust would acknowledge a batch whose agent has raised.
    inputs = app.topic(*names.inputs, key_serializer="raw", value_serializer="raw", acks=False)

    async def monitor(stream: faust.StreamT[Batch]) -> None:
        async for batch in stream:
            try:
                await partitions.take(batch)
            except Exception as error:
                fatal(error)
            await asyncio.sleep(0)  # a full queue would otherwise never let the loop turn

    app.agent(inputs, name="monitor", concurrency=1)(monitor)


def _fatal(exit_process: Exit) -> Fatal:
    """The end for everything unexpected: at once and non-zero, because starting again is the recovery."""

    def fatal(error: BaseException) -> None:
        with certain_end(exit_process, EXIT_UNEXPECTED):
            if isinstance(error, DriftlineError):
                log.error("worker ended", reason=str(error))
            elif is_refusal(error):
                log.error("worker ended", reason=f"the brokers refused: {error}; {REFUSAL_ADVICE}")
            else:
                log.error("worker ended", reason=repr(error), trace="".join(traceback.format_exception(error)))
            sys.stdout.flush()
            sys.stderr.flush()

    return fatal
