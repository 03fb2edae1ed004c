"""``python -m load throughput``: the worker beside its peers, on one broker, over the same recorded predictions.

Each program reads from the beginning in a process of its own, started fresh for every round; rounds alternate, so that
what else the machine does falls on all of them. The clock of each starts when it is warm. Figures are medians.

``driftline`` keeps its state on disk and copies it into checkpoints, as it does by default; ``driftline_memory`` is the
same worker with ``state.memory``. ``durability_ratio`` is the one's rate over the other's.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from load.broker import find_broker
from load.brokers.common import KAFKA_VERSION, Broker, BrokerKind, BrokerUnavailableError, tail_of
from load.output import result, say
from load.peers.driftline_worker import WorkerFailedError, measure
from load.peers.task import Figure, Task, read_figure
from load.recording import FEATURES, MODELS, PARTITIONS, Recording, record
from streams.commands import Command

RECORDS = 300_000
RECORDS_SLOW = 40_000  # for a program so slow that the full number would take minutes a round; the rate is the same
ROUNDS = 3
SEED = 1
WARM_SHARE = 0.2  # of the records, before the clock starts
WARM_MIN = 20_000  # every model must have its baseline: 1,000 rows for each of 16 models, and a quarter more
RECORDS_MIN = 100_000  # the fastest take half a second for what is past the warm ones: a few readings of a counter
PEER_WITHIN_S = 600.0  # a peer that takes longer hangs

ROOT = Path(__file__).resolve().parent.parent
BENCH_PYTHON = ROOT / ".venv-bench" / "bin" / "python"  # quixstreams wants an older confluent-kafka than the tests


class MeasurementFailedError(RuntimeError):
    """A measured program failed: there is no figure to give."""


class Runner(NamedTuple):
    """One measured program."""

    measure: Callable[[Task], Figure]
    slow: bool = False
    joins: bool = True  # or it has nothing to do with outcomes
    python: Path = Path(sys.executable)


def _peer(module: str, python: Path = Path(sys.executable)) -> Callable[[Task], Figure]:
    def measure(task: Task) -> Figure:
        command = [str(python), "-m", f"load.peers.{module}", *task.words()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PEER_WITHIN_S)
        if done.returncode != 0 or not task.result.exists():
            raise MeasurementFailedError(f"{module} ended with status {done.returncode}\n{tail_of(done.stderr)}")
        return read_figure(task.result)

    return measure


OURS, IN_MEMORY = "driftline", "driftline_memory"
RUNNERS: Mapping[str, Runner] = {
    OURS: Runner(measure),
    IN_MEMORY: Runner(partial(measure, in_memory=True)),
    "plain_faust": Runner(_peer("plain_faust"), slow=True, joins=False),
    "quixstreams": Runner(_peer("quix", BENCH_PYTHON), joins=False, python=BENCH_PYTHON),
    "raw_aiokafka": Runner(_peer("raw_aiokafka")),
}


class Plan(NamedTuple):
    """What is measured in this run."""

    records: int
    rounds: int
    seed: int
    outcomes: bool
    only: tuple[str, ...]
    features: int = FEATURES

    @property
    def skipped(self) -> dict[str, str]:
        """Who is left out, and why."""
        reasons = {}
        for name, runner in RUNNERS.items():
            if name not in self.only:
                reasons[name] = "not asked for"
            elif self.outcomes and not runner.joins:
                reasons[name] = "has no label half to measure"
            elif not runner.python.exists():
                reasons[name] = f"not installed: {runner.python.relative_to(ROOT)} is missing, `make bench` makes it"
        return reasons

    def events(self, name: str) -> int:
        """How many records a program reads, over both topics where there are outcomes."""
        records = min(self.records, RECORDS_SLOW) if RUNNERS[name].slow else self.records
        return 2 * records if self.outcomes else records

    def warm(self, name: str) -> int:
        least = 0 if RUNNERS[name].slow else WARM_MIN * (2 if self.outcomes else 1)
        return max(least, int(self.events(name) * WARM_SHARE))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=_records, default=RECORDS, help="predictions, default: %(default)s")
    parser.add_argument("--rounds", type=_rounds, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="of what is recorded, default: %(default)s")
    parser.add_argument("--outcomes", action="store_true", help="the label half too: outcomes, joined")
    parser.add_argument("--features", type=int, default=FEATURES, help="of a prediction, default: %(default)s")
    names = ", ".join(RUNNERS)
    parser.add_argument("--only", type=_names, default=tuple(RUNNERS), metavar="NAMES", help=f"some of {names}")


def run(arguments: argparse.Namespace) -> int:
    plan = Plan(
        arguments.records, arguments.rounds, arguments.seed, arguments.outcomes, arguments.only, arguments.features
    )
    for name, reason in plan.skipped.items():
        say(f"{name}: skipped: {reason}")
    try:
        with find_broker() as broker, tempfile.TemporaryDirectory(prefix="driftline-throughput-") as folder:
            figures = _measure(plan, broker, Path(folder))
    except (BrokerUnavailableError, MeasurementFailedError, WorkerFailedError, subprocess.TimeoutExpired) as error:
        say(f"throughput: {error}")
        return 1
    report = _report(plan, broker, figures)
    if arguments.json:
        result(report)
    else:
        _say_table(report)
    return 0


def _measure(plan: Plan, broker: Broker, folder: Path) -> dict[str, list[Figure]]:
    mark = uuid.uuid4().hex[:8]  # a broker that was given may hold the topics of other runs
    outcomes = f"load-{mark}-outcomes" if plan.outcomes else None
    recording = Recording(f"load-{mark}-predictions", outcomes, plan.records, plan.seed, features=plan.features)
    record(broker.bootstrap, recording)
    topics = tuple(filter(None, (recording.predictions, recording.outcomes)))
    names = [name for name in RUNNERS if name not in plan.skipped]
    figures: dict[str, list[Figure]] = {name: [] for name in names}
    for number in range(plan.rounds):
        for name in _rotated(names, number):
            label = f"load-{mark}-{name}-{number}"
            task = Task(broker.bootstrap, topics, label, plan.warm(name), plan.events(name), folder / f"{label}.json")
            figures[name].append(RUNNERS[name].measure(task))
            say(f"round {number + 1} of {plan.rounds}: {name} {figures[name][-1].records_per_s:,.0f} records/s")
    return figures


def _rotated(names: Sequence[str], by: int) -> list[str]:
    """Each round starts with another program: nobody always has the machine at its coolest."""
    cut = by % len(names) if names else 0
    return [*names[cut:], *names[:cut]]


def _report(plan: Plan, broker: Broker, figures: Mapping[str, Sequence[Figure]]) -> dict[str, Any]:
    rates = {name: [figure.records_per_s for figure in rounds] for name, rounds in figures.items()}
    medians = {name: statistics.median(rounds) for name, rounds in rates.items()}
    ours = medians.get(OURS)
    ratios = {name: round(ours / theirs, 3) for name, theirs in medians.items() if ours and name != OURS}
    return {
        "records_per_s": {name: round(rate) for name, rate in medians.items()},
        "ratios": {name: ratio for name, ratio in ratios.items() if name != IN_MEMORY},
        "durability_ratio": ratios.get(IN_MEMORY),
        "rounds": plan.rounds,
        "each_round": {name: [round(rate) for rate in rounds] for name, rounds in rates.items()},
        "measured_records": {name: rounds[0].records for name, rounds in figures.items()},
        "skipped": plan.skipped,
        "workload": {
            "predictions": plan.records,
            "outcomes": plan.outcomes,
            "models": MODELS,
            "features": plan.features,
            "partitions": PARTITIONS,
            "seed": plan.seed,
        },
        "versions": _versions(broker, figures),
        "cpus": os.cpu_count(),
    }


def _versions(broker: Broker, figures: Mapping[str, Sequence[Figure]]) -> dict[str, str]:
    kafka = "as given" if broker.kind is BrokerKind.GIVEN else KAFKA_VERSION
    packages = {name: value for rounds in figures.values() for name, value in rounds[0].versions.items()}
    return {"python": platform.python_version(), "kafka": kafka, **dict(sorted(packages.items()))}


def _say_table(report: Mapping[str, Any]) -> None:
    for name, rate in report["records_per_s"].items():
        ratio = report["durability_ratio"] if name == IN_MEMORY else report["ratios"].get(name)
        say(f"{name:<18}{rate:>10,} records/s" + (f"   driftline is {ratio:g} times as fast" if ratio else ""))


def _records(text: str) -> int:
    records = int(text)
    if records < RECORDS_MIN:
        raise argparse.ArgumentTypeError(f"at least {RECORDS_MIN}: the first {WARM_MIN} only warm up")
    return records


def _rounds(text: str) -> int:
    rounds = int(text)
    if rounds < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return rounds


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in RUNNERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such program: {', '.join(unknown)}; there are {', '.join(RUNNERS)}")
    return names


command = Command(
    "throughput",
    "records a second, beside state in memory, plain Faust, quixstreams and a bare reader",
    add_arguments,
    run,
    "python -m load throughput --json",
)
