"""``python -m load soak``: whether a worker that works at full rate for an hour needs more and more of anything.

One worker, 20,000 models over four partitions, some of which never stop changing what they send: see ``load.crowd``.
The topics always hold more than the worker has applied, so it never waits: that is the full rate. Old input is deleted
on the way, as retention does. Every ten seconds the worker's process and directories are looked at from outside:

* ``rss_mib``: resident memory; ``handles``: open files and sockets; ``threads``;
* ``state_mib``, ``checkpoints_mib``: what the directories take up on their disk;
* ``superseded_mib``: of the checkpoints, files that nobody has needed for ``LEFT_S`` longer than they are kept.

The first third is the warm-up: each model begins and learns its baselines, the limits on versions, features, categories
and segments are met. After it the samples are cut into four quarters. A series is ``flat`` when the mean of the last
quarter lies at most a twentieth (disk: a tenth, as it breathes with compactions) above that of the first, or at most as
many units as ``SLACK`` says. Checkpoints as a whole are not judged: beside the last copies they hold what was written
in the last ten minutes, which is more where the worker is quicker. ``slope_per_h`` is a straight line's through all
samples after the warm-up. The run is flat when every series is. ``status`` is the worker's own in the end, nothing
where it did not end in time, and ``stop_s`` how long that took since SIGTERM.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from load.arguments import positive, seed
from load.broker import find_broker
from load.brokers.common import BrokerUnavailableError
from load.crowd import Crowd
from load.output import result, say
from load.process import handles, memory_mib, threads
from load.site.disk import mib_in
from load.site.site import Keys, Site, SiteError
from load.site.workers import Worker, consumed, running, samples
from schemas.topics import Stream
from streams.checkpoints import GRACE_S
from streams.commands import Command

MINUTES = 60.0
MODELS = 20_000
SEED = 1
SAMPLE_EVERY_S = 10.0
LOOK_EVERY_S = 0.2
# What may go goes at the next copy of its partition. Between two lies a batch of each partition: here some two minutes.
LEFT_S = 300.0
BACKLOG = 600_000  # records that the worker is kept behind: more than whole batches of all partitions
CHUNK = 2_000  # predictions sent at once
WARM_SHARE = 1 / 3
STARTS_WITHIN_S = 120.0
SETTINGS: Keys = {
    "worker.batch_records_max": 100_000,  # a model costs more than a record: many records of each at once
    "worker.queue_records_max": 100_000,
    "worker.tick_interval": "5s",
    "kafka.session_timeout": "45s",
    "kafka.heartbeat_interval": "3s",
    "defaults.baseline_rows": 30,  # the least: all models are to be warm before it is judged
    "defaults.label_horizon": "2m",
    "defaults.metrics_window": "5m",
    "defaults.features_max": 20,
    "defaults.segments": ["region"],
    "defaults.segment_values_max": 5,
}
# Of input topics, a partition: many times the backlog, and little enough for an hour's disk.
RETENTION: Mapping[str, str] = {"retention.bytes": str(256 << 20), "segment.bytes": str(32 << 20)}


class Slack(NamedTuple):
    """How much more the last quarter may have than the first: the larger of the two."""

    share: float
    units: float


SLACK = {
    "rss_mib": Slack(0.05, 16),
    "state_mib": Slack(0.10, 32),
    "superseded_mib": Slack(0.10, 32),
    "handles": Slack(0.05, 8),
    "threads": Slack(0.05, 2),
}


class Sample(NamedTuple):
    at: float
    records: float
    held: Mapping[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=positive, default=MINUTES, help="default: %(default)g")
    parser.add_argument("--models", type=int, default=MODELS, help="default: %(default)s")
    parser.add_argument("--seed", type=seed, default=SEED, help="of the traffic, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    try:
        with find_broker() as broker, tempfile.TemporaryDirectory(prefix="driftline-soak-") as folder:
            site = Site(broker.bootstrap, Path(folder), SETTINGS).create_topics()
            figures = soak(site, arguments.minutes * 60, arguments.models, arguments.seed)
    except (BrokerUnavailableError, SiteError) as error:
        say(f"soak: {error}")
        return 1
    result(figures)
    if figures["status"] != 0:
        say(f"soak: the worker was asked to end; its status after {figures['stop_s']} s: {figures['status']}")
    return 0 if figures["flat"] and figures["status"] == 0 else 1


def soak(site: Site, seconds: float, models: int, seed: int, sample_every_s: float = SAMPLE_EVERY_S) -> dict[str, Any]:
    """The whole run on a site of its own."""
    site.set_topics((Stream.PREDICTIONS, Stream.OUTCOMES), RETENTION)
    taken: list[Sample] = []
    with running() as start:
        worker = start(site)
        crowd = Crowd(site, models, seed, lambda: worker.seconds)
        while worker.seconds < seconds:
            worker.require_alive()
            page = worker.page()
            while site.sent < sum(consumed(page).values()) + BACKLOG:
                crowd.send(CHUNK)
            if worker.seconds >= len(taken) * sample_every_s:
                taken.append(_sample(site, worker, page))
            time.sleep(LOOK_EVERY_S)
        engine: Counter[str] = Counter()
        for labels, value in samples(worker.page(), "driftline_engine"):
            engine[labels["what"]] += int(value)
        asked_at = worker.seconds
        ended = {"status": worker.stop(), "stop_s": round(worker.seconds - asked_at, 1)}
    return report(taken) | ended | {"models": models, "engine": engine, "seed": seed}


def _sample(site: Site, worker: Worker, page: str) -> Sample:
    process = worker.process.pid
    held = {
        "rss_mib": memory_mib("VmRSS", process),
        "state_mib": mib_in(site.state_dir(worker.name)),
        "checkpoints_mib": mib_in(site.checkpoints),
        "superseded_mib": mib_in(site.checkpoints, untouched_s=GRACE_S + LEFT_S),
        "handles": handles(process),
        "threads": threads(process),
    }
    sample = Sample(worker.seconds, sum(consumed(page).values()), held)
    told = ", ".join(f"{name} {value:g}" for name, value in held.items())
    say(f"{sample.at:6.0f} s  {sample.records:,.0f} records  {told}")
    return sample


def report(taken: Sequence[Sample]) -> dict[str, Any]:
    """What the samples after the warm-up say."""
    steady = taken[int(len(taken) * WARM_SHARE) :]
    quarter = len(steady) // 4
    if not quarter:
        raise SiteError(f"{len(taken)} samples are too few to judge by: let it run longer")
    series = {name: _series(name, steady, quarter) for name in taken[0].held}
    spent, done = steady[-1].at - steady[0].at, steady[-1].records - steady[0].records
    return {
        "flat": all(series[name]["flat"] for name in SLACK),
        "series": series,
        "records": round(taken[-1].records),
        "records_per_s": round(done / spent),
        "seconds": round(taken[-1].at),
        "warm_up_s": round(steady[0].at),
        "samples": len(taken),
    }


def _series(name: str, steady: Sequence[Sample], quarter: int) -> dict[str, Any]:
    values = [sample.held[name] for sample in steady]
    first, last = statistics.mean(values[:quarter]), statistics.mean(values[-quarter:])
    slope = statistics.linear_regression([sample.at / 3600 for sample in steady], values).slope
    found = {
        "first_quarter": round(first, 1),
        "last_quarter": round(last, 1),
        "most": max(values),
        "slope_per_h": round(slope, 2),
    }
    if name not in SLACK:
        return found
    return found | {"flat": last <= first + max(SLACK[name].share * first, SLACK[name].units)}


command = Command(
    "soak",
    "an hour at full rate with 20,000 models: whether memory, disk and handles stay flat",
    add_arguments,
    run,
    "python -m load soak --minutes 60 --json",
)
