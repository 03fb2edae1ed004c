"""What ``driftline tune`` found: in lines for people, as tables, and as the configuration that it leads to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detectors.wording import lasting
from streams import toml_text
from streams.findings.tables import NUMBER, TEXT, WHOLE, Columns, Row, Table
from streams.report import counted, time_of
from streams.score_report import aligned, compared
from streams.scoring import Score
from streams.text import printable
from streams.tuning.search import Gain, Period, Tuned
from streams.tuning.space import Changes, changed_table

SHOWN_MAX = 20  # models, and features, in the lines; those that changed most
_SIDES: Columns = {"pages": WHOLE, "found": WHOLE, "missed": WHOLE, "false": WHOLE, "f1": NUMBER, "delay_rows": NUMBER}
_COLUMNS: Columns = {
    "model": TEXT,
    "feature": TEXT,
    **{f"{name}_{side}": kind for name, kind in _SIDES.items() for side in ("before", "after")},
}


def lines(tuned: Tuned) -> Iterator[str]:
    tuning, validation = tuned.tuning, tuned.validation
    yield f"Tuned on {_period(tuning)}, to a budget of {tuned.budget}."
    yield f"Held against {_period(validation)}, with {counted(tuned.drifts, 'drift')} that nothing was tuned on:"
    yield ""
    yield from compared(tuned.scores)
    yield ""
    yield from _by_model(tuned.models)
    yield from _by_feature(tuned.features)
    if tuned.better:
        yield from said(tuned)
    else:
        yield f"Nothing better was found: {tuned.why}. The configuration stays as it is{_but_for(tuned)}."


def said(tuned: Tuned) -> Iterator[str]:
    """What one would tell whoever asks why."""
    before, after = tuned.before, tuned.after
    settings = ", ".join(f"{key} = {toml_text.value(value)}" for key, value in _set(tuned.changes).items())
    yield f"Better: {settings}"
    days = lasting(tuned.validation.to_ts - tuned.validation.from_ts)
    paged = f"would have paged {_times(after.pages)} in place of {_times(before.pages)}"
    found = f"would have found {after.score.found} of {tuned.drifts} drifts in place of {before.score.found}"
    yield f"These settings, on the last {days}, {paged}, and {found}{_sooner(before.score, after.score)}."
    low, high = tuned.gain_low, tuned.gain_high
    f1 = f"F1 {after.score.f1:.3f} in place of {before.score.f1:.3f}"
    yield f"{f1}; of resamples, nine of ten gain {low:.3f} to {high:.3f}."


def _sooner(before: Score, after: Score) -> str:
    if before.delay_ms is None or after.delay_ms is None:
        return ""
    return f", in the middle after {_delay(after)} in place of {_delay(before)}"


def _delay(score: Score) -> str:
    return f"{lasting(int(score.delay_ms or 0))} ({score.delay_rows or 0:,.0f} rows)"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _period(period: Period) -> str:
    predictions = counted(period.predictions, "prediction")
    return f"{time_of(period.from_ts)} to {time_of(period.to_ts)}, {predictions}"


def _but_for(tuned: Tuned) -> str:
    return f", but for the budget of {tuned.budget}" if tuned.asked else ""


def _by_model(gains: Sequence[Gain]) -> Iterator[str]:
    """Before and after, side by side."""
    rows: list[Sequence[str]] = [("model", "pages", "found", "of", "false", "F1", "delay rows")]
    for gain in _most(gains):
        before, after = gain.before.score, gain.after.score
        pages = _pair(gain.before.pages, gain.after.pages)
        f1 = f"{before.f1:.3f} > {after.f1:.3f}"
        rows.append(
            (printable(gain.model), pages, *_finds(before, after), _pair(before.false, after.false), f1, _rows(gain))
        )
    yield from _listed(rows, gains, "model")


def _by_feature(gains: Sequence[Gain]) -> Iterator[str]:
    rows: list[Sequence[str]] = [("feature", "found", "of", "delay rows")]
    for gain in _most(gains):
        finds = _finds(gain.before.score, gain.after.score)
        rows.append((printable(f"{gain.model}: {gain.feature}"), *finds, _rows(gain)))
    yield from _listed(rows, gains, "feature")


def _most(gains: Sequence[Gain]) -> Sequence[Gain]:
    return sorted(gains, key=lambda gain: -abs(gain.after.score.f1 - gain.before.score.f1))[:SHOWN_MAX]


def _listed(rows: Sequence[Sequence[str]], gains: Sequence[Gain], what: str) -> Iterator[str]:
    yield from aligned(rows)
    if len(gains) > SHOWN_MAX:
        yield f"… and {counted(len(gains) - SHOWN_MAX, f'further {what}')}"
    yield ""


def _finds(before: Score, after: Score) -> tuple[str, str]:
    return _pair(before.found, after.found), f"{after.found + after.missed:,}"


def _rows(gain: Gain) -> str:
    return _pair(gain.before.score.delay_rows, gain.after.score.delay_rows)


def _pair(before: float | None, after: float | None) -> str:
    return " > ".join("-" if value is None else f"{value:,.0f}" for value in (before, after))


# -- tables -----------------------------------------------------------------------------------------------------------


def tables(tuned: Tuned) -> Iterator[Table]:
    for name, gains in (("tuned_models", tuned.models), ("tuned_features", tuned.features)):
        yield Table(name, _COLUMNS, lambda gains=gains: map(_row, gains))  # type: ignore[misc]


def _row(gain: Gain) -> Row:
    sides = [(side, side.score) for side in (gain.before, gain.after)]
    cells: list[Any] = [gain.model, gain.feature]
    for name in _SIDES:
        cells += [side.pages if name == "pages" else getattr(score, name) for side, score in sides]
    return tuple(cells)


# -- the configuration ------------------------------------------------------------------------------------------------


def configuration(given: Mapping[str, Any], tuned: Tuned) -> str:
    """Whole, with what it rests on above it."""
    about = [f"driftline tune, seed {tuned.seed}, budget {tuned.budget}, {_period(tuned.tuning)}."]
    about += said(tuned) if tuned.better else [f"Nothing better was found: {tuned.why}."]
    return "".join(f"# {line}\n" for line in about) + "\n" + toml_text.written(changed_table(given, tuned.written))


def _set(changes: Changes) -> Changes:
    return {key: value for key, value in changes.items() if value is not None and value != {}}
