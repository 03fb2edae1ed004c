"""What a finding rests on, in the signal's own unit, for the person who has to believe it."""

import math

import msgspec

from detectors import wording
from detectors.banks.shiryaev import LIMIT_FACTORS, WATCH
from detectors.baseline import CLIP, mostly_clipped
from detectors.budget import in_unit
from detectors.config import ModelConfig
from detectors.corrections import Corrections
from detectors.course import AT_ONCE, Course, course
from detectors.cure import TWO_SIDED_95, Shown, Unit, around
from detectors.group import Found, Group, Recent
from detectors.lifecycle import RECOVERED_ROWS, Alarm, Closing, Past, loss_floor
from detectors.likeness import Name
from detectors.moment import Moment
from detectors.timeline import COARSEST_PART, STRIDE, Timeline
from schemas.events import ChangePoint, Evidence, JsonScalar


def of_finding(group: Group, found: Found, row: int, timeline: Timeline, config: ModelConfig, at: Moment) -> Evidence:
    """What the detector saw, and when it thinks that the change began."""
    finding = found.finding
    since = group.rows_spanned(found.column, finding.since)
    mark = timeline.parting(max(0, row - since + 1), row) if since >= 0 else None
    detail: dict[str, JsonScalar] = {"after": _finite(found.after)}
    if since >= 0:
        detail["rows_since_change"] = since
        detail |= _dates(group, found, row, timeline, at.now, mark.time if mark is not None else at.now)
    if found.spread:
        detail["spread"] = _finite(finding.spread)
    value, threshold = finding.value, finding.threshold
    if found.detector == WATCH:
        # As whoever set the budget counts: what thresholds are larger or smaller by for its sake is left out.
        value, threshold = (in_unit(config, time / LIMIT_FACTORS[group.rate]) for time in (value, threshold))
        detail |= _interval(group, found.effect, _error(found), spread=found.spread)
    if not group.rate and _is_cut(group, found.column, found.after, finding.spread, of_spread=found.spread):
        detail = _at_least(detail, found.effect)
    return Evidence(
        value=_finite(value),
        threshold=_finite(threshold),
        threshold_origin=wording.origin(found.detector, config, group.share, group.stricter),
        n=finding.n,
        baseline=_finite(found.before),
        effect=_finite(found.effect),
        change_point=ChangePoint(ts=mark.time, offset=mark.offset) if mark is not None else None,
        detail=detail,
        trace=at.trace,
    )


