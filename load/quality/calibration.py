"""Streams that are made: how long it is between false alarms against what was asked, and how late jumps are found."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Finding
from detectors.banks.shiryaev import DAY_MS, HEAD_SHARE, ShiryaevBank
from load.output import say
from load.quality.watching import RIVALS, all_alarms, rival

Stream = NDArray[np.float64]

STREAMS = 200
BASELINE = 5_000
RATES = (0.01, 0.05, 0.1, 0.2, 0.4)
ASKED = (10_000, 100_000)
JUMPS = ((0.1, 0.15), (0.1, 0.2), (0.1, 0.3), (0.1, 0.5), (0.3, 0.4), (0.05, 0.1))
NUMBERS = ("normal", "lognormal", "heavy_tailed", "ar_0.8", "daily_season", "drifting_volume", "fifty_features")
PATIENCE = 10  # times what is asked: streams without an alarm by then are counted as they stand
SETTLED = 2_000  # rows that go well before a jump that comes later
LATEST = 3_000  # rows: what is not found by then is missed
DAY_ROWS = 1_000  # of the stream with a daily season
CHUNK = 2_000
SHORT = (30, 100, 250, 500, 1_000)  # rows of baseline
SHORT_KINDS = ("normal", "lognormal", "errors_0.02", "errors_0.1", "errors_0.3")
SHORT_COLUMNS, SHORT_WATCHED = 1_000, 4_000
SHORT_ASKED = 13_000_000  # rows for each false alarm: one a month, at five predictions a second


def calibration(seed: int, streams: int = STREAMS) -> dict[str, Any]:
    """Measured over asked, for bits; and the least of it for numbers."""
    found: dict[str, Any] = {}
    for asked in ASKED:
        for rate in RATES:
            draw = np.random.default_rng([seed, asked, round(rate * 100)])
            bank = _bank(streams, asked, bits=True)
            ratio = _ratio(bank, _bits(draw, rate, streams), asked)
            found[f"errors_{rate}_at_{asked}"] = ratio
            say(f"calibration: errors {rate} asked {asked:,}: {ratio}")
    for asked in ASKED:
        draw = np.random.default_rng([seed, asked, DAY_ROWS])
        bank = _bank(streams, asked, bits=True, day=float(DAY_ROWS))
        found[f"errors_by_day_at_{asked}"] = ratio = _ratio(bank, _bits_by_day(draw, streams), asked)
        say(f"calibration: errors by day asked {asked:,}: {ratio}")
    for kind in NUMBERS:
        for asked in ASKED:
            draw = np.random.default_rng([seed, asked, NUMBERS.index(kind)])
            found[f"{kind}_at_{asked}"] = _numbers_ratio(kind, draw, asked, streams)
            say(f"calibration: {kind} asked {asked:,}: {found[f'{kind}_at_{asked}']}")
    return found


def short_baselines(seed: int) -> dict[str, Any]:
    """Columns of a thousand that alarm, by how many rows taught them; and how many the budget allows."""
    allowed = SHORT_COLUMNS * (SHORT_WATCHED / SHORT_ASKED + HEAD_SHARE)
    found: dict[str, Any] = {"allowed": round(allowed, 1)}
    for number, kind in enumerate(SHORT_KINDS):
        found[kind] = {}
        for rows in SHORT:
            draw, bits = np.random.default_rng([seed, number, rows]), kind.startswith("errors")
            make = partial(_bits, draw, float(kind.partition("_")[2])) if bits else partial(_MAKERS[kind], draw)
            bank = _bank(SHORT_COLUMNS, SHORT_ASKED, bits=bits, rows=rows)
            parts = islice(make(SHORT_COLUMNS), -(-(rows + SHORT_WATCHED) // CHUNK))
            found[kind][str(rows)] = sum(_is_alarm(bank, each) for values in parts for each in bank.update(values))
        say(f"short baselines: {kind}: {found[kind]} of {SHORT_COLUMNS:,}, allowed {found['allowed']}")
    return found


def rivals(seed: int, rows: int = 20_000, streams: int = 20) -> dict[str, dict[str, float]]:
    """Rows between false alarms of River's defaults, restarted at each; infinite where there was none."""
    found: dict[str, dict[str, float]] = {}
    for name in RIVALS:
        found[f"river_{name}"] = {}
        for rate in RATES:
            draw = np.random.default_rng([seed, round(rate * 100)])
            errors = ((draw.random(rows) < rate).astype(float) for _ in range(streams))
            alarms = sum(1 for stream in errors for _ in all_alarms(rival(name), stream))
            found[f"river_{name}"][str(rate)] = round(rows * streams / alarms) if alarms else float("inf")
    return found


