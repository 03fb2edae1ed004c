"""``python -m load storm``: what breaks everywhere at once, through the real engine and the real pager.

Twenty models with two hundred features each get their data from one place, which at one moment begins to send
something else. And one statistic crosses its threshold a hundred times in an hour. How many pages is that, and is
anything hidden? Every feature that broke must stand on the signals topic, and every model that has an open incident in
a page: its own, or another's that names it.
"""

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import orjson

from detectors.config import ModelConfig, MonitorConfig
from load.arguments import positive, seed
from load.output import result, say
from load.paging import Desk, paged
from schemas.events import Alert, AlertEvent, Signal
from schemas.records import Record
from schemas.topics import Stream, TopicNames
from streams import embedded
from streams.commands import Command
from streams.process import prepare
from streams.sections import Settings, UpstreamSettings
from streams.state import EffectLike

MODELS, FEATURES = 20, 200
BASELINE_ROWS = 300
HEALTHY_ROWS = 500  # of each model before it breaks, the baseline included
BROKEN_ROWS = 300
ROWS_A_SECOND = 5  # of each model
SHIFT_SD = 4.0
STARTS_MS = 1_760_000_000_000
FLAPS = 100  # in an hour
FLAPPING_ROWS_A_SECOND = 10
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
UPSTREAMS = {"feed": UpstreamSettings()}

_alert = msgspec.json.Decoder(Alert).decode
_signal = msgspec.json.Decoder(Signal).decode


class Heard(NamedTuple):
    """What the engine said, in order."""

    alerts: Sequence[tuple[Alert, bytes]]
    signals: Sequence[Signal]


class Broken(NamedTuple):
    """What one cause breaks at one moment."""

    models: int
    features: int
    seed: int

    @property
    def names(self) -> Sequence[str]:
        return [f"model-{number:02}" for number in range(self.models)]

    @property
    def at_ms(self) -> int:
        return STARTS_MS + HEALTHY_ROWS * 1_000 // ROWS_A_SECOND

    def records(self, topic: str) -> Iterator[Record]:
        """A row of each model in turn, as several services would send them."""
        draw = np.random.default_rng(self.seed)
        names = [f"f{number:03}" for number in range(self.features)]
        every_ms = 1_000 / ROWS_A_SECOND / self.models
        for row in range(HEALTHY_ROWS + BROKEN_ROWS):
            shift = SHIFT_SD if row >= HEALTHY_ROWS else 0.0
            for index, model in enumerate(self.names):
                number = row * self.models + index
                values = (draw.standard_normal(self.features) + shift).round(4)
                yield _prediction(
                    topic, number, STARTS_MS + int(number * every_ms), model, dict(zip(names, values, strict=True))
                )

    @property
    def features_broken(self) -> set[tuple[str, str]]:
        return {(model, f"feature:f{number:03}") for model in self.names for number in range(self.features)}


