"""What a history holds of each model, with all of it at hand: every prediction's answer, label and loss, as columns.

One pass reads it; every policy's replay then knows of each prediction what nobody knew when it was made. The columns
lie in a folder, and are mapped from there by as many processes as there are.
"""

import math
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.config import MonitorConfig
from detectors.join import EARLY_MAX
from detectors.loss import EVIDENCE, LossRule, Pair, configured, found_out, losses, same_class
from detectors.shelf import Label, Pending
from schemas.events import Outcome, Prediction, Role
from schemas.records import RecordLike
from schemas.times import duration_ms
from streams.embedded import BATCH_RECORDS
from streams.errors import UsageError
from streams.portraits import Reader

MODELS_MAX = 1_000
ANSWERS_MAX = 1_000  # different ones of a model whose answers are classes
NEVER = 1 << 62  # when a label comes that does not

_FACTS = "facts.json"
Column = NDArray[Any]


class Cells:
    """Numbers as they are, words and truths by their numbers in a list."""

    def __init__(self) -> None:
        self.numbers, self.codes = array("d"), array("i")
        self.words: list[str | bool] = []
        self._known: dict[str | bool, int] = {}

    def append(self, value: Label | None) -> None:
        self.numbers.append(np.nan)
        self.codes.append(-1)
        if value is not None:
            self.put(len(self.codes) - 1, value)

    def put(self, row: int, value: Label) -> None:
        if isinstance(value, str | bool):
            if value not in self._known:
                self._known[value] = len(self.words)
                self.words.append(value)
            self.codes[row], self.numbers[row] = self._known[value], np.nan
        else:
            self.codes[row], self.numbers[row] = -1, value

    def at(self, row: int) -> Label | None:
        return cell(self.words, self.codes[row], self.numbers[row])


def cell(words: Sequence[str | bool], code: int, number: float) -> Label | None:
    if code >= 0:
        return words[code]
    return None if math.isnan(number) else float(number)


_Event = TypeVar("_Event", Outcome, Prediction)