def delays(seed: int, asked: int = 100_000, streams: int = STREAMS) -> dict[str, Any]:
    """The median delay of each jump, and the share missed: right after the baseline, and for us later as well."""
    found: dict[str, Any] = {}
    for before, after in JUMPS:
        draw = np.random.default_rng([seed, round(before * 100), round(after * 100)])
        old, new = draw.random((BASELINE, streams)) < before, draw.random((2 * LATEST, streams)) < after
        stream = np.concatenate((old, new)).astype(float)
        late = {"driftline": _delays(_bank(streams, asked, bits=True).update(stream), streams)}
        # Evidence starts higher than it then stands.
        settled = np.concatenate((draw.random((SETTLED, streams)) < before, stream))
        late["driftline_later"] = _delays(_bank(streams, asked, bits=True).update(settled), streams, SETTLED)
        for name in ("adwin", "page_hinkley", "hddm_a", "hddm_w"):
            alarms = np.array([_first_after(name, stream[:, column]) for column in range(min(streams, 50))])
            late[f"river_{name}"] = alarms
        found[f"{before}_to_{after}"] = {
            name: {"delay": float(np.median(alarms)), "missed": round(float((alarms > LATEST).mean()), 3)}
            for name, alarms in late.items()
        }
        say(f"delay: {before} to {after}: {found[f'{before}_to_{after}']['driftline']}")
    return found


def _bank(streams: int, asked: float, *, bits: bool, rows: int = BASELINE, day: float = DAY_MS) -> ShiryaevBank:
    return ShiryaevBank(streams, bits=bits, rows=rows, day=day).allow_all(asked, HEAD_SHARE * asked, sided=bits)


def _delays(found: list[Any], streams: int, settled: int = 0) -> Stream:
    """Of the streams without a false alarm before the jump."""
    late = np.full(streams, np.inf)
    for each in found:
        if each.mean_after > each.mean_before:
            late[each.column] = min(late[each.column], each.row - BASELINE - settled + 1)
    return late[late > 0]


def _first_after(name: str, errors: Stream) -> float:
    """False alarms before the jump only make it begin afresh."""
    late = (row + 1 - BASELINE for row in all_alarms(rival(name), errors))
    return next((rows for rows in late if rows > 0), float("inf"))


def _ratio(bank: ShiryaevBank, stream: Iterator[Stream], asked: float) -> float:
    """The time to the first false alarm, over all streams, against what was asked."""
    streams = bank.columns
    first = np.full(streams, np.nan)
    row = 0
    while row < BASELINE + PATIENCE * asked and np.isnan(first).any():
        values = next(stream)
        values[:, ~np.isnan(first)] = np.nan
        for each in bank.update(values, np.arange(row, row + len(values), dtype=float)):
            if _is_alarm(bank, each) and np.isnan(first[each.column]):
                first[each.column] = row + each.row + 1 - BASELINE
        row += len(values)
    alarms = int(np.isfinite(first).sum())
    spent = np.where(np.isnan(first), row - BASELINE, first).sum()
    return round(float(spent / max(1, alarms) / asked), 2)


