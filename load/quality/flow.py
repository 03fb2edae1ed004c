"""Silence and volume: how often a model whose traffic is as ever is told of, and how soon one whose is not."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calendar import DAY_MS, HOUR_MS, slot
from detectors.config import ModelConfig
from detectors.flow import PREDICTIONS, VOLUME, Flow
from detectors.mutes import Mutes
from detectors.reports import Said, Step
from load.output import say
from schemas.events import AlertEvent
from schemas.records import Record

START = 1_767_225_600_000  # 2026-01-01, a Thursday
DAYS, CHANGED_AT_DAY, CHANGED_AT_HOUR = 91, 69, 10  # the change is on a Wednesday
SILENT_HOURS, CHANGED_HOURS = 30, 24  # each goes over a night
MODELS = 20  # of each kind
TICK_MS = 60_000
TRAFFIC = ("steady", "sparse_nights", "daily_and_weekly", "working_hours", "nightly_job", "campaigns")
CHANGES = {"volume_x0.3": 0.3, "volume_x0.5": 0.5, "volume_x3": 3.0}
MONTHS = DAYS / 30

Times = NDArray[np.int64]


def flow(seed: int, models: int = MODELS) -> dict[str, Any]:
    """For each kind of traffic, false alarms a model and month; and of each change the share missed and the delay."""
    found: dict[str, Any] = {}
    for number, kind in enumerate(TRAFFIC):
        draws = [np.random.default_rng([seed, number, model]) for model in range(models)]
        hours = [_per_hour(kind, draw) for draw in draws]
        still = [_alarms(_times(rates, kind, draw)) for rates, draw in zip(hours, draws, strict=True)]
        told: dict[str, Any] = {
            f"false_{signal}_a_month": round(sum(len(alarms[signal]) for alarms in still) / models / MONTHS, 3)
            for signal in (PREDICTIONS, VOLUME)
        }
        told["silence"] = _delay([_silenced(rates, kind, draw) for rates, draw in zip(hours, draws, strict=True)])
        for name, factor in CHANGES.items():
            changed = [_changed(rates, kind, draw, factor) for rates, draw in zip(hours, draws, strict=True)]
            told[name] = _delay(changed)
        found[kind] = told
        say(f"flow: {kind}: {told}")
    return found


def _per_hour(kind: str, draw: np.random.Generator) -> NDArray[np.float64]:
    """What is expected in each hour."""
    hours = np.arange(24 * DAYS)
    at = np.array([slot(START + hour * HOUR_MS) for hour in hours.tolist()])
    by_day, weekend = (at % 24 >= 8) & (at % 24 < 20), at >= 24
    if kind == "steady":
        return np.full(len(hours), 60.0)
    if kind == "sparse_nights":
        return np.where(by_day & ~weekend, 120.0, 1.0)
    if kind == "working_hours":
        return np.where(by_day & ~weekend, 60.0, 0.0)
    if kind == "nightly_job":
        return np.where(at % 24 == 2, 600.0, 0.0)
    wave = np.where(weekend, 0.4, 1.0) * (1.0 + 0.8 * np.sin((at % 24 - 9) / 24 * 2.0 * np.pi))
    noise = np.zeros(len(hours))
    for hour in range(1, len(hours)):  # what is busy stays busy for some hours
        noise[hour] = 0.8 * noise[hour - 1] + draw.normal(0.0, 0.15)
    if kind == "campaigns":
        noise += np.where(draw.random(len(hours)) < 0.02, np.log(3.0), 0.0)
    return np.asarray(60.0 * wave * np.exp(noise))


def _times(rates: NDArray[np.float64], kind: str, draw: np.random.Generator) -> Times:
    counts = draw.poisson(rates)
    hours = np.repeat(np.arange(len(rates)), counts)
    within = draw.random(len(hours))
    if kind == "nightly_job":  # ten minutes, which begin within twenty
        within = (within + 2.0 * draw.random(len(rates))[hours]) / 6.0
    times = START + ((hours + within) * HOUR_MS).astype(np.int64)
    times.sort()
    return times


def _silenced(rates: NDArray[np.float64], kind: str, draw: np.random.Generator) -> tuple[int, list[int]]:
    first = 24 * CHANGED_AT_DAY + CHANGED_AT_HOUR
    silent = rates.copy()
    silent[first : first + SILENT_HOURS] = 0.0
    return START + first * HOUR_MS, _alarms(_times(silent, kind, draw))[PREDICTIONS]


def _changed(rates: NDArray[np.float64], kind: str, draw: np.random.Generator, factor: float) -> tuple[int, list[int]]:
    first = 24 * CHANGED_AT_DAY + CHANGED_AT_HOUR
    changed = rates.copy()
    changed[first : first + CHANGED_HOURS] *= factor
    return START + first * HOUR_MS, _alarms(_times(changed, kind, draw))[VOLUME]


def _delay(runs: list[tuple[int, list[int]]]) -> dict[str, float | None]:
    """In hours; what is found more than a day late is missed."""
    late = []
    for began, alarms in runs:
        after = [(ts - began) / HOUR_MS for ts in alarms if 0 <= ts - began <= DAY_MS + HOUR_MS]
        late.append(min(after, default=np.inf))
    found = [hours for hours in late if np.isfinite(hours)]
    return {
        "missed": round(1.0 - len(found) / len(late), 3),
        "hours": round(float(np.median(found)), 2) if found else None,
    }


def _alarms(times: Times) -> dict[str, list[int]]:
    """When each signal opened, with a tick a minute."""
    watch, mutes = Flow("model", ModelConfig()), Mutes()
    opened: dict[str, list[int]] = {PREDICTIONS: [], VOLUME: []}
    for step in _lived_through(watch, mutes, times):
        if isinstance(step, Step) and step.event is AlertEvent.OPENED:
            opened[step.alarm.signal].append(step.moment.now)
    return opened


def _lived_through(watch: Flow, mutes: Mutes, times: Times) -> Iterator[Said]:
    record = Record("predictions", 0, 0, START, None, None)
    ticked = START
    for now in times.tolist():
        while ticked + TICK_MS < now:
            ticked += TICK_MS
            yield from watch.tick((0, ticked, record, None), mutes)
        yield from watch.predicted((0, now, record, None), mutes)
