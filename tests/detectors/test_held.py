"""Rows that are run far ahead decide what they do little by little, also where a watch watches again between them."""

from collections.abc import Iterator

import numpy as np
import pytest

from detectors.banks.adwin import AdwinBank
from detectors.banks.river import RiverBank, detector_class
from detectors.columns import FeatureRows, NumberCells, WordCells
from detectors.config import ModelConfig, MonitorConfig
from detectors.effects import Effect
from detectors.engine import Engine
from detectors.held import Held
from detectors.lifecycle import RECOVERED_ROWS
from detectors.rows import Stretch
from schemas.topics import Stream, TopicNames
from tests.streams.test_tables import START

ROWS = 14_000


def drifting(seed: int) -> Stretch:
    """One feature that goes away and comes back again and again, one that does so for a moment, and one that stays.

    A moment comes again as soon as the one before may be over.
    """
    draw = np.random.default_rng(seed)
    numbers = np.arange(ROWS)
    often, moments = 2.0 * (numbers // 1_700 % 2), 6.0 * (numbers % (RECOVERED_ROWS + 100) < 30)
    features = {
        name: NumberCells(draw.normal(size=ROWS) + moved)
        for name, moved in (("often", often), ("moments", moments), ("never", 0.0 * numbers))
    }
    return Stretch(
        topic="june.parquet",
        numbers=numbers,
        stamps=START + 1_000 * numbers,
        offsets=numbers,
        ids=[f"r{number}" for number in numbers.tolist()],
        models=WordCells(np.zeros(ROWS, dtype=np.int64), ["churn"]),
        predictions=WordCells((draw.random(ROWS) < 0.4).astype(np.int64), ["yes", "no"]),
        features=FeatureRows(features, ROWS),
        fingerprints=numbers,
    )


def told(rows: Stretch, config: ModelConfig, size: int) -> list[Effect]:
    engine = Engine(0, MonitorConfig(defaults=config), TopicNames(), any_stream=True)
    effects = list[Effect]()
    for part in parts(rows, size):
        effects += engine.apply(part).effects
    return effects


def parts(rows: Stretch, size: int) -> Iterator[Stretch]:
    for start in range(0, len(rows), size):
        yield rows.taken(slice(start, start + size))


@pytest.mark.parametrize("detectors", [("shiryaev_roberts", "adwin", "page_hinkley"), ("shiryaev_roberts", "hddm_w")])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_decided_far_ahead_is_what_is_decided_little_by_little(seed: int, detectors: tuple[str, ...]) -> None:
    config = ModelConfig(baseline_rows=500, detectors=detectors, rows_per_false_alarm=20_000.0)
    rows = drifting(seed)
    whole = told(rows, config, ROWS)
    assert whole == told(rows, config, 700)
    ended = [effect for effect in whole if effect.stream is Stream.ALERTS and b'"resolved"' in effect.value]
    assert len(ended) > 1


def test_who_goes_back_is_as_before() -> None:
    draw = np.random.default_rng(1)
    bank, straight = AdwinBank(3), AdwinBank(3)
    first, second = draw.normal(size=(2, RECOVERED_ROWS, 3))
    for each in (bank, straight):
        each.update(first)
    held = Held([bank])
    bank.update(second + 5.0)
    bank.grow(4)
    held.go_back()
    bank.update(second)
    straight.update(second)
    assert bank.snapshot() == straight.snapshot()


def test_what_rivers_own_objects_hold_nobody_knows() -> None:
    assert Held.can_hold(AdwinBank(1))
    assert not Held.can_hold(RiverBank(detector_class("river.drift.KSWIN"), {}, 1))
