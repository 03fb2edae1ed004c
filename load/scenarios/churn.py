"""``churn``, a binary classifier: does this customer leave? Labels take from minutes to hours."""

import numpy as np

from load.scenarios.draw import Choices, category, coin, latency, named, sigmoid
from load.scenarios.time import (
    HOUR_MS,
    MINUTE_MS,
    Floats,
    Times,
    arrivals,
    at_hour,
    in_force,
    jittered,
    lognormal_delays,
)
from load.scenarios.traffic import Traffic, rounded
from load.scenarios.truth import Deployment, DriftKind, InjectedDrift

MODEL = "churn"
PREDICTIONS = 24_000

CONTRACTS = {"monthly": 0.50, "yearly": 0.35, "two_year": 0.15}
CONTRACT_LOGITS = np.array([1.6, -0.8, -2.4])
# After the change it is the customers with long contracts who leave: a competitor buys them out.
CONTRACT_LOGITS_LATER = np.array([0.2, 0.6, -0.6])

REGIONS = {"north": 0.40, "south": 0.30, "east": 0.20, "west": 0.10}
REGIONS_LATER = {"north": 0.25, "south": 0.30, "east": 0.20, "west": 0.25}  # 15 points from north to west

COUNTRIES = {"de": 0.5, "fr": 0.3, "it": 0.2}

SESSIONS_MEAN, SESSIONS_SD = 14.0, 3.5
SESSIONS_SHIFT_SD = 0.8

DEPLOYED_HOUR = 18.5  # after the retrain event
# The new version knows whom the competitor courts: on the logit so much for those who leave, and against the others.
INSIGHT = 0.4

LABEL_MEDIAN_MS, LABEL_SPREAD, LABEL_LONGEST_MS = 40 * MINUTE_MS, 0.8, 5 * HOUR_MS
LABELS_THAT_COME = 0.95


def make(rng: np.random.Generator) -> Traffic:
    """The day of this model, drifts and all."""
    made = arrivals(rng, PREDICTIONS)
    sessions_move, regions_move, concept_moves = (jittered(rng, hour) for hour in (7.0, 11.0, 15.5))
    contract = category(rng, CONTRACTS, PREDICTIONS)
    tenure, calls = rng.gamma(2.0, 14.0, PREDICTIONS), rng.poisson(1.2, PREDICTIONS)
    spend, autopay = rng.normal(62.0, 18.0, PREDICTIONS), coin(rng, 0.6, PREDICTIONS)
    others = -1.1 * (tenure - 28.0) / 20.0 + 1.2 * (calls - 1.2) + 0.5 * (spend - 62.0) / 18.0 - 1.0 * autopay
    score = sigmoid(1.3 * (others + CONTRACT_LOGITS[contract] - 0.3))
    chance_later = sigmoid(1.3 * (others + CONTRACT_LOGITS_LATER[contract] - 0.3))
    deployed_ms = at_hour(DEPLOYED_HOUR)
    leaves = coin(rng, np.where(in_force(made, concept_moves), chance_later, score), PREDICTIONS)
    insight = INSIGHT * np.where(leaves, 1.0, -1.0)
    score_later = sigmoid(np.log(chance_later / (1.0 - chance_later)) + insight)
    score = np.where(in_force(made, deployed_ms), score_later, score)
    delays = lognormal_delays(rng, PREDICTIONS, LABEL_MEDIAN_MS, LABEL_SPREAD, LABEL_LONGEST_MS)
    return Traffic(
        model=MODEL,
        version="2026-01",
        made_ms=made,
        features={
            "tenure_months": rounded(tenure, 1),
            "monthly_spend": rounded(spend, 2),
            "support_calls": calls.tolist(),
            "sessions_7d": rounded(_sessions(rng, made, sessions_move), 1),
            "contract": named(contract, CONTRACTS),
            "region": named(_regions(rng, made, regions_move), REGIONS),
            "autopay": autopay.tolist(),
        },
        predictions=(score >= 0.5).tolist(),
        score=score,
        segments={"country": named(category(rng, COUNTRIES, PREDICTIONS), COUNTRIES)},
        latency_ms=latency(rng, PREDICTIONS, 12.0),
        labels=leaves.tolist(),
        labelled=coin(rng, LABELS_THAT_COME, PREDICTIONS),
        label_ms=made + delays,
        truth=_truth(sessions_move, regions_move, concept_moves),
        deployment=Deployment("2026-02", deployed_ms, "trained on who leaves now, and why"),
    )


def _sessions(rng: np.random.Generator, made: Times, starts_ms: int) -> Floats:
    """The model gives this feature no weight, so its drift stays alone."""
    sessions = rng.normal(SESSIONS_MEAN, SESSIONS_SD, len(made))
    shifted: Floats = sessions + SESSIONS_SHIFT_SD * SESSIONS_SD * in_force(made, starts_ms)
    return shifted


def _regions(rng: np.random.Generator, made: Times, starts_ms: int) -> Choices:
    before, after = category(rng, REGIONS, len(made)), category(rng, REGIONS_LATER, len(made))
    return np.where(in_force(made, starts_ms), after, before)


def _truth(sessions_move: int, regions_move: int, concept_moves: int) -> tuple[InjectedDrift, ...]:
    return (
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.ABRUPT,
            signals=("feature:sessions_7d",),
            starts_ms=sessions_move,
            description=f"sessions_7d moves by {SESSIONS_SHIFT_SD} sd, for good",
        ),
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.CATEGORY_MIX,
            signals=("feature:region=north", "feature:region=west"),
            starts_ms=regions_move,
            description="region: 15 points go north to west",
        ),
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.CONCEPT,
            signals=("loss", "log_loss"),
            consequences=("label=true",),
            starts_ms=concept_moves,
            description="other customers leave, inputs alike",
        ),
    )
