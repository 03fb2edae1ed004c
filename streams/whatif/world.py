"""The history as it would have been: retrainings that a policy asks for become deployments, and those change answers.

An answer is known to be right or wrong, as labels are at hand that came long after it. A cured version, where that is
assumed, answers as the history did but for so many of its mistakes as its training takes away; which ones is drawn once
for all policies alike. Where answers of another version stand in the history, a new version gives those.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

import msgspec
import numpy as np

from detectors.loss import same_class
from schemas.classes import class_name
from schemas.codec import encode
from schemas.events import Control, ControlAction, Outcome, Prediction, Retrain, Role
from schemas.parsed import Parsed
from schemas.records import Record, RecordLike
from schemas.times import TS_END, duration_ms
from streams.portraits import Reader
from streams.problems import Problem
from streams.whatif.comparison import OfModel, Step
from streams.whatif.facts import Facts
from streams.whatif.known import Known
from streams.whatif.scenario import Plan, Scenario
from streams.whatif.stretches import Plateau, floor_of, mean, removed

TOPIC = "whatif"  # where the deployments and delayed labels stand that no file holds
SCHEDULED_MAX = 100_000  # trainings of one policy, of all models: each is a version and a step, and looks at all labels
_TURNS = (ControlAction.DEPLOY, ControlAction.ROLLBACK)


class Training(NamedTuple):
    """``since``: from when on predictions are learned from."""

    model: str
    since: int
    reason: str


class Deployment(NamedTuple):
    model: str
    version: str
    learned: Sequence[float]  # the share of each stretch


Due = Training | Deployment


def _scheduled(plan: Plan, facts: Facts) -> range:
    made = facts.columns["made"]
    return range(int(made[0]) + plan.every_ms, int(made[-1]) + 1, plan.every_ms)


def too_often(scenario: Scenario, plans: Sequence[Plan], models: Mapping[str, Facts]) -> Iterator[Problem]:
    """Schedules that ask for more than can be tried; a time that is far off in the history makes one of these too."""
    for plan in plans:
        count = sum(len(_scheduled(plan, facts)) for facts in models.values()) if plan.kind == "schedule" else 0
        if count > SCHEDULED_MAX:
            what = f"trains {count:,} times in this history, more than {SCHEDULED_MAX:,}"
            key = ("policies", plan.name, "every") if plan.name in scenario.policies else ("schedule",)
            yield Problem(key, f"{what}; name a longer time, or take less of the history with --from and --to")


class World:
    """Under one plan."""

    def __init__(self, plan: Plan, scenario: Scenario, known: Known) -> None:
        self.steps: list[Step] = []
        self.models = {
            model: _Model(own, known.stretches[model], scenario, model) for model, own in known.facts.items()
        }
        self._plan, self._scenario = plan, scenario
        self._delay_ms = None if scenario.label_delay is None else duration_ms(scenario.label_delay)
        self._reader, self._made = Reader(), 0
        self._due: list[tuple[int, int, Due]] = []
        self._labels: deque[Parsed] = deque()
        for model, own in known.facts.items():
            for ts, since in self._planned(own, known.changes[model]):
                self._put(ts, Training(model, since, plan.kind))

    def _planned(self, facts: Facts, changes: Sequence[int]) -> Iterator[tuple[int, int]]:
        """When it is trained whatever the monitor says, and from when on predictions are learned from."""
        made, came = facts.columns["made"], facts.columns["came"]
        if self._plan.kind == "schedule":
            yield from ((ts, 0) for ts in _scheduled(self._plan, facts))
        elif self._plan.kind == "changes":
            for at, then in pairwise([*changes, TS_END]):
                # As soon as there is enough to learn from; before the next change with what there is.
                labels = np.sort(came[np.searchsorted(made, at) :])
                labels = labels[: min(self._scenario.cured.labels, int(np.searchsorted(labels, then)))]
                if len(labels):
                    yield int(labels[-1]), at

    def _put(self, ts: int, due: Due) -> None:
        self._made += 1  # of one time, what was decided first comes first
        heappush(self._due, (ts, self._made, due))

    # -- what happens beside the records of the history ---------------------------------------------------------------

    @property
    def due(self) -> int:
        """When the next thing happens."""
        labels = self._labels[0].timestamp if self._labels else TS_END
        return min(labels, self._due[0][0] if self._due else TS_END)

    def happen(self) -> Iterator[RecordLike]:
        """It happens, and may be a record."""
        if self._labels and self._labels[0].timestamp == self.due:
            yield self._labels.popleft()
            return
        ts, number, due = heappop(self._due)
        model = self.models[due.model]
        if isinstance(due, Training):
            self._train(model, due, ts)
            return
        model.deployed(due)
        event = Control(
            v=1,
            id=f"{TOPIC}-{due.model}-{due.version}",
            ts=ts,
            model=due.model,
            action=ControlAction.DEPLOY,
            version=due.version,
            by=TOPIC,
        )
        yield Record(TOPIC, 0, number, ts, None, encode(event))

    def asked(self, event: Retrain) -> None:
        """The monitor asks for a retraining: it begins at once."""
        model = self.models.get(event.model)
        if model is not None and self._plan.kind == "policy":
            self._train(model, Training(event.model, event.data.from_ts, event.reason), event.ts)

    def _train(self, model: "_Model", training: Training, ts: int) -> None:
        learned, labels = model.train(training.since, ts)
        version = f"{TOPIC}-{model.told.retrainings}"
        deployed = ts + self._plan.takes_ms
        self._put(deployed, Deployment(training.model, version, learned))
        over = deployed > int(model.facts.columns["made"][-1])
        self.steps.append(
            Step(
                model=training.model,
                asked_ts=ts,
                deployed_ts=None if over else deployed,
                version=version,
                labels=labels,
                reason=training.reason,
            )
        )

    # -- the records of the history -----------------------------------------------------------------------------------

    def turned(self, record: RecordLike) -> Iterator[RecordLike]:
        """The record as it would have been. What the engine refuses is left for it to refuse."""
        event = self._reader.event(record)
        model = self.models.get(event.model or "") if event is not None else None
        if model is None:
            yield record
        elif isinstance(event, Prediction):
            if event.role is Role.CHAMPION:
                row, event = model.row, model.predicted(event, record.timestamp)
                self._label_later(record, event, model, row)
            yield _parsed(record, event)
        elif isinstance(event, Outcome):
            if self._delay_ms is None:
                yield _parsed(record, event)
        else:
            if isinstance(event, Control) and event.action in _TURNS:
                model.history_deploys()
            yield record

    def _label_later(self, record: RecordLike, event: Prediction, model: "_Model", row: int) -> None:
        """Where the scenario says when labels come, those of the history are not waited for."""
        label = model.facts.label(row) if self._delay_ms is not None else None
        if label is not None and self._delay_ms is not None:
            ts = record.timestamp + self._delay_ms
            weight = float(model.facts.columns["weights"][row])
            outcome = Outcome(v=1, id=event.id, model=event.model, ts=ts, label=label, weight=weight)
            self._labels.append(Parsed(f"{TOPIC}#label", 0, record.offset, ts, outcome, 0))


def _parsed(record: RecordLike, event: Prediction | Outcome) -> Parsed:
    fingerprint = record.fingerprint if type(record) is Parsed else crc32(record.value or b"")
    return Parsed(record.topic, record.partition, record.offset, record.timestamp, event, fingerprint)


class _Model:
    """One model, prediction by prediction. ``version`` is the one deployed here; none: the history's own answers."""

    def __init__(self, facts: Facts, stretches: Sequence[Plateau], scenario: Scenario, name: str) -> None:
        self.facts = facts
        self.told = OfModel()
        self.row = 0
        self.version: str | None = None
        self._scenario, self._stretches = scenario, stretches
        self._levels = [stretch.level for stretch in stretches]  # of what answers now
        columns = facts.columns
        self._losses, self._weights = columns["losses"], columns["weights"]
        rate = facts.rule is not None and facts.rule.is_rate
        known = self._losses[~np.isnan(self._losses)]
        self._usual = stretches[0].level + (floor_of(known, rate=rate) if len(known) else np.inf)
        self._draws = np.random.default_rng([scenario.seed, crc32(name.encode())]).random(facts.rows)
        self._learned_from = np.zeros(facts.rows, dtype=bool)
        self._versions: set[str | None] = set()
        self._stretch, self._above, self._before = 0, False, 0

    def train(self, since: int, until: int) -> tuple[list[float], int]:
        """How much of each stretch a training with the labels that have come by then teaches, and from how many."""
        made, came = self.facts.columns["made"], self.facts.columns["came"]
        first, end = int(np.searchsorted(made, since)), int(np.searchsorted(made, until, side="right"))
        known = came[first:end] <= until
        new = int((known & ~self._learned_from[first:end]).sum())
        self._learned_from[first:end] |= known
        cured = self._scenario.cured
        learned = []
        for stretch in self._stretches:
            seen = int(known[max(0, stretch.first - first) : max(0, stretch.end - first)].sum())
            learned.append(cured.share * min(1.0, seen / cured.labels))
        self.told.retrainings += 1
        self.told.labels += new
        return learned, new

    def deployed(self, due: Deployment) -> None:
        self.version = due.version
        if self._scenario.cured.answers == "replayed":
            self._levels = [self._replayed(stretch) for stretch in self._stretches]
        else:
            away = removed([stretch.excess for stretch in self._stretches], due.learned)
            self._levels = [stretch.level - less for stretch, less in zip(self._stretches, away, strict=True)]
        self._look()

    def _replayed(self, stretch: Plateau) -> float:
        own = self.facts.columns["other_losses"][stretch.first : stretch.end]
        return mean(own[~np.isnan(own)], stretch.level)

    def history_deploys(self) -> None:
        """The history has a new version of its own: from here on it answers for itself."""
        self.version = None
        self._levels = [stretch.level for stretch in self._stretches]
        self._look()

    def _look(self) -> None:
        self._above = self._levels[self._stretch] > self._usual

    def predicted(self, event: Prediction, now: int) -> Prediction:
        row = self.row
        self.row += 1
        if self._above:
            self.told.above_ms += now - self._before
        self._before = now
        if self.version is not None and event.version not in self._versions:
            self.history_deploys()
        self._versions.add(event.version)
        if row >= self._stretches[self._stretch].end:
            self._stretch += 1
            self._look()
        loss = float(self._losses[row])
        if self.version is not None:
            event = msgspec.structs.replace(event, version=self.version)
            replayed = self._scenario.cured.answers == "replayed"
            event, loss = self._other(event, row, loss) if replayed else self._cured(event, row, loss)
        if not math.isnan(loss):
            self.told.rows += 1
            self.told.loss += float(self._weights[row]) * loss
        return event

    def _other(self, event: Prediction, row: int, loss: float) -> tuple[Prediction, float]:
        """What the other version answered; where it did not, the history's answer stays."""
        answer = self.facts.other(row)
        if answer is None:
            return event, loss
        score = float(self.facts.columns["other_scores"][row])
        event = msgspec.structs.replace(
            event, prediction=answer, score=None if math.isnan(score) else score, scores=None
        )
        return event, float(self.facts.columns["other_losses"][row])

    def _cured(self, event: Prediction, row: int, loss: float) -> tuple[Prediction, float]:
        """Of its losses so many are taken away as its training does in this stretch."""
        level, rule, label = self._stretches[self._stretch].level, self.facts.rule, self.facts.label(row)
        less = (level - self._levels[self._stretch]) / level if level > 0.0 else 0.0
        if rule is None or label is None or less <= 0.0 or not loss > 0.0:
            return event, loss
        if not rule.is_rate:
            part = (1.0 - less) ** (0.5 if rule.loss == "squared" else 1.0)
            if isinstance(label, str) or isinstance(event.prediction, str):
                return event, loss
            answer = float(label) + (float(event.prediction) - float(label)) * part
            return msgspec.structs.replace(event, prediction=answer), loss * (1.0 - less)
        if self._draws[row] >= less:
            return event, loss
        score, scores = event.score, event.scores
        if score is not None and rule.positive is not None:  # on the side of the truth, as sure as it was
            score = max(score, 1.0 - score) if same_class(label, rule.positive) else min(score, 1.0 - score)
        if scores:
            truth, (highest, most) = class_name(label), max(scores.items(), key=itemgetter(1))
            scores = {**scores, highest: scores.get(truth, 0.0), truth: most}
        answer = self.facts.answer_of(label)
        return msgspec.structs.replace(event, prediction=answer, score=score, scores=scores), 0.0
