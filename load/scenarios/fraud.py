"""``fraud``, the healthy one: a binary classifier with heavy tails, rare positives and nulls, and no drift at all."""

import numpy as np

from load.scenarios.draw import category, coin, latency, named, sigmoid
from load.scenarios.time import HOUR_MS, MINUTE_MS, arrivals, lognormal_delays
from load.scenarios.traffic import Traffic, rounded

MODEL = "fraud"
PREDICTIONS = 24_000

COUNTRIES = {"de": 0.35, "fr": 0.25, "es": 0.20, "it": 0.15, "mt": 0.05}
COUNTRY_LOGITS = np.array([-0.2, 0.0, 0.1, 0.1, 1.2])
MERCHANTS = {"grocery": 0.4, "travel": 0.2, "electronics": 0.2, "fuel": 0.15, "gift_cards": 0.05}
MERCHANT_LOGITS = np.array([-0.8, 0.2, 0.6, -0.5, 1.6])
ALARM_FROM = 0.3  # a missed fraud costs more than a needless check
AGE_MISSING = 0.015  # an honest stream has some

LABEL_MEDIAN_MS, LABEL_SPREAD, LABEL_LONGEST_MS = 75 * MINUTE_MS, 0.7, 6 * HOUR_MS
LABELS_THAT_COME = 0.90


def make(rng: np.random.Generator) -> Traffic:
    """The day of this model: every row is drawn from the same distribution, whatever the hour."""
    made = arrivals(rng, PREDICTIONS)
    log_amount, age = rng.normal(3.4, 1.0, PREDICTIONS), rng.gamma(1.5, 300.0, PREDICTIONS)
    country, merchant = category(rng, COUNTRIES, PREDICTIONS), category(rng, MERCHANTS, PREDICTIONS)
    present, attempts = coin(rng, 0.7, PREDICTIONS), rng.poisson(0.4, PREDICTIONS)
    logits = COUNTRY_LOGITS[country] + MERCHANT_LOGITS[merchant] + 1.2 * (log_amount - 3.4) + 0.9 * attempts
    score = sigmoid(logits - 1.5 * present - 0.001 * age - 2.8)
    age_known = ~coin(rng, AGE_MISSING, PREDICTIONS)
    ages = zip(age_known.tolist(), rounded(age, 0), strict=True)
    return Traffic(
        model=MODEL,
        version="12",
        made_ms=made,
        features={
            "amount": rounded(np.exp(log_amount), 2),
            "account_age_days": [days if known else None for known, days in ages],
            "attempts_1h": attempts.tolist(),
            "merchant": named(merchant, MERCHANTS),
            "country": named(country, COUNTRIES),
            "card_present": present.tolist(),
        },
        predictions=(score >= ALARM_FROM).astype(np.int64).tolist(),
        score=score,
        latency_ms=latency(rng, PREDICTIONS, 8.0),
        labels=coin(rng, score, PREDICTIONS).astype(np.int64).tolist(),
        labelled=coin(rng, LABELS_THAT_COME, PREDICTIONS),
        label_ms=made + lognormal_delays(rng, PREDICTIONS, LABEL_MEDIAN_MS, LABEL_SPREAD, LABEL_LONGEST_MS),
    )
