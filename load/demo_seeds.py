"""``python -m load demo-seeds``: the demo over many seeds, so that one lucky day proves nothing."""

import argparse
import multiprocessing
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import median

from load.output import result, say
from load.scenarios import HEALTHY, InjectedDrift, scenario
from load.score import Find
from load.trial import Trial, try_out
from schemas.events import Alert
from streams.commands import Command
from streams.sections import Settings

SEEDS = "1-20"
PROCESSES = 2  # a day needs some 300 MB of memory and one core
MINUTE_MS = 60_000

Figures = dict[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=_seeds, default=_seeds(SEEDS), metavar="A-B", help=f"default: {SEEDS}")
    parser.add_argument("--processes", type=int, default=PROCESSES, metavar="N", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    figures: dict[int, Figures] = {}
    # A fresh interpreter each: what is compiled or threaded in this one is not to be forked.
    with ProcessPoolExecutor(args.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for seed, own in zip(args.seeds, pool.map(figures_of, args.seeds), strict=True):
            figures[seed] = own
            say(f"seed {seed}: {_in_words(own)}")
    result(_all(figures, time.perf_counter() - started))
    return 0


def figures_of(seed: int) -> Figures:
    """One seed's day, in plain values."""
    return _figures(try_out(scenario(seed), Settings()))


def _figures(trial: Trial) -> Figures:
    score = trial.score
    healthy = score.false_on(HEALTHY)
    elsewhere = [alert for alert in score.false_alarms if alert.model not in HEALTHY]
    return {
        "missed": [
            {"model": drift.model, "kind": drift.kind.value, "signals": drift.signals} for drift in score.missed
        ],
        "false_on_healthy": [_named(alert) for alert in healthy],
        "false_elsewhere": [_named(alert) for alert in elsewhere],
        "again": sum(len(each.again) for each in score.results),
        "consequences": sum(len(each.consequences) for each in score.results),
        "echoes": sum(len(each.echoes) for each in score.results),
        "retrains": len(trial.retrains),
        "cured": [alert.model for alert in trial.alerts if alert.evidence.detail.get("answer") == "cured"],
        "not_cured": [alert.model for alert in trial.alerts if alert.evidence.detail.get("answer") == "not_cured"],
        "rolled_back": [rollback.model for rollback in trial.rollbacks],
        "finds": [_found(each.drift, each.find) for each in score.results if each.find is not None],
        "opened": sum(count for kinds in trial.summary.alerts.values() for count in kinds.values()),
        "grouped": trial.grouped,
        "seconds": trial.summary.seconds,
    }


def _named(alert: Alert) -> Figures:
    return {
        "model": alert.model,
        "signal": alert.signal,
        "detector": alert.detector,
        "ts": alert.ts,
        "summary": alert.summary,
    }


def _found(drift: InjectedDrift, find: Find) -> Figures:
    return {
        "model": drift.model,
        "kind": drift.kind.value,
        "signal": find.alert.signal,
        "detector": find.alert.detector,
        "minutes": round(find.delay_ms / MINUTE_MS, 1),
        "predictions": find.predictions,
        "labels": find.labels,
    }


def _in_words(own: Mapping[str, object]) -> str:
    counts = {
        name: _size(own[name])
        for name in ("finds", "missed", "false_on_healthy", "false_elsewhere", "cured", "rolled_back")
    }
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())


def _all(figures: Mapping[int, Figures], seconds: float) -> Figures:
    alerts = ("missed", "false_on_healthy", "false_elsewhere", "again", "consequences", "echoes", "opened", "grouped")
    totals = (*alerts, "cured", "not_cured", "rolled_back")
    finds = [find for own in figures.values() for find in _list(own["finds"])]
    return {
        **{name: sum(_size(own[name]) for own in figures.values()) for name in totals},
        "drifts": len(finds) + sum(_size(own["missed"]) for own in figures.values()),
        "median_delay": _medians(finds),
        "seconds": round(seconds, 1),
        "seeds": {str(seed): own for seed, own in figures.items()},
    }


def _medians(finds: Iterable[Figures]) -> Figures:
    """By kind of drift: the median and the worst of each way to count a delay."""
    by_kind: dict[str, list[Figures]] = {}
    for find in finds:
        by_kind.setdefault(f"{find['model']}: {find['kind']}", []).append(find)
    return {
        kind: {
            "found": len(own),
            **{unit: _middle_and_worst(own, unit) for unit in ("minutes", "predictions", "labels")},
        }
        for kind, own in sorted(by_kind.items())
    }


def _middle_and_worst(finds: Sequence[Figures], unit: str) -> Figures:
    values = [float(str(find[unit])) for find in finds]
    return {"median": round(median(values), 1), "worst": max(values)}


def _size(value: object) -> int:
    return len(value) if isinstance(value, list) else int(str(value))


def _list(value: object) -> list[Figures]:
    return value if isinstance(value, list) else []


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        seeds = range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = range(0)
    if not seeds:
        raise argparse.ArgumentTypeError(f"must be a seed or a span such as {SEEDS}, is {text}")
    return seeds


command = Command(
    "demo-seeds",
    "Hold the demo's alerts against its truth, for many seeds",
    add_arguments,
    run,
    "python -m load demo-seeds --seeds 1-20 --json",
)
