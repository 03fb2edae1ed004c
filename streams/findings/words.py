"""What figures say, as sentences: the first thing on the page, and the text for whoever sees no figure."""

from collections.abc import Iterable

from detectors.budget import MONTH_MS
from detectors.loss import EVIDENCE
from detectors.wording import lasting
from schemas.events import EVERY_MODEL
from schemas.times import UNIT_MS
from streams.findings.collect import Figures, Findings, Model
from streams.incident_story import number
from streams.report import counted, time_of

NOTHING = "—"  # where there is no value
EVERY = "all models of a partition"


def headline(found: Findings) -> str:
    """How often would I have been paged?"""
    if not found.summary.records:
        return "Nothing was monitored"
    if not found.pages:
        return f"You would not have been paged in {roughly(found.span_ms)}"
    return f"You would have been paged {times(found.pages)} in {roughly(found.span_ms)}"


def roughly(ms: int) -> str:
    """The length of a replay as people say it: a day that lacks five minutes is one of 24 hours."""
    for unit, length in (("days", UNIT_MS["d"]), ("hours", UNIT_MS["h"]), ("minutes", UNIT_MS["m"])):
        if (rounded := round(ms / length)) >= 2:
            return f"{rounded:,} {unit}"
    return lasting(ms)


def times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def for_what(found: Findings) -> str:
    if not found.all_models:
        return "No window of metrics had ended, and no alert was opened."
    paging = [figures for figures in found.all_models if figures.pages]
    if not paging:
        return f"No page on {counted(len(found.all_models), 'model')}: nothing crossed its budget."
    said = ", ".join(f"{shown(figures.name)} {figures.pages:,}" for figures in paging[:5])
    further = f" and {len(paging) - 5:,} more" if len(paging) > 5 else ""
    quiet = len(found.all_models) - len(paging)
    still = f"; {counted(quiet, 'model')} never paged" if quiet else ""
    return f"For {counted(len(paging), 'model')}: {said}{further}{still}."


def right(found: Findings) -> str:
    """Was it right?"""
    back = f" {counted(found.taken_back, 'page')} taken back: labels or a person said that there was nothing."
    after = back if found.taken_back else ""
    if found.truth is None:
        return f"Whether they were right is not known: no file of known changes was given (--truth).{after}"
    changes, missed = len(found.truth.changes), len(found.truth.missed)
    return (
        f"{found.right:,} of {counted(found.pages, 'page')} came while a known change was going on. "
        f"Known changes: {changes - missed:,} of {changes:,} found, {missed:,} missed.{after}"
    )


def budget(found: Findings) -> str:
    if found.allowed is None:
        return "The budget of false pages is not written in these results."
    return f"The budgets of all models together bear {number(found.allowed)} false pages in this time."


def never_right(found: Findings) -> str:
    """Where every label contradicts its prediction, more often the two name classes otherwise than all are wrong.

    What kind of task it was results do not tell: a number may be off by 1 each time.
    """
    names = [shown(model.figures.name) for model in found.models if _never_right(model)]
    if not names:
        return ""
    return (
        f"Every loss of {_first(names)} is 1, as where each label contradicts its prediction: see whether labels name "
        "the classes as predictions do (1 is not yes), and whether one of them is turned round."
    )


def _never_right(model: Model) -> bool:
    losses = {loss for loss in model.series.of("loss_mean") if loss is not None}
    return losses == {1.0} and model.series.total("joined") >= EVIDENCE


def asked(figures: Figures) -> str:
    if figures.budget is None:
        return "not known"
    if figures.budget.rows_per_false_alarm:
        return f"1 in {figures.budget.rows_per_false_alarm:,.0f} rows"
    return f"{figures.budget.false_pages_per_month:g} a month"


def a_month(pages: int, span_ms: int) -> str:
    """Of less than a week nothing is said of a month."""
    return number(pages * MONTH_MS / span_ms) if span_ms >= UNIT_MS["w"] else NOTHING


def coverage(model: Model) -> str:
    predictions, joined = model.series.total("predictions"), model.series.total("joined")
    if not predictions:
        return NOTHING
    return f"{joined / predictions:.0%}"


def labels(model: Model) -> str:
    predictions, joined = model.series.total("predictions"), model.series.total("joined")
    if not predictions:
        return "No predictions came."
    said = f"{joined:,.0f} labels came for {predictions:,.0f} predictions ({joined / predictions:.0%})"
    waiting = model.series.last("pending")
    if waiting is not None:
        said += f"; {waiting:,.0f} still wait at the end"
    delays = [retrain.labels.median_delay_ms for retrain in model.retrains if retrain.labels.median_delay_ms]
    if delays:
        said += f"; when a retraining was last asked for, half of them had taken {lasting(delays[-1])} or more"
    elif joined and waiting is not None:
        # Little's law: so many wait as come in the time that one takes; those whose label never comes wait too.
        waited = sum(value for value in model.series.of("pending") if value is not None) * model.series.grid.step
        said += f"; by how many waited, one takes {lasting(round(waited / joined))} at most, in the mean"
    return f"{said}."


def course(model: Model) -> str:
    """The model's large figure in words."""
    figures, series = model.figures, model.series
    said = [f"{counted(figures.incidents, 'incident')} and {counted(figures.pages, 'page')}"]
    if told := _range(series.of("predictions")):
        said.append(f"{told} predictions in {lasting(series.grid.step)}")
    if told := _range(series.of("loss_mean")):
        said.append(f"a mean loss of {told}")
    strongest = [each for largest in model.courses.statistics.values() for each in largest]
    if strongest:
        top = max(strongest, key=lambda each: each.times)
        said.append(
            f"the statistic furthest beyond its threshold was that of {shown(top.signal)}, {number(top.times)} times"
        )
    if model.deploys:
        said.append(
            f"{counted(len(model.deploys), 'further version')} served: {_first(d.version for d in model.deploys)}"
        )
    return f"{'; '.join(said)}."


def span(found: Findings) -> str:
    return f"{time_of(found.from_ts)} to {time_of(found.to_ts)}"


def shown(model: str) -> str:
    return EVERY if model == EVERY_MODEL else model


def _range(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    least, most = min(known), max(known)
    return number(least) if least == most else f"{number(least)} to {number(most)}"


def _first(names: Iterable[str], most: int = 3) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (" …" if len(listed) > most else "")