def _dates(group: Group, found: Found, row: int, timeline: Timeline, now: int, began: int) -> dict[str, JsonScalar]:
    """Between which times the change began, as epoch milliseconds. Where rows lie in time is known roughly.

    ``began`` lies between them, also where labels come in another order than their predictions.
    """
    if found.finding.since_high < 0:
        return {}
    high, low = (
        group.rows_spanned(found.column, since) for since in (found.finding.since_high, found.finding.since_low)
    )
    earliest_row, latest_row = max(0, row - high + 1), row - low + 1 + max(STRIDE, low // COARSEST_PART)
    times = timeline.between(earliest_row, min(latest_row, row), row)
    earliest, latest = times if times is not None else (None, now)
    dates: dict[str, JsonScalar] = {
        "rows_since_change_max": high,
        "change_point_high": max(began, latest) if latest_row <= row else now,
    }
    return dates | ({"change_point_low": min(began, earliest)} if earliest is not None else {})


def _error(found: Found) -> float:
    """One standard error of the mean, were these rows not the ones that raised the alarm: they flatter it."""
    after = max(1.0, float(found.finding.since))
    before = max(1.0, float(found.finding.n))
    return found.finding.spread * math.sqrt(1.0 / after + 1.0 / before)


def _interval(group: Group, effect: float, error: float, *, spread: bool) -> dict[str, JsonScalar]:
    """Where the effect lies; ``error`` is that of a mean, and a standard deviation has a smaller one."""
    reach = TWO_SIDED_95 * (error * 0.5**0.5 if spread else error)
    low, high = around(effect, reach, rate=group.rate)
    return {"effect_low": _finite(low), "effect_high": _finite(high)}


def _is_cut(group: Group, column: int, after: float, spread: float, *, of_spread: bool) -> bool:
    """Whether what is told of the values is less than it is. ``spread`` may be unknown."""
    level = abs(after - float(group.baseline.mean[column])) / float(group.baseline.scale[column])
    spread = 0.0 if math.isnan(spread) else spread
    return level + spread >= CLIP if of_spread else mostly_clipped(level, spread)


def _at_least(detail: dict[str, JsonScalar], effect: float) -> dict[str, JsonScalar]:
    """Of an interval only the end holds that lies nearer to nothing."""
    beyond = "effect_high" if effect > 0 else "effect_low"
    return {**{name: what for name, what in detail.items() if name != beyond}, "at_least": True}


def of_given(mean: float, floor: float) -> Evidence:
    """A baseline that was given, before any value has been held against it."""
    return Evidence(
        value=None,
        threshold=floor,
        threshold_origin="floor: standard deviations from the given baseline",
        n=0,
        baseline=mean,
        effect=None,
    )


def borne_out(group: Group, index: int, before: Evidence, recent: Recent, spread: bool) -> Evidence:
    """The same, with the effect that the rows after the finding have, which nobody picked."""
    scale = 1.0 if group.rate else float(group.baseline.scale[index])
    baseline = before.baseline if before.baseline is not None else float(group.baseline.mean[index])
    effect = recent.of(spread=spread)
    after = baseline + recent.effect * scale
    detail = {
        **{name: what for name, what in before.detail.items() if name not in ("spread", "at_least")},
        "after": _finite(after),
        "confirmed_by_rows": recent.rows,
        **_interval(group, effect, recent.doubt, spread=spread),
    }
    if spread:
        detail["spread"] = _finite(recent.spread + group.baseline.spread(index))
    width = recent.spread + group.baseline.spread(index)
    if not group.rate and _is_cut(group, index, after, width, of_spread=spread):
        detail = _at_least(detail, effect)
    if before.value is None:  # no detector spoke: it is these rows alone that speak
        before = msgspec.structs.replace(before, value=_finite(abs(effect)), n=recent.rows)
    return msgspec.structs.replace(before, effect=_finite(effect), detail=detail)


def named(group: Group, index: int, before: Evidence, name: Name) -> Evidence:
    """The same, with what it looks like; and with the level that the name rests on, where a detector saw part of it."""
    detail: dict[str, JsonScalar] = {**before.detail, "looks_like": name.word}
    if name.times is not None:
        detail["times"] = name.times
    baseline = before.baseline if before.baseline is not None else float(group.baseline.mean[index])
    if name.mean is None:
        return msgspec.structs.replace(before, detail=detail)
    detail["after"] = _finite(name.mean)
    effect = (name.mean - baseline) / (1.0 if group.rate else float(group.baseline.scale[index]))
    if "spread" in detail and abs(effect) < CLIP:
        if name.word != wording.CONSTANT:
            return msgspec.structs.replace(before, detail=detail)
        detail["spread"], effect = 0.0, -group.baseline.spread(index)
    else:
        detail.pop("spread", None)
    detail.pop("at_least", None)
    low, high = detail.get("effect_low"), detail.get("effect_high")
    if not (isinstance(low, float) and isinstance(high, float) and low <= effect <= high):
        detail = {key: what for key, what in detail.items() if key not in ("effect_low", "effect_high")}
    return msgspec.structs.replace(before, detail=detail, effect=_finite(effect))


def of_course(
    group: Group, index: int, before: Evidence, past: Past | None, base: float, *, spread: bool
) -> dict[str, JsonScalar]:
    """How the change came, where that can be told."""
    if past is not None:
        return {"change": str(Course.RECURRING), "times_before": past.times, "last_ended": past.ended}
    said = before.detail.get("rows_since_change_max")
    if isinstance(said, int) and said <= AT_ONCE:
        return {"change": str(Course.SUDDEN)}
    levels, counts = group.levels(index)
    come = None if spread else course(levels - (2.0 * base if group.rate else base), counts)
    return {"change": str(come)} if come is not None else {}


def of_end(before: Evidence, why: Closing, opened_ts: int, now: int, rows: int | None) -> dict[str, JsonScalar]:
    """``rows``: how many there were since it opened, where it is they that ended it."""
    ended: dict[str, JsonScalar] = {**before.detail, "why": str(why), "lasted_ms": now - opened_ts}
    if rows is not None and rows < 2 * RECOVERED_ROWS:  # half of them at least were normal again
        ended["change"] = str(Course.SPIKE)
    return ended


def amended(alarm: Alarm, unit: Unit, corrections: Corrections) -> Evidence | None:
    """What an alarm about a loss rests on with what corrected labels have changed, where that is worth a word."""
    before, began = alarm.evidence, alarm.evidence.change_point
    if began is None or before.effect is None:
        return None
    rows, times = (alarm.row, alarm.opened_row), (began.ts, alarm.judged_until)
    labels, more = corrections.between(rows, times, alarm.signal)
    scale = 1.0 if unit.rate else unit.spread
    whole = more / max(1, alarm.opened_row - alarm.row + 1) / scale
    change = whole - alarm.amended
    if not abs(change) >= loss_floor(unit.rate) / 2.0:
        return None
    alarm.amended = whole
    detail: dict[str, JsonScalar] = {**before.detail, "corrected_labels": labels}
    for name, size in (("after", scale), ("effect_low", 1.0), ("effect_high", 1.0)):
        known = detail.get(name)
        if isinstance(known, float):
            detail[name] = known + change * size
    return msgspec.structs.replace(before, effect=before.effect + change, detail=detail)


def of_check(version: str | None, by: str | None, shown: Shown, *, rate: bool) -> dict[str, JsonScalar]:
    """What labels say of a new version; ``by``: the segment name by which its traffic was compared."""
    told: dict[str, JsonScalar] = {"answer": str(shown.answer), "new_version": version}
    for name, level in (("before", shown.before), ("during", shown.during), ("now", shown.now)):
        told[f"labels_{name}"] = level.labels
        if level.labels:
            told |= {f"loss_{name}": level.mean, f"loss_{name}_low": level.low}
            told |= {f"loss_{name}_at_least": True} if level.at_least else {f"loss_{name}_high": level.high}
    if shown.now.labels and shown.during.labels and not (shown.now.at_least or shown.during.at_least):
        low, high = around(shown.change.mean, TWO_SIDED_95 * shown.change.error, rate=rate)
        told |= {"loss_change": shown.change.mean, "loss_change_low": low, "loss_change_high": high}
    told["compared"] = "same predictions" if shown.paired else f"by {by}" if shown.segments > 1 else "all together"
    return told


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
