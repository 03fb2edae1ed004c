"""ADWIN for many columns at once, decision for decision the one of River 0.26.1.

Bifet, A. and Gavaldà, R. (2007): Learning from time-changing data with adaptive windowing. SDM, 443-448.

The window is kept as buckets: row 0 holds single values, row r holds sums of 2**r values, oldest first. A row that
overflows merges its two oldest buckets into the next row. Every ``clock`` values each border between buckets is tried
as a cut: the means of the older and the newer part may differ by epsilon, not by more.

River drops old buckets until no cut is left, and then forgets everything at the next update because it has reported.
So the dropping never reaches a decision, and it is not done here: a window is all values since the last report. Nor is
the variance of each bucket kept, which only the dropping needs; that of the whole window is what epsilon rests on.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Finding, Matrix, StateError
from detectors.banks.jit import compiled
from detectors.banks.matrix import checked, checked_column, findings
from detectors.banks.packed import pack, unpack
from detectors.banks.room import longer
from detectors.banks.sealed import Parameters, name_of, unseal

Row = NDArray[np.float64]
Buckets = NDArray[np.float64]  # columns x rows x buckets
Held = NDArray[np.int32]  # columns x rows: how many buckets are in use

_WIDTH, _TOTAL, _VARIANCE = 0, 1, 2  # of the whole window; the variance is not yet divided by the width
_SUMS = 3
_TOGETHER = 32  # values taken in at once
# No decision hangs on a shortcut: as a part of a number, more than a few steps of rounding could make up for.
_CERTAINLY, _ROUNDED = 1.0 - 1e-9, 4e-15
_ROWS_MAX = 48  # 2**48 values in one window: more than a century of a million a second


class AdwinBank:
    """The parameters are River's. ``max_buckets`` is at least 2: with 1, River panics while it shrinks a window."""

    kind = "adwin"
    __slots__ = ("_held", "_limits", "_longest", "_max_buckets", "_name", "_parameters", "_sums", "_totals")

    def __init__(
        self,
        columns: int = 0,
        *,
        delta: float = 0.002,
        clock: int = 32,
        max_buckets: int = 5,
        min_window_length: int = 5,
        grace_period: int = 10,
    ) -> None:
        self._parameters: Parameters = {
            "delta": float(delta),
            "clock": clock,
            "max_buckets": max_buckets,
            "min_window_length": min_window_length,
            "grace_period": grace_period,
        }
        self._name = name_of(self.kind, self._parameters)
        self._limits = float(delta), int(clock), float(min_window_length), float(grace_period)
        self._max_buckets = max_buckets
        self._begin(columns)

    def _begin(self, columns: int) -> None:
        self._longest = 0  # no window is longer; saves looking at each width before every update
        self._sums = np.zeros((columns, _SUMS))
        self._held: Held = np.zeros((columns, 1), dtype=np.int32)
        # One bucket more than stays, so that a row can overflow.
        self._totals: Buckets = np.zeros((columns, 1, self._max_buckets + 1))

    @property
    def columns(self) -> int:
        return len(self._sums)

    @property
    def parameters(self) -> Mapping[str, float | int | str | bool]:
        return self._parameters

    def window(self, column: int) -> tuple[float, float, float]:
        """Width, total and variance times width of the values since the last report."""
        width, total, variance = self._sums[checked_column(column, self.columns)].tolist()
        return width, total, variance

    def fresh(self, columns: int) -> "AdwinBank":
        other = AdwinBank.__new__(AdwinBank)
        other._limits, other._max_buckets, other._parameters = self._limits, self._max_buckets, self._parameters
        other._name = self._name
        other._begin(columns)
        return other

    def grow(self, columns: int) -> None:
        more = max(0, columns - self.columns)
        self._sums = longer(self._sums, more)
        self._held = longer(self._held, more)
        self._totals = longer(self._totals, more)

    def update(self, values: Matrix) -> list[Finding]:
        matrix = checked(values, self.columns)
        self._make_room(len(matrix))
        return findings(_advance(self._sums, self._held, self._totals, matrix, *self._limits))

    def reset(self, column: int) -> None:
        self._sums[checked_column(column, self.columns)] = 0.0
        self._held[column] = 0

    def snapshot(self) -> bytes:
        """Only buckets in use are written, so the bytes say nothing of how much room there happened to be."""
        flat = np.empty(2 + self._sums.size + self._held.size + self._totals.size)
        return self._name + pack(flat[: _flattened(self._sums, self._held, self._totals, flat)])

    def restore(self, state: bytes) -> None:
        flat = unpack(unseal(state, self._name, self.kind, self._parameters))
        columns, rows = _size(flat)
        sums = np.zeros((columns, _SUMS))
        held: Held = np.zeros((columns, max(rows, 1)), dtype=np.int32)
        totals: Buckets = np.zeros((columns, max(rows, 1), self._max_buckets + 1))
        longest = _unflattened(flat, rows, sums, held, totals)
        if longest < 0:
            raise StateError(f"{self.kind}: the buckets in this state do not add up to its windows")
        self._sums, self._held, self._totals, self._longest = sums, held, totals, int(longest)

    def _make_room(self, rows: int) -> None:
        self._longest += rows
        if self._longest <= _capacity(self._held.shape[1], self._max_buckets):
            return
        self._longest = _longest(self._sums) + rows
        more = _rows_for(self._longest, self._max_buckets) - self._held.shape[1]
        if more > 0:
            self._held = longer(self._held, more, axis=1)
            self._totals = longer(self._totals, more, axis=1)