def flapping(topic: str, seed: int, flaps: int = FLAPS) -> Iterator[Record]:
    """A model of which one feature is far off and back again, so often in an hour."""
    draw = np.random.default_rng(seed)
    rows = 2 * BASELINE_ROWS + 3_600 * FLAPPING_ROWS_A_SECOND * flaps // FLAPS
    half = 3_600 * FLAPPING_ROWS_A_SECOND // FLAPS // 2
    for row in range(rows):
        into = row - 2 * BASELINE_ROWS
        off = into >= 0 and (into // half) % 2 == 0
        one, other = draw.standard_normal(2).round(4)
        features = {"one": one + (SHIFT_SD if off else 0.0), "other": other}
        yield _prediction(topic, row, STARTS_MS + row * 1_000 // FLAPPING_ROWS_A_SECOND, "flapping", features)


def _prediction(topic: str, number: int, ts: int, model: str, features: Mapping[str, object]) -> Record:
    fields = {
        "type": "prediction",
        "v": 1,
        "id": f"p-{number}",
        "model": model,
        "ts": ts,
        "features": features,
        "prediction": 0.5,
    }
    value = orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
    return Record(topic, 0, number, ts, model.encode(), value)


def heard(records: Iterator[Record]) -> Heard:
    """By the engine as a worker runs it; all on one partition, so that what comes first is known."""
    alerts, signals = list[tuple[Alert, bytes]](), list[Signal]()

    def keep(effect: EffectLike) -> None:
        if effect.stream == Stream.ALERTS:
            alerts.append((_alert(effect.value), effect.value))
        elif effect.stream == Stream.SIGNALS:
            signals.append(_signal(effect.value))

    monitor = MonitorConfig(defaults=ModelConfig(baseline_rows=BASELINE_ROWS))
    embedded.run(records, Settings(monitor=monitor), sinks=(keep,), any_stream=False)
    return Heard(alerts, signals)


def storm(folder: Path, broken: Broken) -> Mapping[str, int]:
    """Figures of one cause for everything, without and with what is known of the models' upstream."""
    said = heard(broken.records(TopicNames().predictions))
    say(f"{len(said.signals):,} findings, {len(said.alerts):,} alerts")
    plain = asyncio.run(paged(folder / "plain", said.alerts, {}))
    inhibited = asyncio.run(paged(folder / "inhibited", said.alerts, UPSTREAMS))
    found = {(signal.model, signal.signal) for signal in said.signals}
    return {
        "findings_a_minute": most_in_a_minute([signal.ts for signal in said.signals if signal.ts >= broken.at_ms]),
        "incidents": len({alert.incident for alert, _ in said.alerts}),
        "pages_total": len(inhibited.pages),
        "pages_total_without_upstream": len(plain.pages),
        "pages_per_model_max": _most(plain),
        "pages_per_model_max_with_upstream": _most(inhibited),
        "requests": inhibited.requests,
        "withheld": sum(inhibited.withheld.values()),
        "hidden_signals": len(broken.features_broken - found),
        "models_untold": len(_open_at_the_end(said.alerts) - inhibited.models_told),
    }


def flaps(folder: Path, seed: int, count: int = FLAPS) -> Mapping[str, int]:
    said = heard(flapping(TopicNames().predictions, seed, count))
    desk = asyncio.run(paged(folder / "flapping", said.alerts, {}))
    about = {alert.incident for alert, _ in said.alerts if alert.event is AlertEvent.OPENED}
    return {"flapping_incidents": len(about), "flapping_pages": len(desk.pages)}


def most_in_a_minute(moments: Sequence[int]) -> int:
    """By stream time, in whichever minute has most."""
    at = np.sort(np.asarray(moments, dtype=np.int64))
    ends = np.searchsorted(at, at + MINUTE_MS, side="left")
    return int((ends - np.arange(len(at))).max(initial=0))


def _most(desk: Desk) -> int:
    return max(Counter(page.model for page in desk.pages).values(), default=0)


def _open_at_the_end(alerts: Sequence[tuple[Alert, bytes]]) -> set[str]:
    last = {alert.incident: alert for alert, _ in alerts}
    over = (AlertEvent.RESOLVED, AlertEvent.RETRACTED)
    return {alert.model for alert in last.values() if alert.event not in over}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=_whole, default=MODELS, help="default: %(default)s")
    parser.add_argument("--features", type=_whole, default=FEATURES, help="of each, default: %(default)s")
    parser.add_argument("--seed", type=seed, default=1, help="of the values, default: %(default)s")


def _whole(text: str) -> int:
    return int(positive(text))


def run(arguments: argparse.Namespace) -> int:
    prepare()
    broken = Broken(arguments.models, arguments.features, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="driftline-storm-") as folder:
        figures = {**storm(Path(folder), broken), **flaps(Path(folder), arguments.seed)}
    result({**figures, "models": broken.models, "features": broken.features, "seed": broken.seed})
    return 0


command = Command(
    "storm",
    "pages for one cause that breaks every feature of many models, and for a statistic that flaps",
    add_arguments,
    run,
    "python -m load storm --json",
)
