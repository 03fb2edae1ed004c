"""``python -m load latency``: how long from the record that decides to the alert on its topic, and to somebody's pager.

A broker, one worker, one pager with a webhook, and in this process the traffic (``load.breaks``) and the endpoint.
Events come at a steady rate, half of them predictions and half outcomes, whatever becomes of them. Some hundred models
break, one after another, and each must be told and paged.

* ``alert_*_ms``: from the append time of the record that the alert names as its ``position`` to the alert's own. Both
  are the broker's, in whole milliseconds.
* ``page_*_ms``: from the same to the first request about the incident, by the clock of this machine. A broker that was
  given must run on it.
* ``since_due_*_ms``: the alert again, from the moment at which the record that decided was due. What held up the sender
  or the broker is in it.
* ``events_per_s``: what the broker got, by its own times, while alarms counted, and ``slowest_second`` of it.
  ``late_*_ms``: how much later than it was due each of these records was appended.
* ``busy``: shares of one processor, and of the worker's time by stage.

Alarms or pages that are missing, or a rate that is not reached, are a failure. How long it took is not judged here.
"""

import argparse
import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import orjson

from load.arguments import positive, seed
from load.breaks import BASELINE_ROWS, REHEARSED, Plan, Traffic, number_of, on_time
from load.broker import find_broker
from load.brokers.common import BrokerUnavailableError
from load.endpoint import Endpoint, endpoint
from load.latency_report import SHARES, Arrivals, Decided, Place, Told, figures, judge, place_of
from load.output import result, say
from load.process import cpu_s
from load.site.site import Keys, Site, SiteError
from load.site.workers import Pager, Worker, running, samples, wait_until, wait_until_read
from schemas.events import Alert
from schemas.topics import Stream
from streams.commands import Command
from streams.sections import KafkaSettings, WorkerSettings

