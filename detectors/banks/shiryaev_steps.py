"""The steps of a Shiryaev-Roberts mixture, value by value: see ``detectors.banks.shiryaev``."""

import math

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Matrix
from detectors.banks.jit import compiled
from detectors.banks.vectors import ranking, weighing

Row = NDArray[np.float64]
Cube = NDArray[np.float64]
Places = NDArray[np.int64]

BIT_CELLS = 4  # of a bit and the one before it: 0 after 0, 1 after 0, 0 after 1, 1 after 1
GAP_SHARE, GOOD_PART = 1e-3, 0.05  # of A: the longest time between two values; of the evidence: what is not little
SETTLED = 10.0  # times the baseline's values: after so many more, what is doubtful has had its time
RELEASE = 64  # values that teach the baseline together, when the evidence is low
LOW = 3.0  # times the root of A, in units of the time from value to value: evidence that means little
CERTAIN, CORRELATED_BITS = 5.0, 4.0  # standard errors: of repetition, and of lag-one correlation

# A column's line of floats.
NEED, N = 0, 1  # values that teach it before it is watched, and those that have
PHASE, PENDING_N = 2, 3
PHI, PREVIOUS = 4, 5  # lag-one correlation that is taken out; of bits, how much likelier a 1 is after a 1
BEGAN, CLOCK, SEEN = 6, 7, 8  # when its first value and its newest came, and how many
LIMIT, HEAD = 9, 10  # A, and where evidence starts
SIDED, TEMPER = 11, 12  # whether only a rise is damage: then a fall is watched for itself; and which of the tempers
BLOCK_SUM, BLOCK_N = 13, 14  # of scores: from blocks of them follows how much rows repeat each other
BLOCKS, BLOCK_SQUARES, SCORES, SQUARES = 15, 16, 17, 18
# The mean of what is the baseline of a number, as standardised; whether a better one is being learned; and its mean.
BASE, RENEWING, BASE_NEXT = 19, 20, 21
TOTAL, WHOLE = 22, 23  # the evidence of all alternatives together; values that teach it, those of its day included
DAILY, LINE = 24, 25  # whether a bit's share is known to depend on the time of the day
# Phases: the cuts are sought, the shares are learned, they are, changes are looked for, one was found.
FIRST, SECOND, LEARNED, WATCHED, LATCHED = 0.0, 1.0, 1.5, 2.0, 3.0
BLOCK, CHUNK = 32, 128  # values; rows of which is told how many values fell into each cell, or into each two

# Of each alternative its evidence; and that times the values since its change, their sum, and of numbers their squares.
# Each its own: one that finds a large change at once knows nothing of what others took for a small one.
MOMENTS, MOMENTS_OF_BITS = 4, 3
CUTS, NUMBER_TILTS, BIT_TILTS = 23, 12, 16
VECTORS = "5597b95c"  # the text of ``vectors.py`` that these are made with
_weigh_bit, _weigh_number, _rank = weighing(BIT_TILTS, MOMENTS_OF_BITS), weighing(NUMBER_TILTS, MOMENTS), ranking(CUTS)


@compiled
def normalise(line: Row, counts: Row, shares: Row, tilts: Cube, norms: Row, shift: float) -> None:
    """Makes each alternative's shares sum to 1, with ``shift`` more ones. An empty cell is worth a part of a value."""
    tilt = tilts[int(line[TEMPER])]
    if len(counts) == BIT_CELLS:
        alternatives = len(norms) // 2
        after_0, after_1 = _ones(line, counts)
        after_0 = min(max(after_0 + shift, 0.1 * after_0), 0.9 + 0.1 * after_0)
        after_1 = min(max(after_1 + shift, 0.1 * after_1), 0.9 + 0.1 * after_1)
        for k in range(alternatives):
            norms[k] = 1.0 / (1.0 - after_0 + after_0 * tilt[1, k])
            norms[alternatives + k] = 1.0 / (1.0 - after_1 + after_1 * tilt[1, k])
        return
    whole = line[N] + 1.0
    norms[:] = 0.0
    for cell in range(len(counts)):
        share = (counts[cell] + shares[cell]) / whole
        for k in range(len(norms)):
            norms[k] += share * tilt[cell, k]
    for k in range(len(norms)):
        norms[k] = 1.0 / norms[k]


