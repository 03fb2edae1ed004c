"""The life of a worker's process: what runs beside the application, how its lag is measured, and how it ends."""

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic, time

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.times import duration_ms
from streams import stores, watchdog
from streams.reading import Fatal
from streams.settings import Settings
from streams.state import EngineFactory
from streams.telemetry import NoTelemetry, Telemetry
from streams.watchdog import Progress, Watchdog
from streams.worker import EXIT_UNEXPECTED, Chore, Worker, build

log = structlog.get_logger(__name__)

STOP_TIMEOUT_S = 20.0  # a stop that hangs is no worse than a crash, and a crash loses nothing
# Faust may swallow what should break off its stop, and Python waits for its thread: after this, in any case, the end.
# Less than the half minute after which whoever asked for it mostly kills.
STOP_S_MAX = 25.0
LOOK_EVERY_S = 1.0  # lag is measured and the loop's life shown this often
LAG_TIMEOUT_S = 5.0  # a loop full of batches answers late; brokers that take longer count as away


def run(
    settings: Settings,
    engine_of: EngineFactory,
    *,
    telemetry: Telemetry | None = None,
) -> int:
    """Runs a worker in this process until SIGTERM or SIGINT; returns its exit code.

    ``preflight.require`` has found nothing wrong. What shows only now is raised as ``DriftlineError``.
    """
    return asyncio.run(_run(settings, engine_of, telemetry or NoTelemetry()))


async def _run(settings: Settings, engine_of: EngineFactory, telemetry: Telemetry) -> int:
    kafka = settings.kafka
    log.info(
        "joining the group",
        group=kafka.group,
        brokers=kafka.bootstrap,
        state=settings.state.dir,
        may_wait=f"up to {kafka.session_timeout} for a member that did not take leave",
    )
    with stores.opened(settings, engine_of, telemetry) as store:
        return await _watched(settings, build(settings, store, telemetry=telemetry), telemetry)


async def _watched(settings: Settings, worker: Worker, telemetry: Telemetry) -> int:
    stop = asyncio.Event()
    dog = Watchdog(worker.progress, duration_ms(settings.worker.watchdog_stall) / 1000, watchdog.end_process)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _ask_to_stop, stop, dog)
    dog.start()
    try:
        return await serve(worker, stop, telemetry)
    finally:
        dog.stop()


def _ask_to_stop(stop: asyncio.Event, dog: Watchdog) -> None:
    """From here on the end is certain, and records may wait: for the next life."""
    if not stop.is_set():
        stop.set()
        last = threading.Timer(STOP_S_MAX, watchdog.end_late, (STOP_S_MAX,))
        last.daemon = True
        last.start()
        dog.stop()


async def serve(worker: Worker, stop: asyncio.Event, telemetry: Telemetry) -> int:
    """Starts the application, waits for ``stop`` or its crash, and ends it."""
    turning = asyncio.create_task(_turn(worker.progress))  # brokers may hang, and are asked for longer than a stall
    try:
        await worker.offsets.start()
    finally:
        turning.cancel()
    all_chores: Sequence[Chore] = (partial(_look_around, worker, telemetry), *worker.chores)
    chores = [asyncio.create_task(_guarded(chore, worker.fatal)) for chore in all_chores]
    starting = asyncio.create_task(worker.app.start())
    stopping = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(_ended(worker.app, starting))
    try:
        await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            # Past the end of this function Python would wait for Faust's threads, which a crash leaves running.
            worker.fatal(ended.exception() or worker.app.crash_reason or RuntimeError("Faust stopped by itself"))
            return EXIT_UNEXPECTED
        await _stop(worker)
        return 0
    finally:
        tasks = (*chores, starting, stopping, ended)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)  # the chores take leave of the brokers
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await worker.offsets.stop()  # last, as chores ask it


async def _turn(progress: Progress) -> None:
    while True:
        progress.turn()
        await asyncio.sleep(LOOK_EVERY_S)


async def _guarded(chore: Chore, fatal: Fatal) -> None:
    """A chore that ends by an error would leave a worker that lives and does half of its work."""
    try:
        await chore()
    except Exception as error:
        fatal(error)


async def _ended(app: faust.App, starting: "asyncio.Task[None]") -> None:
    await starting
    await app.wait_until_stopped()


async def _stop(worker: Worker) -> None:
    log.info("stopping")
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await worker.partitions.finish()
            await worker.app.stop()
    except TimeoutError:
        log.warning("stopped without taking leave of the group", after_s=STOP_TIMEOUT_S)
        worker.exit_process(0)
    except Exception as error:
        worker.fatal(error)  # Faust's thread would live on, in the group, and Python would wait for it
        return
    log.info("stopped")


async def _look_around(worker: Worker, telemetry: Telemetry) -> None:
    """Shows that the loop turns, and measures how far the worker is behind."""
    away_since: float | None = None
    while True:
        worker.progress.turn()
        try:
            await _measure_lag(worker, telemetry)
        except (KafkaError, TimeoutError) as error:
            worker.progress.lag_unknown()
            if away_since is None:
                away_since = monotonic()
                log.warning("brokers do not answer", reason=str(error) or type(error).__name__)
        else:
            if away_since is not None:
                log.info("brokers answer again", after_s=round(monotonic() - away_since, 1))
                away_since = None
        await asyncio.sleep(LOOK_EVERY_S)


async def _measure_lag(worker: Worker, telemetry: Telemetry) -> None:
    # What is owned may change while the brokers are asked.
    asked, positions = time(), worker.partitions.positions
    committed = {**positions, **worker.partitions.committed()}
    ends = await asyncio.wait_for(worker.offsets.ends(list(positions)), LAG_TIMEOUT_S)
    lags = {tp: ends[tp] - offset for tp, offset in positions.items()}
    for tp, records in lags.items():
        telemetry.lag(tp.topic, tp.partition, records)
    telemetry.lag_known(asked)
    for number, records in worker.app.consumer.held.items():
        telemetry.held(number, records)
    worker.progress.at(_by_number(committed), _by_number({tp: ends[tp] - offset for tp, offset in committed.items()}))


def _by_number(amounts: Mapping[TopicPartition, int]) -> Mapping[int, int]:
    sums: Counter[int] = Counter()
    for tp, amount in amounts.items():
        sums[tp.partition] += amount
    return sums
