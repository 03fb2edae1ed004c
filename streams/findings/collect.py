"""Everything that a report shows, from the files of a replay: four passes, each a line at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from detectors.budget import MONTH_MS
from schemas.events import EVERY_MODEL, Retrain
from schemas.times import UNIT_MS
from streams.findings.courses import Courses
from streams.findings.lines import Files
from streams.findings.series import Grid, Series, grid
from streams.findings.stories import Stories, Story
from streams.findings.survey import Deploy, Survey, ranked
from streams.findings.truth import Truth
from streams.summary import Budget, Summary
from streams.whatif.comparison import WhatIf

MODELS_MAX = 100  # told one by one; the others are counted, and in the tables
RETRAINS_MAX = 20  # of one model
LEAST_STEP_MS = UNIT_MS["s"]


class Figures(NamedTuple):
    """One model in numbers."""

    name: str
    predictions: int
    incidents: int
    pages: int
    right: int
    allowed: float | None  # false pages that the budget bears in this time; none where it is not known
    budget: Budget | None


class Model(NamedTuple):
    """One model with all that is drawn of it."""

    figures: Figures
    series: Series
    courses: Courses
    deploys: list[Deploy]
    retrains: list[Retrain]
    retrains_left_out: int


class Findings(NamedTuple):
    where: Path
    summary: Summary
    grid: Grid
    from_ts: int
    to_ts: int
    all_models: list[Figures]  # those that paged most first
    models: list[Model]  # the first of them
    stories: list[Story]
    stories_left_out: int
    hours: Mapping[tuple[str, int], int]  # pages by model and hour since 1970
    page_times: Sequence[int]  # in order
    false_times: Sequence[int]  # of those that nothing known explains; none where nothing is known
    taken_back: int  # pages of incidents that labels or a person have retracted
    by_event: Mapping[str, int]
    windows_left_out: int
    truth: Truth | None
    whatif: WhatIf | None

    def shortened(self, share: float) -> "Findings":
        """Fewer models and incidents told one by one; what is counted stays."""
        stories = sorted(self.stories, key=lambda story: story.weight, reverse=True)[: int(len(self.stories) * share)]
        stories.sort(key=lambda story: (story.opened_ts, story.incident))
        return self._replace(
            models=self.models[: int(len(self.models) * share)],
            stories=stories,
            stories_left_out=self.stories_left_out + len(self.stories) - len(stories),
        )

    @property
    def span_ms(self) -> int:
        return max(self.to_ts - self.from_ts, 1)

    @property
    def pages(self) -> int:
        return sum(figures.pages for figures in self.all_models)

    @property
    def incidents(self) -> int:
        return sum(figures.incidents for figures in self.all_models)

    @property
    def right(self) -> int:
        return sum(figures.right for figures in self.all_models)

    @property
    def allowed(self) -> float | None:
        """False pages that all budgets together bear; none where one is not known."""
        allowed = [figures.allowed for figures in self.all_models if figures.name != EVERY_MODEL]
        return None if None in allowed else sum(each or 0.0 for each in allowed)


def collect(directory: Path, truth: Truth | None = None, *, drawn: bool = True) -> Findings:
    """Without ``drawn`` only what a terminal shows: signals are not read."""
    files = Files(directory)
    summary = files.summary()
    stories, seen = Stories(judge=truth.judge if truth is not None else None), Survey()
    if summary.time_range is not None:
        seen.saw(summary.time_range.from_ts)
        seen.saw(summary.time_range.to_ts)
    for alert in files.alerts():
        seen.saw(alert.ts)
        stories.add(alert)
    for window in files.metrics():
        seen.add(window)
    over = grid(seen.from_ts, seen.to_ts, max(LEAST_STEP_MS, seen.longest_ms))
    span_ms = max(seen.to_ts - seen.from_ts, 1)
    all_models = [_figures(name, seen, stories, summary, span_ms) for name in ranked(seen.models, stories.pages)]
    models = _models(files, all_models[:MODELS_MAX], seen, stories, over, drawn=drawn)
    return Findings(
        where=directory,
        summary=summary,
        grid=over,
        from_ts=seen.from_ts,
        to_ts=seen.to_ts,
        all_models=all_models,
        models=models,
        stories=stories.kept,
        stories_left_out=stories.left_out,
        hours=stories.hours,
        page_times=sorted(stories.times),
        false_times=sorted(stories.false_times),
        taken_back=stories.taken_back,
        by_event=stories.by_event,
        windows_left_out=seen.left_out,
        truth=truth,
        whatif=files.whatif(),
    )


def _figures(name: str, seen: Survey, stories: Stories, summary: Summary, span_ms: int) -> Figures:
    budget = summary.budgets.get(name, summary.budgets.get(EVERY_MODEL))
    predictions = seen.models.get(name, 0)
    allowed = None
    if budget is not None:
        per_row = budget.rows_per_false_alarm
        allowed = predictions / per_row if per_row else budget.false_pages_per_month * span_ms / MONTH_MS
    return Figures(
        name=name,
        predictions=predictions,
        incidents=stories.incidents[name],
        pages=stories.pages[name],
        right=stories.right[name],
        allowed=allowed,
        budget=budget,
    )


def _models(
    files: Files, shown: list[Figures], seen: Survey, stories: Stories, over: Grid, *, drawn: bool
) -> list[Model]:
    series = {figures.name: Series(list(seen.names), over) for figures in shown}
    courses = {figures.name: Courses(over) for figures in shown}
    retrains: dict[str, list[Retrain]] = {figures.name: [] for figures in shown}
    too_many = dict.fromkeys(series, 0)
    for window in files.metrics():
        if window.segment is None and window.model in series and seen.stands(window):
            series[window.model].add(window)
    for retrain in files.retrains():
        if retrain.model in retrains and len(retrains[retrain.model]) < RETRAINS_MAX:
            retrains[retrain.model].append(retrain)
        elif retrain.model in retrains:
            too_many[retrain.model] += 1
    if drawn:
        for signal in files.signals():
            stories.add_signal(signal)
            if signal.model in courses:
                courses[signal.model].add_signal(signal)
        for alert in files.alerts():
            if alert.model in courses:
                courses[alert.model].add_alert(alert)
    return [
        Model(
            figures=figures,
            series=series[figures.name],
            courses=courses[figures.name],
            deploys=seen.deploys(figures.name),
            retrains=retrains[figures.name],
            retrains_left_out=too_many[figures.name],
        )
        for figures in shown
    ]