@compiled
def _ones(line: Row, counts: Row) -> tuple[float, float]:
    """The shares of ones after a 0 and after a 1: one share, where it is not certain that they differ."""
    zeros, ones = counts[0] + counts[1], counts[2] + counts[3]
    share = (counts[1] + counts[3] + 0.5) / (zeros + ones + 1.0)
    line[PHI] = 0.0
    if zeros < 1.0 or ones < 1.0:
        return share, share
    after_0, after_1 = (counts[1] + share) / (zeros + 1.0), (counts[3] + share) / (ones + 1.0)
    error = math.sqrt(share * (1.0 - share) * (1.0 / zeros + 1.0 / ones))
    if abs(after_1 - after_0) <= CORRELATED_BITS * error:
        return share, share
    line[PHI] = after_1 - after_0
    return after_0, after_1


@compiled
def likelier_of(tilt: Matrix, norms: Row) -> Matrix:
    """How much likelier each alternative makes each cell."""
    alternatives = tilt.shape[1]
    likelier = tilt * norms[:alternatives]
    if len(norms) > alternatives:
        likelier[2:] = tilt[2:] * norms[alternatives:]
    return likelier


@compiled
def _likelier_now(line: Row, counts: Row, shares: Row, tilts: Cube, norms: Row, shift: float) -> Matrix:
    if shift == 0.0:
        return likelier_of(tilts[int(line[TEMPER])], norms)
    if line[DAILY] == 0.0:  # a part of how blocks wandered is explained: what is left shows in those to come
        line[DAILY] = 1.0
        line[BLOCK_SUM : SQUARES + 1] = 0.0
    shifted = norms.copy()
    normalise(line, counts, shares, tilts, shifted, shift)
    return likelier_of(tilts[int(line[TEMPER])], shifted)


