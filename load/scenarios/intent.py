"""``intent``, a multiclass classifier: what does this message want? It reads the text, which nobody logs."""

import numpy as np

from load.scenarios.draw import Choices, category, coin, latency, named
from load.scenarios.time import (
    HOUR_MS,
    MINUTE_MS,
    Floats,
    Times,
    arrivals,
    in_force,
    jittered,
    lognormal_delays,
)
from load.scenarios.traffic import Traffic, rounded
from load.scenarios.truth import DriftKind, InjectedDrift

MODEL = "intent"
PREDICTIONS = 24_000

INTENTS = {"billing": 0.30, "cancel": 0.15, "delivery": 0.25, "other": 0.30}
INTENTS_LATER = {"billing": 0.24, "cancel": 0.12, "delivery": 0.40, "other": 0.24}  # delivery gains 15 points
# How far a text speaks for its true intent, in sd of its noise: about one message in nine is misread.
EVIDENCE = 2.4

LANGUAGES = {"en": 0.6, "de": 0.3, "pl": 0.1}

CHANNELS = {"web": 0.50, "app": 0.35, "phone": 0.15, "unknown": 0.0}
UNKNOWN_SHARE = 0.15

LENGTH_MEAN, LENGTH_SD = 180.0, 45.0
LENGTH_SHIFT_SD = 0.9
EPISODE_MS = 2 * HOUR_MS

LABEL_MEDIAN_MS, LABEL_SPREAD, LABEL_LONGEST_MS = 15 * MINUTE_MS, 0.7, 3 * HOUR_MS
LABELS_THAT_COME = 0.90


def make(rng: np.random.Generator) -> Traffic:
    """The day of this model, drifts and all."""
    made = arrivals(rng, PREDICTIONS)
    first, second, channel_breaks, intents_move = (jittered(rng, hour) for hour in (7.0, 12.5, 16.0, 18.5))
    member = coin(rng, 0.4, PREDICTIONS)
    wants = _intents(rng, made, intents_move)
    posterior = _posterior(rng, wants)
    delays = lognormal_delays(rng, PREDICTIONS, LABEL_MEDIAN_MS, LABEL_SPREAD, LABEL_LONGEST_MS)
    names = tuple(INTENTS)
    return Traffic(
        model=MODEL,
        version="3.1",
        made_ms=made,
        features={
            "message_length": rounded(_lengths(rng, made, (first, second)), 0),
            "channel": named(_channels(rng, made, channel_breaks), CHANNELS),
            "language": named(category(rng, LANGUAGES, PREDICTIONS), LANGUAGES),
            "past_contacts": rng.poisson(0.9, PREDICTIONS).tolist(),
            "member": member.tolist(),
        },
        predictions=[names[index] for index in posterior.argmax(axis=1).tolist()],
        scores={name: posterior[:, index] for index, name in enumerate(names)},
        latency_ms=latency(rng, PREDICTIONS, 60.0),
        labels=named(wants, INTENTS),
        labelled=coin(rng, LABELS_THAT_COME, PREDICTIONS),
        label_ms=made + delays,
        truth=_truth((first, second), channel_breaks, intents_move),
        times_as_text=True,
    )


def _intents(rng: np.random.Generator, made: Times, starts_ms: int) -> Choices:
    before, after = category(rng, INTENTS, len(made)), category(rng, INTENTS_LATER, len(made))
    return np.where(in_force(made, starts_ms), after, before)


def _posterior(rng: np.random.Generator, wants: Choices) -> Floats:
    """What an ideal reader believes after the text: the prior it was trained with and noisy evidence for the truth."""
    evidence = rng.normal(size=(len(wants), len(INTENTS)))
    evidence[np.arange(len(wants)), wants] += EVIDENCE
    logits = np.log(list(INTENTS.values())) + EVIDENCE * evidence
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    posterior: Floats = weights / weights.sum(axis=1, keepdims=True)
    return posterior


def _lengths(rng: np.random.Generator, made: Times, starts: tuple[int, ...]) -> Floats:
    lengths = rng.gamma((LENGTH_MEAN / LENGTH_SD) ** 2, LENGTH_SD**2 / LENGTH_MEAN, len(made))
    for starts_ms in starts:
        lengths += LENGTH_SHIFT_SD * LENGTH_SD * in_force(made, starts_ms, starts_ms + EPISODE_MS)
    return lengths


def _channels(rng: np.random.Generator, made: Times, starts_ms: int) -> Choices:
    unknown = coin(rng, UNKNOWN_SHARE, len(made)) & in_force(made, starts_ms)
    return np.where(unknown, tuple(CHANNELS).index("unknown"), category(rng, CHANNELS, len(made)))


_OF_INTENTS = tuple(f"{what}={name}" for what in ("prediction", "label") for name in ("billing", "cancel", "other"))


def _truth(episodes: tuple[int, int], channel_breaks: int, intents_move: int) -> tuple[InjectedDrift, ...]:
    recurring = tuple(
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.RECURRING,
            signals=("feature:message_length",),
            starts_ms=starts_ms,
            ends_ms=starts_ms + EPISODE_MS,
            description=f"message_length +{LENGTH_SHIFT_SD} sd, {which} 2 h",
        )
        for which, starts_ms in zip(("first", "second"), episodes, strict=True)
    )
    return (
        *recurring,
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.NEW_CATEGORY,
            signals=("feature:channel=*", "feature:channel=unknown"),
            consequences=("feature:channel=web", "feature:channel=app", "feature:channel=phone"),
            starts_ms=channel_breaks,
            description=f"channel: {UNKNOWN_SHARE:.0%} 'unknown', a new one",
        ),
        InjectedDrift(
            model=MODEL,
            kind=DriftKind.PREDICTION,
            signals=("prediction=delivery",),
            consequences=(*_OF_INTENTS, "label=delivery"),
            starts_ms=intents_move,
            description="15 points more want their delivery",
        ),
    )