RATE = 5_000.0
MODELS = 340
ALARMS = 280
SECONDS = 80.0
SEED = 1
RATE_SHARE_MIN = 0.99
GATHERED = 1_000  # predictions of the warm-up between two moments
MISSING_AFTER_S = 30.0  # many times the targets
LEARNT_WITHIN_S = 600.0
INPUTS = (Stream.PREDICTIONS, Stream.OUTCOMES)
# As users have it, but for the length of the baseline.
SETTINGS: Keys = {
    "kafka.session_timeout": KafkaSettings().session_timeout,
    "kafka.heartbeat_interval": KafkaSettings().heartbeat_interval,
    "worker.batch_records_max": WorkerSettings().batch_records_max,
    "worker.tick_interval": WorkerSettings().tick_interval,
    "defaults.metrics_window": "5m",
    "defaults.retrain.min_labels": 200,
    "defaults.baseline_rows": BASELINE_ROWS,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=positive, default=RATE, help="events a second, default: %(default)g")
    parser.add_argument("--models", type=int, default=MODELS, help="in all, default: %(default)s")
    parser.add_argument("--alarms", type=int, default=ALARMS, help="models that break, default: %(default)s")
    parser.add_argument("--seconds", type=positive, default=SECONDS, help="in which they do, default: %(default)g")
    parser.add_argument("--seed", type=seed, default=SEED, help="of the traffic, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    plan = Plan(arguments.rate, arguments.models, arguments.alarms, arguments.seconds, arguments.seed)
    most = plan.models - REHEARSED - 1
    if not 0 < plan.alarms <= most:
        say(f"latency: --alarms must be from 1 to {most}: {REHEARSED} more only rehearse, and one model stays calm")
        return 2
    try:
        with find_broker() as broker, tempfile.TemporaryDirectory(prefix="driftline-latency-") as folder:
            report = measured(Site(broker.bootstrap, Path(folder), SETTINGS).create_topics(), plan)
    except (BrokerUnavailableError, SiteError) as error:
        say(f"latency: {error}")
        return 1
    if arguments.json:
        result(report)
    else:
        _say_table(report)
    enough = report["events_per_s"] >= RATE_SHARE_MIN * plan.per_second
    return 0 if enough and not (report["alarms_missing"] or report["pages_missing"]) else 1


def measured(site: Site, plan: Plan) -> dict[str, Any]:
    """The whole run on a site of its own."""
    traffic = Traffic(plan)
    with running() as start, endpoint_beside() as server:
        pager = start(site, "pager", pager_settings(server.url("/page")), Pager)
        worker = start(site)
        _teach(site, traffic, plan.steady.start)
        wait_until_read([worker], LEARNT_WITHIN_S, INPUTS)
        say(f"{plan.models} models know what is normal; {len(traffic.breaks)} of them begin to break")
        busy = _Busy(worker, pager)
        on_time(plan.steady, plan.slot_s, lambda number, due_s: _send(site, traffic, number, due_s))
        shares = busy.shares()
        site.flush()
        with suppress(SiteError):  # what is missing is counted
            wait_until(lambda: not traffic.breaks.keys() - _models(server), "every page", MISSING_AFTER_S)
        for process in (worker, pager):
            process.require_alive()
    told = _told(site)
    decided, arrivals = _appended(site, traffic, {place_of(alert.position) for alert, _ in told})
    judged = judge(traffic, told, decided, _paged_ms(server))
    for alert in judged.false:
        say(f"false: {alert.summary}")
    return {
        **figures(traffic, judged),
        **arrivals.figures(),
        "busy": shares,
        "workload": plan._asdict(),
    }


def pager_settings(url: str) -> Keys:
    """Everything that is opened goes out, at once."""
    return {
        "pager.routes.all.severity": "info",
        "pager.sinks.desk.type": "webhook",
        "pager.sinks.desk.url": url,
        "pager.sinks.desk.allow_private": True,
        "pager.sinks.desk.pages_per_minute": 10_000,
    }


@contextmanager
def endpoint_beside() -> Iterator[Endpoint]:
    """In a thread of its own: it must answer while this one sends."""
    started: Future[tuple[Endpoint, Callable[[], object]]] = Future()

    async def serve() -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        async with endpoint() as server:
            started.set_result((server, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="endpoint", daemon=True)
    thread.start()
    server, end = started.result()
    try:
        yield server
    finally:
        end()
        thread.join()


def _teach(site: Site, traffic: Traffic, predictions: int) -> None:
    """As quickly as the broker takes it."""
    for number in range(predictions):
        if number % GATHERED == 0:
            now_s = time.time()
        _send(site, traffic, number, now_s)
    site.flush()


def _send(site: Site, traffic: Traffic, number: int, due_s: float) -> None:
    for stream, model, value in traffic.events(number, due_s):
        site.send(stream, model, value)


def _models(server: Endpoint) -> set[str]:
    return {got.content["data"]["model"] for got in server.got}


def _paged_ms(server: Endpoint) -> Mapping[str, float]:
    """By incident, when the first request came."""
    epoch_s = time.time() - time.monotonic()
    paged: dict[str, float] = {}
    for got in server.got:
        paged.setdefault(got.content["data"]["incident"], (epoch_s + got.at) * 1000)
    return paged


def _told(site: Site) -> Sequence[Told]:
    decode = msgspec.json.Decoder(Alert).decode
    return [Told(decode(message.value()), message.timestamp()[1]) for message in site.messages(Stream.ALERTS)]


def _appended(site: Site, traffic: Traffic, wanted: Collection[Place]) -> tuple[Mapping[Place, Decided], Arrivals]:
    """What the input topics hold: the records at these places, and how they came."""
    decided: dict[Place, Decided] = {}
    arrivals = Arrivals(traffic.counted)
    for stream in INPUTS:
        for message in site.messages(stream):
            event, at_ms = orjson.loads(message.value()), message.timestamp()[1]
            number = number_of(event["id"])
            arrivals.add(traffic.slot(stream, number), event["ts"], at_ms)
            place = message.topic(), message.partition(), message.offset()
            if place in wanted:
                decided[place] = Decided(stream, number, event["ts"], at_ms)
    return decided, arrivals


class _Busy:
    """What the processes do from now on."""

    def __init__(self, worker: Worker, pager: Worker) -> None:
        self._worker = worker
        self._processes: Mapping[str, int | str] = {
            "worker": worker.process.pid,
            "pager": pager.process.pid,
            "load": "self",
        }
        self._began, self._before = time.monotonic(), self._spent()

    def shares(self) -> Mapping[str, float]:
        """What the worker spends in a stage may be waiting."""
        took_s = time.monotonic() - self._began
        return {name: round((spent - self._before.get(name, 0)) / took_s, 3) for name, spent in self._spent().items()}

    def _spent(self) -> Mapping[str, float]:
        page = self._worker.page()
        stages = samples(page, "driftline_stage_seconds_total")
        return {
            **{name: cpu_s(process) for name, process in self._processes.items()},
            **{f"worker_{labels['stage']}": seconds for labels, seconds in stages},
            "worker_commits_per_s": sum(count for _, count in samples(page, "driftline_commit_seconds_count")),
        }


def _say_table(report: Mapping[str, Any]) -> None:
    for name in ("alert", "page", "since_due", "late"):
        shares = ", ".join(f"{word} {report[f'{name}_{word}_ms']} ms" for word in SHARES)
        say(f"{name.replace('_', ' '):<10} {shares}")
    say(f"{report['events_per_s']:,} events/s, {report['slowest_second']:,} in the slowest second")
    say(f"{report['alarms_seen']} of {report['alarms_expected']} alarms, {report['pages_missing']} pages missing")


command = Command(
    "latency",
    "how soon an alert is on its topic, and a page at its endpoint, at a steady rate",
    add_arguments,
    run,
    "python -m load latency --json",
)
