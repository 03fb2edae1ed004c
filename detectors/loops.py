"""All loops that are compiled: loaded or compiled as a whole before the first record, or a part of them by itself."""

from collections.abc import Callable, Sequence

import numpy as np

from detectors import ahead, shelf, unpacking
from detectors.banks import daily, packed, registry
from detectors.banks.jit import kept_in
from detectors.banks.shiryaev_learning import settle
from detectors.banks.shiryaev_steps import look
from detectors.baseline import Baseline
from detectors.together import Together

_PLACES, _ROW, _MATRIX, _CUBE = np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0, 0))


def warm_up() -> None:
    """Compiles every loop, or loads it from the cache, so that the first event does not wait for it."""
    registry.warm_up()
    _begin()
    _read()


def _watch() -> None:
    own = (_MATRIX, _MATRIX, _MATRIX, _MATRIX, _MATRIX, _MATRIX)
    look(_PLACES, _MATRIX, _MATRIX, _ROW, *own, _ROW, _ROW, _CUBE, _MATRIX, 0.0, _CUBE, 0, _MATRIX)


def _learn() -> None:
    settle(_PLACES, _MATRIX, _ROW, _MATRIX, _MATRIX, _MATRIX, _MATRIX, _ROW, _ROW, _CUBE, 0)
    daily.removed(_MATRIX, _ROW, daily.fresh(0, 0))


def _read() -> None:
    shelf.warm_up()
    ahead.warm_up()
    unpacking.warm_up()


def _begin() -> None:
    baseline = Baseline()
    baseline.learn(2)
    baseline.measure(np.zeros((1, 1)))
    together = Together(1)
    together.begin(1)
    together.distances(np.zeros((1, 1)))


def _count() -> None:
    packed.warm_up()
    registry.warm_up_others()
    _begin()


# They share no loop, so each may be compiled by a process of its own. Dealt to two, both have as much to do.
PARTS: Sequence[Callable[[], None]] = (_watch, _count, _read, _learn)


def folder() -> str | None:
    """Where the caches lie; none where there is no place for them."""
    return kept_in(look)
