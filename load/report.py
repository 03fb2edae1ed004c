"""``python -m load report``: how large the report of a long replay is, and how soon a browser shows it.

Traffic of many models over a week, each with shifts of its features, goes through the engine; the report of it is
opened in a headless Chromium, each time in a fresh one. ``first_view_s`` goes from the start of the navigation until
the figures of the first screen are drawn: the median of the runs.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from load.arguments import seed
from load.browser import browser
from load.output import result, say
from load.process import memory_mib
from schemas.records import Record
from schemas.times import UNIT_MS
from streams import embedded
from streams.commands import Command
from streams.findings.collect import collect
from streams.page.document import write
from streams.process import prepare
from streams.sections import Settings
from streams.sinks import ResultFiles

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SPAN_MS = 7 * UNIT_MS["d"]
FEATURES = 5
SHIFTS = 4  # of one model, one feature after the other
RUNS = 5
VIEW_S = 60.0
BYTES_IN_MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=1_000_000, metavar="N", help="in all, default: %(default)s")
    parser.add_argument("--models", type=int, default=50, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where results and report stay; default: nowhere")


def run(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="driftline-report-") as temporary:
        place = Path(arguments.keep or temporary).resolve()
        place.mkdir(parents=True, exist_ok=True)
        figures = measure(place, arguments.events, arguments.models, arguments.seed)
    result(figures)
    return 0


def measure(place: Path, events: int, models: int, number: int, runs: int = RUNS) -> dict[str, Any]:
    say(f"report: {events:,} events of {models} models through the engine")
    prepare()
    with ResultFiles(place / "results") as files:
        source = _records(events // models // 2, models, np.random.default_rng(number))
        where = files.finish(embedded.run(source, Settings(), sinks=(files,)))
    say("report: reading it back")
    resident, began = memory_mib("VmRSS"), time.perf_counter()
    found = collect(where)
    write(found, place / "report.html")
    made_s = time.perf_counter() - began
    say("report: opening it")
    views, requests, complaints = asyncio.run(_views(place / "report.html", runs))
    return {
        "events": found.summary.records,
        "models": len(found.all_models),
        "incidents": found.incidents,
        "mib": round((place / "report.html").stat().st_size / BYTES_IN_MIB, 2),
        "first_view_s": statistics.median(views),
        "first_view_s_all": views,
        "requests": len(requests),
        "complaints": complaints,
        "made_s": round(made_s, 2),
        "results_mib": round(sum(file.stat().st_size for file in where.iterdir()) / BYTES_IN_MIB, 1),
        "rss_grew_mib": round(memory_mib("VmRSS") - resident, 1),
    }


async def _views(page: Path, runs: int) -> tuple[list[float], list[str], list[str]]:
    views, requests, complaints = [], [], []
    for _ in range(runs):
        async with browser() as running:
            tab = await running.page()
            await tab.window(1280, 900)
            await tab.open(page)
            views.append(round(await first_view_ms(tab) / 1_000, 3))
            requests += tab.requests
            complaints += tab.complaints
    return views, requests, complaints


async def first_view_ms(tab: Any) -> float:
    """Since the start of the navigation."""
    async with asyncio.timeout(VIEW_S):
        shown: float = await tab.evaluate(
            "new Promise(told => { const look = () => { const [seen] = performance.getEntriesByName('first-view');"
            " if (seen) told(seen.startTime); else setTimeout(look, 10); }; look(); })"
        )
    return shown


def _records(predictions: int, models: int, rng: np.random.Generator) -> Iterator[Record]:
    """Of one partition after the other, as the embedded runner takes them: a model each."""
    for model in range(models):
        for offset, (ts, value) in enumerate(_events(f"model-{model:02}", predictions, rng)):
            yield Record("events", model, offset, ts, None, value)


def _events(model: str, count: int, rng: np.random.Generator) -> Iterator[tuple[int, bytes]]:
    made = START_MS + np.sort(rng.integers(0, SPAN_MS, count))
    known = made + rng.exponential(2 * UNIT_MS["h"], count).astype(np.int64)
    values = rng.normal(size=(count, FEATURES))
    spell = count // 10
    for number in range(SHIFTS):
        begins = count // 4 + number * (count - count // 4) // SHIFTS
        values[begins : begins + spell, number % FEATURES] += rng.uniform(1.5, 2.5)
    score = 1 / (1 + np.exp(-values[:, 0]))
    label = rng.random(count) < score
    order = np.argsort(np.concatenate([made, known]), kind="stable")
    for at in order.tolist():
        which, ts = at % count, int(made[at] if at < count else known[at - count])
        about = {"v": 1, "id": f"p{which}", "model": model, "ts": ts}
        if at >= count:
            yield ts, orjson.dumps({"type": "outcome", **about, "label": bool(label[which])})
            continue
        features = {f"feature_{number}": float(value) for number, value in enumerate(values[which])}
        answer = {"prediction": bool(score[which] > 0.5), "score": float(score[which]), "version": "1"}
        yield ts, orjson.dumps({"type": "prediction", **about, "features": features, **answer})


command = Command(
    "report",
    "Make the report of a long replay, and open it in a browser",
    add_arguments,
    run,
    "python -m load report --json",
)
