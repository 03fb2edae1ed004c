"""What every detector is held to.

A *bank* is many detectors of one kind and one setting, a column each, updated together over a matrix of rows. A single
detector is a bank of one column. Rows come in stream order; how they are cut into matrices never changes a result.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class StateError(ValueError):
    """A state that cannot be continued from: another version, kind or setting, or damaged bytes."""


class StateVersionError(StateError):
    """A state that is whole, and that another release wrote."""


class Finding(NamedTuple):
    """One report of one detector: an edge, true for one update. ``nan`` or ``-1`` stand where it does not know."""

    row: int  # of the matrix given to ``update``
    column: int
    value: float  # the statistic that crossed its threshold
    threshold: float
    n: int  # values this decision rests on
    mean_before: float
    mean_after: float
    since: int  # values of this column since the change as the detector dates it, the reporting one included
    spread: float = math.nan  # of the values since: their standard deviation as a factor of that before
    since_low: int = -1  # values between which ``since`` lies about nine times in ten
    since_high: int = -1


class Bank(Protocol):
    """Detectors of one kind side by side. ``columns`` grows only; a NaN in the matrix leaves its column untouched."""

    @property
    def columns(self) -> int: ...

    def fresh(self, columns: int) -> "Bank":
        """Another one with the same setting, which has seen nothing."""

    def grow(self, columns: int) -> None:
        """Appends fresh detectors until there are ``columns`` of them."""

    def update(self, values: Matrix) -> list[Finding]:
        """Feeds the rows in order; findings come ordered by (row, column).

        An infinity, or a matrix of another width, raises ``ValueError`` and changes nothing.
        """

    def reset(self, column: int) -> None:
        """Makes one detector forget everything."""

    def snapshot(self) -> bytes:
        """All state as plain bytes: never pickle. The record that they stand in has the version and the checksum."""

    def restore(self, state: bytes) -> None:
        """Continues exactly where ``snapshot`` was taken, or raises ``StateError`` and changes nothing.

        A bank refuses what is not of its kind and setting, or does not add up. That no byte has changed, it trusts.
        """