def _capacity(rows: int, max_buckets: int) -> int:
    """The longest window that never needs one more row: each row settles at ``max_buckets`` before the next opens."""
    return max_buckets * ((1 << rows) - 1)


def _rows_for(width: int, max_buckets: int) -> int:
    rows = 1
    while _capacity(rows, max_buckets) < width:
        rows += 1
    return rows


def _longest(sums: Matrix) -> int:
    return int(sums[:, _WIDTH].max(initial=0.0))


def _size(flat: Row) -> tuple[int, int]:
    """How many columns and rows of buckets the numbers are said to be of, if there can be so many."""
    columns, rows = flat[:2].tolist() if len(flat) >= 2 else (-1.0, -1.0)
    if not (0 <= rows <= _ROWS_MAX and rows % 1 == 0 and columns % 1 == 0):
        raise StateError(f"{AdwinBank.kind}: no window has {rows} rows of buckets in {columns} columns")
    if not 0 <= columns * (_SUMS + rows) <= len(flat):
        raise StateError(f"{AdwinBank.kind}: {len(flat)} numbers are too few for {columns} columns")
    return int(columns), int(rows)


@compiled
def _flattened(sums: Matrix, held: Held, totals: Buckets, flat: Row) -> int:
    """Writes the columns and rows there are; then of each column its sums, its counts of buckets, and the buckets."""
    rows = 0
    for column in range(held.shape[0]):
        for row in range(rows, held.shape[1]):
            if held[column, row] > 0:
                rows = row + 1
    flat[0] = held.shape[0]
    flat[1] = rows
    at = 2
    for column in range(held.shape[0]):
        for number in range(_SUMS):
            flat[at + number] = sums[column, number]
        at += _SUMS
        for row in range(rows):
            flat[at + row] = held[column, row]
        at += rows
        for row in range(rows):
            for bucket in range(held[column, row]):
                flat[at] = totals[column, row, bucket]
                at += 1
    return at


@compiled
def _unflattened(flat: Row, rows: int, sums: Matrix, held: Held, totals: Buckets) -> float:
    """The way back. Gives the longest window, or -1 where things do not add up: later nobody checks a bound."""
    at = 2
    longest = 0.0
    for column in range(sums.shape[0]):
        if at + _SUMS + rows > len(flat):
            return -1.0
        for number in range(_SUMS):
            sums[column, number] = flat[at + number]
        at += _SUMS
        width = 0.0
        used = 0
        for row in range(rows):
            count = flat[at + row]
            if not 0.0 <= count < totals.shape[2] or count != np.floor(count):
                return -1.0
            held[column, row] = np.int32(count)
            used += held[column, row]
            width += count * 2.0**row
        longest = max(longest, width)
        at += rows
        if at + used > len(flat) or width != sums[column, _WIDTH]:
            return -1.0
        for row in range(rows):
            for bucket in range(held[column, row]):
                totals[column, row, bucket] = flat[at]
                at += 1
    return longest if at == len(flat) else -1.0


@compiled
def _fill(held: NDArray[np.int32], totals: Matrix, come: Row, many: int, line: Row) -> None:
    """Takes in so many values as if one by one: what is too much for a row goes on to the next, the oldest in pairs."""
    row, most = 0, totals.shape[1] - 1
    while many > 0:
        before = held[row]
        for bucket in range(before):
            line[bucket] = totals[row, bucket]
        for bucket in range(many):
            line[before + bucket] = come[bucket]
        pairs = max(0, before + many - most + 1) // 2
        after = before + many - 2 * pairs
        for bucket in range(after):
            totals[row, bucket] = line[2 * pairs + bucket]
        for pair in range(pairs):
            come[pair] = line[2 * pair] + line[2 * pair + 1]
        held[row] = after
        row, many = row + 1, pairs


@compiled
def _epsilon(harmonic: float, variance: float, confidence: float) -> float:
    return math.sqrt(2.0 * harmonic * variance * confidence) + 2.0 / 3.0 * confidence * harmonic