@compiled
def calm(line: Row, pending: Row, evidence: Row, head: float) -> None:
    pending[:] = 0.0
    evidence[:] = 0.0
    evidence[: len(evidence) // (MOMENTS_OF_BITS if len(pending) == BIT_CELLS else MOMENTS)] = head
    line[TOTAL] = 2.0 * head if line[SIDED] != 0.0 else head
    line[PENDING_N] = 0.0


@compiled
def _temper(line: Row) -> None:
    blocks, values = line[BLOCKS], line[BLOCKS] * BLOCK
    if blocks < 8.0:
        return
    line[TEMPER] = 0.0
    seen = values + line[BLOCK_N]
    mean = line[SCORES] / seen
    variance = line[SQUARES] / seen - mean * mean
    if variance <= 0.0:
        return
    repeated = (line[BLOCK_SQUARES] / blocks / BLOCK - BLOCK * mean * mean) / variance
    doubt = math.sqrt((2.0 + 1.0 / (BLOCK * variance)) / blocks)  # the second part is of rare bits
    if repeated > 1.0 + CERTAIN * doubt:
        line[TEMPER] = min(4.0, math.ceil(math.log2(repeated) - 0.25))


@compiled
def _improved(line: Row, pending: Row, evidence: Row, weights: Row) -> None:
    """Better is to be the new baseline, once there is as much of it as the old has. What showed it was luckier."""
    line[BASE_NEXT] = _moment(weights, evidence, 2) / _moment(weights, evidence, 1)
    line[RENEWING] = 1.0
    calm(line, pending, evidence, 0.0)


@compiled
def _worse(line: Row, weights: Row, own: Row) -> bool:
    """Where wider is a rise, the mean may have fallen: a detector must not fall silent over that."""
    return bool(_moment(weights, own, 2) > line[BASE] * _moment(weights, own, 1))


@compiled
def _renew(line: Row, pending: Row, counts: Row, shares: Row, tilts: Cube, norms: Row, evidence: Row) -> None:
    counts[:] = pending
    line[N], line[BASE], line[RENEWING] = line[PENDING_N], line[BASE_NEXT], 0.0
    normalise(line, counts, shares, tilts, norms, 0.0)
    calm(line, pending, evidence, 0.0)


@compiled
def _moment(weights: Row, own: Row, moment: int) -> float:
    return _sum(weights, own[moment * len(weights) :])


@compiled
def _sum(weights: Row, own: Row) -> float:
    """Two sums at once, as neither waits for the other. There is an even number of alternatives."""
    one, other = 0.0, 0.0
    for k in range(0, len(weights), 2):
        one += weights[k] * own[k]
        other += weights[k + 1] * own[k + 1]
    return one + other


@compiled
def _report(line: Row, counts: Row, row: int, column: int, weights: Row, own: Row, out: Row) -> None:
    """Of alternatives with a good part of the evidence, the one with the youngest change says what it was."""
    alternatives = len(weights)
    total, k = _sum(weights, own), int(np.argmax(weights * own[: len(weights)]))
    for each in range(alternatives):
        younger = own[alternatives + each] * own[k] < own[alternatives + k] * own[each]
        k = each if younger and weights[each] * own[each] >= GOOD_PART * total else k
    age = own[alternatives + k]
    mean = own[2 * alternatives + k] / age
    squares = mean if len(counts) == BIT_CELLS else own[3 * alternatives + k] / age
    out[0], out[1], out[2], out[3], out[4] = row, column, total, line[LIMIT], line[N]
    out[5] = (counts[1] + counts[3]) / line[N] if len(counts) == BIT_CELLS else line[BASE]
    out[6] = mean
    out[7] = max(1.0, np.round(age / own[k]))
    out[8] = math.sqrt(max(0.0, squares - mean * mean))


@compiled
def _doubtful(line: Row, counts: Row, weights: Row, own: Row, evidence: float) -> bool:
    """Whether so much evidence may be what the baseline, of so many values, is wrong by: what a test of both samples
    leaves of it must be as unlikely as a promise of one alarm in A makes it after ``since`` values."""
    time, since = max((line[CLOCK] - line[BEGAN]) / line[SEEN], 1e-9), max(_since(weights, own), 1.0)
    n, left = line[N], line[N] / (line[N] + since)
    if len(counts) == BIT_CELLS:
        before, after = (counts[1] + counts[3] + 0.5) / (n + 1.0), _moment(weights, own, 2) / _moment(weights, own, 1)
        after = min(max(after, 0.0), 1.0)
        both = left * before + (1.0 - left) * after
        left = (n * _apart(before, both) / since + _apart(after, both)) / max(_apart(after, before), 1e-9)
    return bool(left * math.log(evidence / time) < math.log(max(line[LIMIT] / time, since) / since))


@compiled
def _apart(share: float, other: float) -> float:
    """How much a bit says, in the mean, for its own share of ones against another one."""
    ones = share * math.log(share / other) if share > 0.0 else 0.0
    return ones + ((1.0 - share) * math.log((1.0 - share) / (1.0 - other)) if share < 1.0 else 0.0)


@compiled
def _since(weights: Row, own: Row) -> float:
    """For how many values the change has lasted."""
    return float(_moment(weights, own, 1) / _sum(weights, own))


@compiled
def _low(line: Row, now: float, seen: float) -> float:
    """Evidence below this means little."""
    bound: float = LOW * math.sqrt(line[LIMIT] * ((now - line[BEGAN]) / seen)) + 2.0 * line[HEAD]
    return bound


@compiled
def _teach(
    line: Row, pending: Row, counts: Row, shares: Row, tilts: Cube, norms: Row, own: Row, learn_max: float,
    settled: bool,
) -> bool:  # fmt: skip
    """Nothing was found: what came since the last time is normal, where the evidence is low, or too old to be doubted
    any longer. Whether that is news."""
    if line[RENEWING] != 0.0:
        if line[PENDING_N] < line[NEED]:
            return False
        _renew(line, pending, counts, shares, tilts, norms, own)
        return True
    if line[TOTAL] > _low(line, line[CLOCK], line[SEEN]) and not settled:
        return False
    learns: bool = line[N] < learn_max
    if learns:
        counts += pending
        line[N] += line[PENDING_N]
        _temper(line)
        normalise(line, counts, shares, tilts, norms, 0.0)
    pending[:] = 0.0
    line[PENDING_N] = 0.0
    if settled:
        calm(line, pending, own, 0.0)
    return learns


@compiled
def _cell(cuts: Row, phi: float, last: float, value: float) -> int:
    """Of a value without what the one before says of it; of a bit, with it. -1: that one is not known.

    Looking at all cuts takes less time than a search that cannot be foreseen.
    """
    if len(cuts) == 1:
        return (1 if value > cuts[0] else 0) + (2 if last > cuts[0] else 0)
    if phi != 0.0:
        value -= phi * last
        if np.isnan(value):
            return -1
    return int(_rank(cuts, value))


@compiled
def _looked_at(
    row: int, column: int, values: Matrix, measured: Matrix, clock: Row, line: Row, cuts: Row, pending: Row, own: Row,
    likelier: Matrix, scores: Row, up: Row, down: Row, learn_max: float, chunks: Matrix, ahead: int, shifts: Matrix,
    shift: float,
) -> int:  # fmt: skip
    """Values that are watched, until one may decide something or has another shift. Returns the row after them.

    This is where a monitor spends its time: what changes with each value stays in registers.
    """
    bits, sided, fold = len(cuts) == 1, line[SIDED] != 0.0, chunks.shape[1] < len(pending)
    limit, longest, learns = line[LIMIT], max(1.0, GAP_SHARE * line[LIMIT]), line[N] < learn_max
    renewing, need, phi = line[RENEWING] != 0.0, line[NEED], line[PHI]
    previous, before, seen, pending_n, total = line[PREVIOUS], line[CLOCK], line[SEEN], line[PENDING_N], line[TOTAL]
    sums, squares, block_sum, block_n = line[SCORES], line[SQUARES], line[BLOCK_SUM], line[BLOCK_N]
    blocks, block_squares = line[BLOCKS], line[BLOCK_SQUARES]
    while row < len(values):
        value = values[row, column]
        if len(shifts) and shifts[row, column] != shift and not np.isnan(value):
            break
        row += 1
        if np.isnan(value):
            continue
        now = clock[row - 1]
        if np.isnan(before):
            line[BEGAN] = before = now
        # No clock that leaps and no silence is to raise an alarm.
        passed, before = min(now - before, longest), now
        seen += 1.0
        last, previous = previous, value
        cell = _cell(cuts, phi, last, value)
        if cell < 0:
            continue
        chunks[(ahead + row - 1) // CHUNK, cell >> 1 if fold else cell] += 1.0
        away = measured[row - 1, column] - shift
        if bits:
            rise, fall = _weigh_bit(own, likelier, cell, passed, away, up, down)
        else:
            rise, fall = _weigh_number(own, likelier, cell, passed, away, up, down)
        fall = fall if sided else 0.0
        total = rise + fall
        pending[cell] += 1.0
        pending_n += 1.0
        if learns:
            score = scores[cell] - shift - (phi if bits and cell > 1 else 0.0)
            sums, squares = sums + score, squares + score * score
            block_sum, block_n = block_sum + score, block_n + 1.0
            if block_n == BLOCK:
                blocks, block_squares = blocks + 1.0, block_squares + block_sum * block_sum
                block_sum = block_n = 0.0
        if rise > limit or (fall > limit and not renewing):
            break
        if pending_n >= RELEASE and (pending_n >= need if renewing else total <= _low(line, now, seen)):
            if learns or renewing:
                break
            pending[:] = pending_n = 0.0  # as ``_teach`` does of what knows enough
    line[PREVIOUS], line[CLOCK], line[SEEN], line[PENDING_N], line[TOTAL] = previous, before, seen, pending_n, total
    line[SCORES], line[SQUARES], line[BLOCK_SUM], line[BLOCK_N] = sums, squares, block_sum, block_n
    line[BLOCKS], line[BLOCK_SQUARES] = blocks, block_squares
    return row


@compiled
def _watch(
    row: int, column: int, values: Matrix, measured: Matrix, clock: Row, line: Row, cuts: Row, counts: Row,
    pending: Row, own: Row, norms: Row, scores: Row, shares: Row, tilts: Cube, weights: Matrix, learn_max: float,
    chunks: Matrix, ahead: int, shifts: Matrix, found: Matrix, count: int,
) -> tuple[int, Matrix, int]:  # fmt: skip
    """The rows of one column from this one on, until it alarms. What each value needs is made ready for all."""
    sided = line[SIDED] != 0.0
    up, down = weights[1 if sided else 0], weights[2]
    shift, likelier = np.nan, tilts[0]  # made anew where the shift is another one
    while line[PHASE] == WATCHED:
        while row < len(values) and np.isnan(values[row, column]):
            row += 1
        if row == len(values):
            break
        usual = shifts[row, column] if len(shifts) else 0.0
        if usual != shift:
            shift = usual
            likelier = _likelier_now(line, counts, shares, tilts, norms, shift)
        row = _looked_at(
            row, column, values, measured, clock, line, cuts, pending, own, likelier, scores, up, down, learn_max,
            chunks, ahead, shifts, shift,
        )  # fmt: skip
        rise = _sum(up, own)
        fall = _sum(down, own) if sided else 0.0
        rises = rise > line[LIMIT] and not _doubtful(line, counts, up, own, rise)
        falls = fall > line[LIMIT] and not _doubtful(line, counts, down, own, fall)
        if not rises and (not falls or line[RENEWING] != 0.0):
            likeliest = up if rise > line[LIMIT] else down
            settled = max(rise, fall) > line[LIMIT] and _since(likeliest, own) > SETTLED * line[N]
            teaches = (line, pending, counts, shares, tilts, norms, own, learn_max, settled)
            if line[PENDING_N] >= RELEASE and _teach(*teaches):
                shift = np.nan
            continue
        firing = up if rises else down
        harm = rises and (not sided or len(counts) == BIT_CELLS or _worse(line, up, own))
        if line[RENEWING] != 0.0 and not harm:  # that it got better has been told
            own[:] = line[TOTAL] = 0.0
            continue
        if count == len(found):
            found = np.concatenate((found, np.empty_like(found)))
        _report(line, counts, row - 1, column, firing, own, found[count])
        count += 1
        if harm:
            line[PHASE] = LATCHED
        else:
            _improved(line, pending, own, firing)
    return row, found, count


@compiled
def look(
    places: Places, values: Matrix, measured: Matrix, clock: Row, lines: Matrix, cuts: Matrix, counts: Matrix,
    pending: Matrix, evidence: Matrix, norms: Matrix, scores: Row, shares: Row, tilts: Cube, weights: Matrix,
    learn_max: float, chunks: Cube, ahead: int, shifts: Matrix,
) -> tuple[Matrix, bool]:  # fmt: skip
    """Goes on in each column from its place until it alarms or ends. What was found, and whether all have ended."""
    found = np.empty((4, 9))  # reports are rare; it doubles when they are not
    count, ended = 0, True
    for column in range(values.shape[1]):
        line = lines[column]
        if line[PHASE] == LEARNED:
            line[PHASE] = WATCHED
            _temper(line)
            normalise(line, counts[column], shares, tilts, norms[column], 0.0)
            calm(line, pending[column], evidence[column], line[HEAD])
        places[column], found, count = _watch(
            places[column], column, values, measured, clock, line, cuts[column], counts[column], pending[column],
            evidence[column], norms[column], scores, shares, tilts, weights, learn_max, chunks[:, column], ahead,
            shifts, found, count,
        )  # fmt: skip
        ended = ended and places[column] == len(values)
    return found[:count], ended
