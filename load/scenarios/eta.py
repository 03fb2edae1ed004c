"""``eta``, a regression: minutes until a delivery arrives. The label comes with the delivery itself."""

import numpy as np

from load.scenarios.draw import category, coin, latency, named
from load.scenarios.time import (
    HOUR_MS,
    MINUTE_MS,
    Floats,
    Times,
    arrivals,
    at_hour,
    gradually_in_force,
    in_force,
    jittered,
)
from load.scenarios.traffic import Column, Traffic, rounded
from load.scenarios.truth import Deployment, DriftKind, InjectedDrift

MODEL = "eta"
PREDICTIONS = 24_000

VEHICLES = {"bike": 0.50, "scooter": 0.30, "car": 0.20}
VEHICLE_MINUTES = np.array([2.0, 0.0, -1.5])

TRAFFIC_MEAN, TRAFFIC_SD = 1.0, 0.25
TRAFFIC_SHIFT_SD = 1.0
TRAFFIC_RAMP_MS = 3 * HOUR_MS
TRAFFIC_MINUTES = 14.0  # a unit of traffic; it matters, so predictions move with it

NULLS_BEFORE, NULLS_DURING = 0.003, 0.20
WRONG_TYPE_SHARE = 0.20

NOISE_MINUTES = 4.0
# Half of all ways cross the closed bridge and take so much longer: the mean absolute error doubles.
BRIDGE_SHARE, BRIDGE_MINUTES = 0.5, 8.5

DEPLOYED_HOUR = 20.0
KM_MINUTES, MILES_IN_A_KM = 2.6, 0.6214

LABELS_THAT_COME = 0.98


def make(rng: np.random.Generator) -> Traffic:
    """The day of this model, drifts and all."""
    made = arrivals(rng, PREDICTIONS)
    traffic_moves, nulls_come, bridge_closes, type_breaks = (jittered(rng, hour) for hour in (6.5, 11.5, 16.0, 19.0))
    nulls_go = nulls_come + 2 * HOUR_MS
    distance, traffic = rng.gamma(3.0, 1.6, PREDICTIONS), _traffic(rng, made, traffic_moves)
    load, rain = rng.beta(4.0, 4.0, PREDICTIONS), coin(rng, 0.2, PREDICTIONS)
    vehicle = category(rng, VEHICLES, PREDICTIONS)
    minutes = (
        6.0 + KM_MINUTES * distance + TRAFFIC_MINUTES * traffic + 12.0 * load + 4.0 * rain + VEHICLE_MINUTES[vehicle]
    )
    took = minutes + rng.normal(0.0, NOISE_MINUTES, PREDICTIONS)
    took += BRIDGE_MINUTES * (coin(rng, BRIDGE_SHARE, PREDICTIONS) & in_force(made, bridge_closes))
    took = np.maximum(took, 3.0)
    deployed_ms = at_hour(DEPLOYED_HOUR)
    answers = minutes - in_force(made, deployed_ms) * KM_MINUTES * (1.0 - MILES_IN_A_KM) * distance
    return Traffic(
        model=MODEL,
        version="7",
        made_ms=made,
        features={
            "distance_km": rounded(distance, 2),
            "traffic_index": rounded(traffic, 3),
            "kitchen_load": rounded(load, 3),
            "basket_items": _basket(rng, made, nulls_come, nulls_go),
            "courier_rating": _ratings(rng, made, type_breaks),
            "vehicle": named(vehicle, VEHICLES),
            "rain": rain.tolist(),
        },
        predictions=rounded(answers, 2),
        latency_ms=latency(rng, PREDICTIONS, 25.0),
        labels=rounded(took, 2),
        labelled=coin(rng, LABELS_THAT_COME, PREDICTIONS),
        label_ms=made + ((took + rng.exponential(5.0, PREDICTIONS)) * MINUTE_MS).astype(np.int64),
        truth=_truth(traffic_moves, nulls_come, nulls_go, bridge_closes, type_breaks),
        deployment=Deployment("8", deployed_ms, "trained on the closed bridge, takes kilometres for miles"),
    )


def _traffic(rng: np.random.Generator, made: Times, starts_ms: int) -> Floats:
    moved = gradually_in_force(rng, made, starts_ms, TRAFFIC_RAMP_MS)
    values: Floats = rng.normal(TRAFFIC_MEAN, TRAFFIC_SD, len(made)) + TRAFFIC_SHIFT_SD * TRAFFIC_SD * moved
    return values


def _basket(rng: np.random.Generator, made: Times, starts_ms: int, ends_ms: int) -> Column:
    """The model gives this feature no weight, so a missing one harms no prediction."""
    items = (1 + rng.poisson(2.5, len(made))).tolist()
    chance = np.where(in_force(made, starts_ms, ends_ms), NULLS_DURING, NULLS_BEFORE)
    missing = coin(rng, chance, len(made)).tolist()
    return [None if gone else count for gone, count in zip(missing, items, strict=True)]


def _ratings(rng: np.random.Generator, made: Times, starts_ms: int) -> Column:
    """From some time on a part of the apps sends ``"4,6"`` for 4.6. No weight in the model either."""
    ratings = rounded(np.clip(rng.normal(4.3, 0.25, len(made)), 1.0, 5.0), 2)
    broken = (coin(rng, WRONG_TYPE_SHARE, len(made)) & in_force(made, starts_ms)).tolist()
    return [f"{rating}".replace(".", ",") if bad else rating for bad, rating in zip(broken, ratings, strict=True)]


def _truth(
    traffic_moves: int, nulls_come: int, nulls_go: int, bridge_closes: int, type_breaks: int
) -> tuple[InjectedDrift, ...]:
    return (
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.GRADUAL,
            signals=("feature:traffic_index",),
            consequences=("prediction", "label"),
            starts_ms=traffic_moves,
            description=f"traffic_index rises by {TRAFFIC_SHIFT_SD:g} sd in 3 h",
        ),
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.NULLS,
            signals=("missing:basket_items",),
            starts_ms=nulls_come,
            ends_ms=nulls_go,
            description=f"basket_items: {NULLS_DURING:.0%} null for 2 h",
        ),
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.CONCEPT,
            signals=("loss",),
            starts_ms=bridge_closes,
            description="closed bridge doubles the error",
        ),
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.WRONG_TYPE,
            signals=("missing:courier_rating",),
            starts_ms=type_breaks,
            description=f"courier_rating: {WRONG_TYPE_SHARE:.0%} text, like '4,6'",
        ),
    )