def _is_alarm(bank: ShiryaevBank, found: Finding) -> bool:
    """What gets better is none, where only a rise is damage."""
    return found.mean_after > found.mean_before or not bank.sided(found.column)


def _bits(draw: np.random.Generator, rate: float, streams: int) -> Iterator[Stream]:
    while True:
        yield (draw.random((CHUNK, streams)) < rate).astype(float)


def _numbers_ratio(kind: str, draw: np.random.Generator, asked: int, streams: int) -> float:
    if kind == "fifty_features":
        return _fifty(draw, asked, max(2, streams // 20))
    day = float(DAY_ROWS) if kind == "daily_season" else DAY_MS
    bank = _bank(streams, asked, bits=False, rows=BASELINE, day=day)
    return _ratio(bank, _MAKERS[kind](draw, streams), asked)


def _fifty(draw: np.random.Generator, asked: int, models: int) -> float:
    """The first alarm of any of fifty features that share one budget."""
    spent, alarms = 0.0, 0
    for _ in range(models):
        bank = ShiryaevBank(50, bits=False, rows=BASELINE).allow_all(50.0 * asked, HEAD_SHARE * asked, sided=False)
        row, first = 0, None
        while first is None and row < BASELINE + PATIENCE * asked:
            found = bank.update(draw.standard_normal((CHUNK, 50)), np.arange(row, row + CHUNK, dtype=float))
            first = row + found[0].row + 1 if found else None
            row += CHUNK
        spent += (row if first is None else first) - BASELINE
        alarms += first is not None
    return round(spent / max(1, alarms) / asked, 2)


def _independent(shape: Callable[[Stream], Stream]) -> Callable[[np.random.Generator, int], Iterator[Stream]]:
    def made(draw: np.random.Generator, streams: int) -> Iterator[Stream]:
        while True:
            yield shape(draw.standard_normal((CHUNK, streams)))

    return made


def _heavy(draw: np.random.Generator, streams: int) -> Iterator[Stream]:
    while True:
        yield draw.standard_t(2, (CHUNK, streams))


def _correlated(draw: np.random.Generator, streams: int) -> Iterator[Stream]:
    last = draw.standard_normal(streams)
    while True:
        noise = 0.6 * draw.standard_normal((CHUNK, streams))
        values = np.empty_like(noise)
        for row in range(CHUNK):
            last = values[row] = 0.8 * last + noise[row]
        yield values


def _seasonal(draw: np.random.Generator, streams: int) -> Iterator[Stream]:
    row = 0
    while True:
        season = 0.5 * np.sin(2 * np.pi * np.arange(row, row + CHUNK) / DAY_ROWS)
        row += CHUNK
        yield draw.standard_normal((CHUNK, streams)) + season[:, None]


def _bits_by_day(draw: np.random.Generator, streams: int) -> Iterator[Stream]:
    """Three times as many errors at one time of the day as at another."""
    row = 0
    while True:
        share = 0.2 + 0.1 * np.sin(2 * np.pi * np.arange(row, row + CHUNK) / DAY_ROWS)
        row += CHUNK
        yield (draw.random((CHUNK, streams)) < share[:, None]).astype(float)


def _volume(draw: np.random.Generator, streams: int) -> Iterator[Stream]:
    """Ever fewer of the rows have a value, and then ever more."""
    row = 0
    while True:
        there = 0.55 + 0.45 * np.cos(2 * np.pi * np.arange(row, row + CHUNK) / 50_000)
        row += CHUNK
        values = draw.standard_normal((CHUNK, streams))
        yield np.where(draw.random((CHUNK, streams)) < there[:, None], values, np.nan)


_MAKERS: dict[str, Callable[[np.random.Generator, int], Iterator[Stream]]] = {
    "normal": _independent(lambda z: z),
    "lognormal": _independent(np.exp),
    "heavy_tailed": _heavy,
    "ar_0.8": _correlated,
    "daily_season": _seasonal,
    "drifting_volume": _volume,
}
