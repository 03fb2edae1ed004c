"""Detectors by name: what the configuration says becomes a bank here, or a sentence that says what is wrong."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from detectors.banks import packed, river
from detectors.banks.adwin import AdwinBank
from detectors.banks.contract import Bank
from detectors.banks.ks import KsBank
from detectors.banks.page_hinkley import PageHinkleyBank
from detectors.banks.parameters import (
    Specification,
    cleaned,
    flag,
    fraction,
    nearest,
    not_negative,
    one_of,
    problems,
    share,
    whole,
)
from detectors.banks.shiryaev import WATCH, ShiryaevBank
from detectors.config import Scalar

_BUCKETS_MAX = 1_000  # a column's memory grows with it, its false alarms hardly change beyond ten
_WINDOW_MAX = 10_000  # values that each KSWIN column keeps and sorts at every update
_PATTERNS_MAX = 1_000  # settings kept ready: as many as there are detectors with parameters of their own, and to spare


class Accepts(StrEnum):
    NUMBERS = "numbers"
    BITS = "bits"  # 0 and 1: errors, or anything else that is or is not


class _Entry(NamedTuple):
    """``trial`` finds what no single parameter shows; it may be slow, so it comes last."""

    make: Callable[..., Bank]
    takes: Specification
    accepts: Accepts
    trial: Callable[[Mapping[str, Scalar]], str | None]


def _sound(parameters: Mapping[str, Scalar]) -> str | None:
    return None


def _rivers(path: str, takes: Specification, accepts: Accepts) -> _Entry:
    return _Entry(partial(_river_bank, path), takes, accepts, partial(_river_trial, path))


def _river_bank(path: str, columns: int, **parameters: Scalar) -> Bank:
    return river.RiverBank(river.detector_class(path), parameters, columns)


def _river_trial(path: str, parameters: Mapping[str, Scalar]) -> str | None:
    return river.trial(river.detector_class(path), parameters)


def _kswin_trial(path: str, parameters: Mapping[str, Scalar]) -> str | None:
    """River finds this out when the window is full, in the middle of a stream."""
    window, newest = int(parameters.get("window_size", 100)), int(parameters.get("stat_size", 30))
    if 2 * newest > window:
        return f"stat_size = {newest}: it must be at most half of window_size = {window}, both parts are of that size"
    return _river_trial(path, parameters)


_KSWIN = "river.drift.KSWIN"

_ENTRIES: Mapping[str, _Entry] = {
    WATCH: _Entry(partial(ShiryaevBank, bits=False), {}, Accepts.NUMBERS, _sound),
    "adwin": _Entry(
        AdwinBank,
        {
            "delta": fraction(),
            "clock": whole(1),
            "max_buckets": whole(2, _BUCKETS_MAX),
            "min_window_length": whole(1),
            "grace_period": whole(0),
        },
        Accepts.NUMBERS,
        _sound,
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
        Accepts.NUMBERS,
        _sound,
    ),
    "ks": _Entry(
        KsBank,
        {"alpha": fraction(), "reference": whole(10, _WINDOW_MAX), "window": whole(10, _WINDOW_MAX)},
        Accepts.NUMBERS,
        _sound,
    ),
    "ddm": _rivers(
        "river.drift.binary.DDM",
        {"warm_start": whole(1), "warning_threshold": not_negative(), "drift_threshold": not_negative()},
        Accepts.BITS,
    ),
    "eddm": _rivers(
        "river.drift.binary.EDDM", {"warm_start": whole(1), "alpha": fraction(), "beta": fraction()}, Accepts.BITS
    ),
    "hddm_a": _rivers(
        "river.drift.binary.HDDMA",
        {"drift_confidence": fraction(), "warning_confidence": fraction(), "two_sided_test": flag()},
        Accepts.BITS,
    ),
    "hddm_w": _rivers(
        "river.drift.binary.HDDMW",
        {
            "drift_confidence": fraction(),
            "warning_confidence": fraction(),
            "lambda_val": fraction(),
            "two_sided_test": flag(),
        },
        Accepts.BITS,
    ),
    "kswin": _Entry(
        partial(_river_bank, _KSWIN),
        {
            "alpha": fraction(),
            "window_size": whole(2, _WINDOW_MAX),
            "stat_size": whole(1, _WINDOW_MAX // 2),
            "seed": whole(0),
        },
        Accepts.NUMBERS,
        partial(_kswin_trial, _KSWIN),
    ),
}

NAMES = tuple(_ENTRIES)


def check(name: str, parameters: Mapping[str, Scalar]) -> str | None:
    """What is wrong with this detector in a configuration, every mistake at once; ``None``: nothing."""
    try:
        entry = _entry(name)
    except ValueError as error:
        return str(error)
    wrong = "; ".join(problems(entry.takes, parameters)) or entry.trial(cleaned(entry.takes, parameters))
    return f"{name}: {wrong}" if wrong else None


def build(name: str, parameters: Mapping[str, Scalar], columns: int = 0) -> Bank:
    """A bank of ``columns`` fresh detectors. ``ValueError`` says what ``check`` would have said."""
    # With the types: 1 and 1.0 and true are equal, and are not the same parameter.
    return _pattern(name, tuple(parameters.items()), tuple(map(type, parameters.values()))).fresh(columns)


@lru_cache(_PATTERNS_MAX)
def _pattern(name: str, items: tuple[tuple[str, Scalar], ...], types: tuple[type, ...]) -> Bank:
    """Thousands of models share few settings: each is checked once."""
    parameters = dict(items)
    wrong = check(name, parameters)
    if wrong is not None:
        raise ValueError(wrong)
    entry = _entry(name)
    return entry.make(0, **cleaned(entry.takes, parameters))


def accepts(name: str) -> Accepts:
    """What a bank of this name can be fed; ``ValueError`` where there is none."""
    return _entry(name).accepts


def warm_up() -> None:
    """Compiles every kernel, or loads it from numba's cache, so that the first real update does not wait for it."""
    packed.warm_up()
    warm_up_others()
    for bits in (True, False):
        watching = ShiryaevBank(1, bits=bits, rows=4).allow_all(10.0, 1.0, sided=False)
        watching.update(np.repeat([0.0, 1.0], 64)[:, None])  # it learns, and alarms
        watching.reset(0)
        watching.restore(watching.snapshot())


def warm_up_others() -> None:
    """Those beside the one that watches where nothing else is configured."""
    for name in ("adwin", "page_hinkley"):
        bank = build(name, {}, 1)
        bank.update(np.zeros((1, 1)))
        bank.restore(bank.snapshot())


def _entry(name: str) -> _Entry:
    if "." in name:
        return _imported(name)
    if name not in _ENTRIES:
        known = ", ".join(NAMES)
        raise ValueError(f"no detector {name!r}{nearest(name, NAMES)}; known: {known}, or the import path of a class")
    return _ENTRIES[name]


def _imported(path: str) -> _Entry:
    kind = river.detector_class(path)
    fed = Accepts.BITS if river.takes_bits(kind) else Accepts.NUMBERS
    return _rivers(path, river.specification(kind), fed)
