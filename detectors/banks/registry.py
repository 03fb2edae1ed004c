"""Detectors by name: what the configuration says becomes a bank here, or a sentence that says what is wrong."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from detectors.banks.adwin import AdwinBank
from detectors.banks.contract import Bank
from detectors.banks.page_hinkley import PageHinkleyBank
from detectors.banks.parameters import (
    Specification,
    cleaned,
    fraction,
    nearest,
    not_negative,
    one_of,
    problems,
    share,
    whole,
)
from detectors.config import Scalar

_BUCKETS_MAX = 1_000  # a column's memory grows with it, its false alarms hardly change beyond ten


class _Entry(NamedTuple):
    make: Callable[..., Bank]
    takes: Specification


_ENTRIES: Mapping[str, _Entry] = {
    "adwin": _Entry(
        AdwinBank,
        {
            "delta": fraction(),
            "clock": whole(1),
            "max_buckets": whole(2, _BUCKETS_MAX),
            "min_window_length": whole(1),
            "grace_period": whole(0),
        },
    ),
    "page_hinkley": _Entry(
        PageHinkleyBank,
        {
            "min_instances": whole(1),
            "delta": not_negative(),
            "threshold": not_negative(),
            "alpha": share(),
            "mode": one_of("up", "down", "both"),
        },
    ),
}

NAMES = tuple(_ENTRIES)


def check(name: str, parameters: Mapping[str, Scalar]) -> str | None:
    """What is wrong with this detector in a configuration, every mistake at once; ``None``: nothing."""
    entry = _ENTRIES.get(name)
    if entry is None:
        return f"no detector {name!r}{nearest(name, NAMES)}; known: {', '.join(NAMES)}"
    wrong = problems(entry.takes, parameters)
    return f"{name}: " + "; ".join(wrong) if wrong else None


def build(name: str, parameters: Mapping[str, Scalar], columns: int = 0) -> Bank:
    """A bank of ``columns`` fresh detectors. ``ValueError`` says what ``check`` would have said."""
    wrong = check(name, parameters)
    if wrong is not None:
        raise ValueError(wrong)
    entry = _ENTRIES[name]
    return entry.make(columns, **cleaned(entry.takes, parameters))


def warm_up() -> None:
    """Compiles every kernel, or loads it from numba's cache, so that the first real update does not wait for it."""
    for name in NAMES:
        build(name, {}, 1).update(np.zeros((1, 1)))