@compiled
def _calm(sums: Row, held: NDArray[np.int32], totals: Matrix, confidence: float, min_window_length: float) -> bool:
    """Whether it is certain that no cut shows a change, without a division or a root for each.

    The means are apart by ``|older_total * newer - newer_total * older|`` over ``older * newer``, and the square of
    epsilon is at least that of its two terms, in which what is harmonic is ``left`` over ``product``. So both squares
    are held against each other after what they are divided by is multiplied in.
    """
    width = sums[_WIDTH]
    left = width - 2.0 * min_window_length + 2.0
    by_variance, alone = 2.0 * sums[_VARIANCE] / width * confidence * left, (2.0 / 3.0 * confidence * left) ** 2
    older, newer = 0.0, width
    older_total, newer_total = 0.0, sums[_TOTAL]
    calm = confidence > 0.0
    for row in range(len(held) - 1, -1, -1):
        size = float(1 << row)
        for bucket in range(held[row]):
            older += size
            newer -= size
            older_total += totals[row, bucket]
            newer_total -= totals[row, bucket]
            one, other = older_total * newer, newer_total * older
            product = (older - min_window_length + 1.0) * (newer - min_window_length + 1.0)
            apart = (abs(one - other) + _ROUNDED * (abs(one) + abs(other))) * product
            whole = older * newer
            short = (older < min_window_length) | (newer < min_window_length)
            calm &= short | (apart * apart < (by_variance * product + alone) * (whole * whole) * _CERTAINLY)
    return calm


@compiled
def _changed(
    sums: Row, held: NDArray[np.int32], totals: Matrix, delta: float, min_window_length: float, evidence: Row
) -> bool:
    """Whether any cut shows a change. Where several do, ``evidence`` is of the likeliest one."""
    width = sums[_WIDTH]
    older, newer = 0.0, width
    older_total, newer_total = 0.0, sums[_TOTAL]
    confidence = math.log(2.0 * math.log(width) / delta)
    if _calm(sums, held, totals, confidence, min_window_length):
        return False
    variance = sums[_VARIANCE] / width
    likeliest = 0.0
    changed = False
    for row in range(len(held) - 1, -1, -1):
        size = float(1 << row)
        for bucket in range(held[row]):
            older += size
            newer -= size
            older_total += totals[row, bucket]
            newer_total -= totals[row, bucket]
            if newer < min_window_length or older < min_window_length:
                continue
            apart = abs(older_total / older - newer_total / newer)
            harmonic = 1.0 / (older - min_window_length + 1.0) + 1.0 / (newer - min_window_length + 1.0)
            epsilon = _epsilon(harmonic, variance, confidence)
            if not apart > epsilon:
                continue
            # For a step in the mean of normal values this is the logarithm of the likelihood, up to a factor. How far a
            # cut is beyond its epsilon would date it too early: epsilon is wider where the newer part is short.
            likelihood = apart * apart / (1.0 / older + 1.0 / newer)
            if not changed or likelihood > likeliest:
                likeliest = likelihood
                evidence[0] = apart
                evidence[1] = epsilon
                evidence[2] = width
                evidence[3] = older_total / older
                evidence[4] = newer_total / newer
                evidence[5] = newer
            changed = True
    return changed


@compiled
def _advance(
    sums: Matrix,
    held: Held,
    totals: Buckets,
    values: Matrix,
    delta: float,
    clock: int,
    min_window_length: float,
    grace_period: float,
) -> Matrix:
    found = np.empty((4, 8))  # reports are rare; it doubles when they are not
    count = 0
    come, before, more = np.empty(_TOGETHER), np.empty(_TOGETHER), np.empty(_TOGETHER)
    line = np.empty(_TOGETHER + totals.shape[2])
    for column in range(values.shape[1]):
        own_sums, own_held, own_totals = sums[column], held[column], totals[column]
        width, total, variance = own_sums[_WIDTH], own_sums[_TOTAL], own_sums[_VARIANCE]
        # The width is also the number of updates since the last report, which is what River's clock counts.
        wait = clock - int(width) % clock
        row = 0
        while row < values.shape[0]:
            many, most = 0, min(wait, _TOGETHER)
            while row < values.shape[0] and many < most:
                come[many] = values[row, column]
                many += not np.isnan(come[many])
                row += 1
            # Every line in River's order of operations: floating-point addition is not associative.
            for i in range(many):
                before[i] = total
                total += come[i]
            for i in range(many):
                seen = width + i
                away = come[i] - before[i] / seen
                more[i] = seen * away * away / (seen + 1.0)
            for i in range(1 if width == 0.0 else 0, many):
                variance += more[i]
            width += many
            _fill(own_held, own_totals, come, many, line)
            wait -= many
            if wait > 0:
                continue
            wait = clock
            only_zeros = total == 0.0 and variance == 0.0 and delta < 1.0  # such as of a feature that is never missing
            if width <= grace_period or only_zeros:
                continue
            own_sums[_WIDTH], own_sums[_TOTAL], own_sums[_VARIANCE] = width, total, variance
            if count == len(found):
                found = np.concatenate((found, np.empty_like(found)))
            if _changed(own_sums, own_held, own_totals, delta, min_window_length, found[count, 2:]):
                found[count, 0] = row - 1
                found[count, 1] = column
                count += 1
                # River starts afresh at the update after a report; nothing happens in between: it may as well be now.
                width = total = variance = 0.0
                own_held[:] = 0
        own_sums[_WIDTH], own_sums[_TOTAL], own_sums[_VARIANCE] = width, total, variance
    return found[:count]