class _Early(Generic[_Event]):
    """What came before its prediction, the oldest first, as the join of the monitor holds it."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[_Event, int]] = OrderedDict()

    def get(self, key: str) -> _Event | None:
        held = self._held.get(key)
        return held[0] if held is not None else None

    def put(self, event: _Event, now: int) -> None:
        held = self._held.get(event.id)
        if held is None and len(self._held) >= EARLY_MAX:
            self._held.popitem(last=False)
        self._held[event.id] = event, now if held is None else held[1]  # another word on it does not wait longer

    def pop(self, key: str) -> _Event | None:
        held = self._held.pop(key, None)
        return held[0] if held is not None else None

    def expire(self, oldest: int) -> None:
        while self._held and next(iter(self._held.values()))[1] < oldest:
            self._held.popitem(last=False)


class _Rows:
    """Of one model, while the history goes by."""

    def __init__(self, horizon_ms: int) -> None:
        self.made, self.came, self.weights = array("q"), array("q"), array("d")
        self.answers, self.labels, self.others = Cells(), Cells(), Cells()
        self.other_scores = array("d")
        self._horizon_ms = horizon_ms
        self._waiting: OrderedDict[str, tuple[int, int]] = OrderedDict()  # by id: its row, and the label's revision
        self._early, self._early_others = _Early[Outcome](), _Early[Prediction]()

    def predicted(self, event: Prediction, now: int) -> None:
        row = len(self.made)
        self.made.append(now)
        self.came.append(NEVER)
        self.weights.append(1.0)
        self.answers.append(event.prediction)
        self.labels.append(None)
        self.others.append(None)
        self.other_scores.append(np.nan)
        self._expire(now)
        if event.id in self._waiting:
            return  # it came twice: the first stands
        self._waiting[event.id] = row, -1
        if (early := self._early.pop(event.id)) is not None:
            self.labelled(early, now)
        if (other := self._early_others.pop(event.id)) is not None:
            self.answered(other, now)

    def _expire(self, now: int) -> None:
        oldest = now - self._horizon_ms
        while self._waiting and self.made[next(iter(self._waiting.values()))[0]] < oldest:
            self._waiting.popitem(last=False)
        self._early.expire(oldest)
        self._early_others.expire(oldest)

    def labelled(self, event: Outcome, now: int) -> None:
        """The newest word on it counts, as corrections do; when it came is when the first one did."""
        if event.provisional:
            return
        self._expire(now)
        row, revision = self._waiting.get(event.id, (-1, -1))
        if row < 0:
            early = self._early.get(event.id)
            if early is None or event.revision > early.revision:
                self._early.put(event, now)
        elif event.revision > revision:
            self._waiting[event.id] = row, event.revision
            self.labels.put(row, event.label)
            self.weights[row] = event.weight
            self.came[row] = min(self.came[row], now)

    def answered(self, event: Prediction, now: int) -> None:
        """What the other version said to the same."""
        self._expire(now)
        row, _ = self._waiting.get(event.id, (-1, -1))
        if row < 0:
            self._early_others.put(event, now)
        else:
            self.others.put(row, event.prediction)
            self.other_scores[row] = np.nan if event.score is None else event.score

    def finish(self, rule: LossRule | None, delay_ms: int | None) -> "Facts":
        came = np.array(self.came, dtype=np.int64)
        made = np.array(self.made, dtype=np.int64)
        if delay_ms is not None:
            came = np.where(came == NEVER, NEVER, made + delay_ms)
        columns = {
            "made": made,
            "came": came,
            "weights": np.array(self.weights),
            "labels": np.array(self.labels.numbers),
            "label_codes": np.array(self.labels.codes, dtype=np.int32),
            "losses": _losses(rule, self.answers, self.labels),
            "others": np.array(self.others.numbers),
            "other_codes": np.array(self.others.codes, dtype=np.int32),
            "other_scores": np.array(self.other_scores),
            "other_losses": _losses(rule, self.others, self.labels),
        }
        classes = _classes(self.answers) if rule is not None and rule.is_rate else []
        return Facts(columns, rule, self.labels.words, self.others.words, classes)

    def rule(self, monitor: MonitorConfig, model: str) -> LossRule | None:
        """As the monitor finds it out; none without labels."""
        config = monitor.of(model)
        pairs = []
        for row in np.flatnonzero(np.array(self.came, dtype=np.int64) != NEVER)[:EVIDENCE]:
            answer, label = self.answers.at(row), self.labels.at(row)
            if answer is not None and label is not None:
                pairs.append(Pair(_pending(answer), label))
        return (configured(config) or found_out(config, pairs)) if pairs else None


class Facts(NamedTuple):
    """Of one model. ``rule`` is none where it has no labels; ``classes``: what it answered with."""

    columns: dict[str, Column]
    rule: LossRule | None
    label_words: list[str | bool]
    other_words: list[str | bool]
    classes: list[Label]

    @property
    def rows(self) -> int:
        return len(self.columns["made"])

    @property
    def labelled(self) -> int:
        return int((~np.isnan(self.columns["losses"])).sum())

    @property
    def answered(self) -> int:
        """Predictions that the other version answered too."""
        return int(((self.columns["other_codes"] >= 0) | ~np.isnan(self.columns["others"])).sum())

    def label(self, row: int) -> Label | None:
        return cell(self.label_words, self.columns["label_codes"][row], self.columns["labels"][row])

    def other(self, row: int) -> Label | None:
        return cell(self.other_words, self.columns["other_codes"][row], self.columns["others"][row])

    def answer_of(self, label: Label) -> Label:
        """What this model says where it means that label: true and 1 are one answer."""
        return next((answer for answer in self.classes if same_class(answer, label)), label)


class Seen:
    """Records that went by, counted as the summary of a replay counts them."""

    def __init__(self) -> None:
        self.records = 0
        self.times: tuple[int, int] | None = None  # the first and the last

    def passing(self, records: Iterable[RecordLike]) -> Iterator[RecordLike]:
        for record in records:
            self.records += 1
            if (ts := record.timestamp) > 0:  # 0: no event has shown a time yet
                self.times = (min(self.times[0], ts), max(self.times[1], ts)) if self.times is not None else (ts, ts)
            yield record


def gather(
    records: Iterable[RecordLike],
    monitor: MonitorConfig,
    *,
    version: str | None = None,
    label_delay: str | None = None,
    progress: Callable[[int], object] = lambda records: None,
) -> dict[str, Facts]:
    """``version``: whose answers are to stand for those of new versions."""
    reader, models = Reader(), dict[str, _Rows]()
    for number, record in enumerate(records, 1):
        if not number % BATCH_RECORDS:
            progress(BATCH_RECORDS)
        event, now = reader.event(record), record.timestamp
        if not isinstance(event, Prediction | Outcome):
            continue
        rows = models.get(event.model)
        if rows is None:
            if len(models) == MODELS_MAX:
                raise UsageError(f"more than {MODELS_MAX:,} models", where="the history", advice="take fewer at a time")
            rows = models[event.model] = _Rows(duration_ms(monitor.of(event.model).label_horizon))
        if isinstance(event, Outcome):
            rows.labelled(event, now)
        elif event.role is Role.CHAMPION:
            rows.predicted(event, now)
        elif version is not None and event.version == version:
            rows.answered(event, now)
    delay_ms = None if label_delay is None else duration_ms(label_delay)
    return {model: rows.finish(rows.rule(monitor, model), delay_ms) for model, rows in models.items() if rows.made}


def _pending(answer: Label) -> Pending:
    return Pending(0, 0, 0, 0, answer, None, None)


def _losses(rule: LossRule | None, answers: Cells, labels: Cells) -> Column:
    """Not a number where there is no label or no answer."""
    found = np.full(len(answers.codes), np.nan)
    known: dict[tuple[Any, ...], float] = {}
    for row in range(len(found)) if rule is not None else ():
        label = labels.at(row)
        answer = answers.at(row) if label is not None else None
        if answer is None or label is None or rule is None:
            continue
        key = type(answer), answer, type(label), label
        loss = known.get(key)
        if loss is None:
            loss = losses(rule, _pending(answer), label).loss
            if len(known) < ANSWERS_MAX:
                known[key] = loss
        found[row] = loss
    return found


def _classes(answers: Cells) -> list[Label]:
    numbers = np.unique(np.array(answers.numbers))
    return [*answers.words, *(float(number) for number in numbers[~np.isnan(numbers)])][:ANSWERS_MAX]


# -- in a folder ------------------------------------------------------------------------------------------------------


class _Written(msgspec.Struct, frozen=True):
    rule: LossRule | None
    label_words: list[str | bool]
    other_words: list[str | bool]
    classes: list[Label]


def write(folder: Path, models: dict[str, Facts]) -> None:
    """Models by their numbers: names are for people."""
    for number, facts in enumerate(models.values()):
        for name, column in facts.columns.items():
            np.save(folder / f"{number}-{name}.npy", column, allow_pickle=False)
    written = {
        model: _Written(facts.rule, facts.label_words, facts.other_words, facts.classes)
        for model, facts in models.items()
    }
    (folder / _FACTS).write_bytes(msgspec.json.encode(written))


def read(folder: Path) -> dict[str, Facts]:
    written = msgspec.json.decode((folder / _FACTS).read_bytes(), type=dict[str, _Written])
    found = {}
    for number, (model, facts) in enumerate(written.items()):
        columns = {
            path.stem.partition("-")[2]: np.load(path, mmap_mode="r", allow_pickle=False)
            for path in folder.glob(f"{number}-*.npy")
        }
        found[model] = Facts(columns, facts.rule, facts.label_words, facts.other_words, facts.classes)
    return found
