"""Which settings ``driftline tune`` tries. Pure: a configuration and a few facts of the history in, candidates out.

Only what decides which alarms come, and what injected drifts can judge. Whitening is learned from the baseline, so it
is tried by its length. Left alone: silence and volume, which no injected drift shows, so that the best would always be
to turn them off; severities and importance, which say who is called and not what is found; facts of the data such as
``label_horizon``; and segments, which are a question that people ask.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from detectors.banks.shiryaev import WATCH
from detectors.budget import MONTH_MS
from detectors.config import ModelConfig, MonitorConfig
from schemas.times import UNIT_MS
from streams.errors import UsageError
from streams.keys import SETTINGS
from streams.problems import shown

Changes = Mapping[str, Any]  # keys of [defaults], such as "baseline_rows" or "incidents.lasts"; None: not set

OPTION = "--budget"
_BUDGET = re.compile(r"([0-9.]{1,12})\s*(?:/|per|in)\s*(?:([0-9_,]{1,18})\s*rows|(day|week|month))", re.ASCII)
_DAYS = {"day": 1, "week": 7, "month": 30}
PER_MONTH, IN_ROWS = "false_pages_per_month", "rows_per_false_alarm"

STRICTER = (3, 10, 30)  # a threshold follows the budget, and a delay its logarithm: stricter costs little
BASELINES = (300, 1_000, 3_000, 10_000)
BASELINE_SHARE = 0.4  # of a part's predictions, so that drifts at half of it find something learned
LASTING = (100, 500)  # predictions
REOPENING = (500, 5_000)
# Without the detector that keeps to a budget; for histories on which its promise costs too much delay.
RULES: tuple[Changes, ...] = (
    {"detectors": (WATCH, "adwin", "page_hinkley"), "loss_detectors": (WATCH, "adwin", "page_hinkley")},
    {"detectors": ("adwin", "page_hinkley"), "loss_detectors": ("adwin", "page_hinkley")},
    {"detectors": ("adwin",), "loss_detectors": ("adwin",), "parameters": {"adwin": {"delta": 0.00001}}},
    {"detectors": ("ks",), "loss_detectors": ("adwin",), "parameters": {"ks": {"alpha": 0.0001}}},
)


class Budget(NamedTuple):
    """One of the two is a number."""

    per_month: float | None
    rows: float | None  # predictions for each false alarm

    @property
    def changes(self) -> Changes:
        return {IN_ROWS: self.rows} if self.rows is not None else {PER_MONTH: self.per_month, IN_ROWS: None}

    def stricter(self, times: float) -> "Budget":
        per_month = None if self.per_month is None else float(f"{self.per_month / times:.3g}")
        return Budget(per_month, None if self.rows is None else self.rows * times)

    def bears(self, span_ms: int, models: int, predictions: int) -> float:
        """False pages in so much of the history."""
        if self.rows is not None:
            return predictions / self.rows
        return (self.per_month or 0.0) * models * span_ms / MONTH_MS

    @property
    def fits(self) -> bool:
        key, value = (IN_ROWS, self.rows) if self.rows is not None else (PER_MONTH, self.per_month)
        check = SETTINGS[f"defaults.{key}"].check
        return check is None or check.accepts(value)

    def __str__(self) -> str:
        return f"1 in {self.rows:,.0f} rows" if self.rows is not None else f"{self.per_month:g} a month"


class Facts(NamedTuple):
    """Of the history, as a model in the middle has it."""

    predictions: int  # in the smaller part
    gap_ms: float  # from one to the next


class Candidate(NamedTuple):
    name: str  # what is other than it is now, in words
    changes: Changes


def budget(text: str) -> Budget:
    found = _BUDGET.fullmatch(text.strip())
    try:
        number = float(found[1]) if found else 0.0
        rows = float(found[2].replace(",", "").replace("_", "")) if found and found[2] else None
    except ValueError:
        number, rows = 0.0, None
    if found is None or not number:
        advice = 'write "1/month", "2/week" or "1/100000 rows"'
        raise UsageError(f"{shown(text)} is no budget of false pages", where=OPTION, advice=advice)
    of = Budget(None, rows / number) if rows is not None else Budget(number * 30 / _DAYS[found[3]], None)
    if not of.fits:
        key = IN_ROWS if of.rows is not None else PER_MONTH
        raise UsageError(f"{shown(text)} is out of range", where=OPTION, advice=f"see driftline check --explain {key}")
    return of


def budget_of(config: ModelConfig) -> Budget:
    if config.rows_per_false_alarm is not None:
        return Budget(None, config.rows_per_false_alarm)
    return Budget(config.false_pages_per_month, None)


def asked(monitor: MonitorConfig, wanted: Budget | None) -> Candidate:
    """The configuration as it is, but for the budget where another one is asked for."""
    configs = (monitor.defaults, *monitor.models.values())
    as_it_is = wanted is None or all(budget_of(config) == wanted for config in configs)
    return Candidate("as it is", {}) if as_it_is or wanted is None else Candidate(f"{wanted}", wanted.changes)


def candidates(base: Candidate, given: ModelConfig, of: Budget, facts: Facts, many: int, seed: int) -> list[Candidate]:
    """At most so many, each another one: first one change at a time, then several at once, drawn."""
    choices = list(_choices(given, of, facts))
    found = {_key(changed(given, base.changes)): base}
    alone = (dict([one]) for choice in choices for one in choice.items())
    for picked in (*alone, *_drawn(choices, many, seed)):
        if len(found) == many:
            break
        changes = dict(base.changes)
        for part in picked.values():
            changes.update(part)
        if changes.get("detectors", given.detectors) and not _keeps_budget(changed(given, changes)):
            changes = {**changes, **of.changes}  # without a budget to keep to, a stricter one is the same again
        name = ", ".join(picked)
        found.setdefault(_key(changed(given, changes)), Candidate(name, changes))
    return list(found.values())


def _choices(given: ModelConfig, of: Budget, facts: Facts) -> Iterator[dict[str, Changes]]:
    """What can be other, by its words."""
    budgets = [of.stricter(times) for times in STRICTER]
    yield {f"budget {one}": one.changes for one in budgets if one.fits}
    most = facts.predictions * BASELINE_SHARE
    yield {f"baseline_rows {rows}": {"baseline_rows": rows} for rows in BASELINES if rows <= most}
    rules = [rule for rule in RULES if rule["detectors"] != given.detectors]
    yield {f"detectors {' and '.join(rule['detectors'])}": {"parameters": {}, **rule} for rule in rules}
    yield {f"lasts {one}": {"incidents.lasts": one} for one in _durations(LASTING, facts)}
    yield {f"reopen_within {one}": {"incidents.reopen_within": one} for one in _durations(REOPENING, facts)}


def _durations(predictions: Iterable[int], facts: Facts) -> Iterator[str]:
    longest = 30 * UNIT_MS["d"]
    for many in predictions:
        yield f"{max(1, round(min(many * facts.gap_ms, longest) / 1_000))}s"


def _drawn(choices: list[dict[str, Changes]], many: int, seed: int) -> Iterator[dict[str, Changes]]:
    """Of each what it is now or one of the others. Tried often enough to fill the list where there are as many."""
    draw = np.random.default_rng([seed, 0])
    for _ in range(20 * many):
        picked: dict[str, Changes] = {}
        for choice in choices:
            at = int(draw.integers(len(choice) + 1))
            picked.update(list(choice.items())[at : at + 1])
        yield picked


def _keeps_budget(config: ModelConfig) -> bool:
    return WATCH in config.detectors or WATCH in config.loss_detectors


def _key(config: ModelConfig) -> bytes:
    return msgspec.json.encode(config, order="deterministic")


def changed(config: ModelConfig, changes: Changes) -> ModelConfig:
    fields: dict[str, Any] = {}
    for path, value in changes.items():
        section, _, key = path.rpartition(".")
        if section:
            fields[section] = msgspec.structs.replace(fields.get(section, getattr(config, section)), **{key: value})
        else:
            fields[path] = value
    return msgspec.structs.replace(config, **fields)


def changed_everywhere(monitor: MonitorConfig, changes: Changes) -> MonitorConfig:
    """For every model, also where one says otherwise."""
    models = {name: changed(config, changes) for name, config in monitor.models.items()}
    return msgspec.structs.replace(monitor, defaults=changed(monitor.defaults, changes), models=models)


def changed_table(table: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The same of a file's content: what is changed stands in [defaults], and no model says otherwise."""
    defaults = _copied(table.get("defaults", {}))
    models = {name: _copied(own) for name, own in table.get("models", {}).items()}
    for path, value in changes.items():
        section, _, key = path.rpartition(".")
        for own in models.values():
            (own.get(section, {}) if section else own).pop(key, None)
        below = defaults.setdefault(section, {}) if section else defaults
        below.pop(key, None)
        if value is not None:
            below[key] = list(value) if isinstance(value, tuple) else value
    return {**table, "defaults": defaults, **({"models": models} if models else {})}


def _copied(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
