"""Small draws that several models' days share."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from load.scenarios.time import Flags, Floats

Choices = NDArray[np.int64]


def sigmoid(logits: Floats) -> Floats:
    values: Floats = 1.0 / (1.0 + np.exp(-logits))
    return values


def coin(rng: np.random.Generator, chance: float | Floats, count: int) -> Flags:
    """True with this chance, for each row on its own."""
    flags: Flags = rng.random(count) < chance
    return flags


def category(rng: np.random.Generator, shares: Mapping[str, float], count: int) -> Choices:
    """Which of the categories each row has, as their index in ``shares``."""
    return rng.choice(len(shares), size=count, p=list(shares.values())).astype(np.int64)


def named(choices: Choices, shares: Mapping[str, float]) -> list[str]:
    names = tuple(shares)
    return [names[index] for index in choices.tolist()]


def latency(rng: np.random.Generator, count: int, typical_ms: float) -> Floats:
    """A service's answering times: rarely much quicker than usual, now and then much slower."""
    return rng.gamma(4.0, typical_ms / 4.0, count)
