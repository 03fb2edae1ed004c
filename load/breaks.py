"""Traffic of healthy models at a steady rate, and beside it that of many that break, each at a prediction known before.

One half of those that break get a feature that moves by many standard deviations at once, so that a prediction decides;
of the other half each answer is wrong from then on, so that an outcome decides. Everything follows from the number of
a prediction and the seed. When it is sent follows from the rate alone: see ``on_time``.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from schemas.topics import Stream

FEATURES = 8
BASELINE_ROWS = 500  # so that hundreds of models learn what is normal in a minute; fewer give false alarms
WARM_ROWS = BASELINE_ROWS * 5 // 4
SETTLE_S = 10.0  # of steady traffic before the first alarm that counts; others warm up in it
REHEARSED = 20  # alarms that do not count: code that runs for the first time is slow
TAIL_S = 10.0  # of steady traffic after the last break, in which it is found
LABEL_AFTER_S = 1.0
BREAKING_ONE_IN = 5  # predictions: most of the traffic is that of models that stay as they are
WRONG, MOVED_BY = 0.05, 6.0  # share of answers; standard deviations
ROWS = 4_093  # different predictions; a prime, so that every model meets all of them, in an order of its own
TURN_S = 0.002  # between two looks at what is due

Send = Callable[[int, float], None]  # a number and when it was due, in epoch seconds


class Event(NamedTuple):
    stream: Stream
    model: str
    value: bytes


class _Row(NamedTuple):
    values: tuple[str, ...]
    moved: tuple[str, ...]
    answer: bool
    right: bool


class Plan(NamedTuple):
    """Half of the events are predictions. They are counted from the warm-up on."""

    per_second: float
    models: int
    alarms: int  # that count
    seconds: float  # in which they begin
    seed: int
    settle_s: float = SETTLE_S
    tail_s: float = TAIL_S

    @property
    def slot_s(self) -> float:
        """From one prediction to the next."""
        return 2 / self.per_second

    @property
    def steady(self) -> range:
        """The predictions that are sent at the rate; those before only teach what is normal."""
        first = self.models * WARM_ROWS
        return range(first, first + round((self.settle_s + self.seconds + self.tail_s) / self.slot_s))

    @property
    def counted(self) -> range:
        """Those that are sent while alarms count."""
        first = self.steady.start + round(self.settle_s / self.slot_s)
        return range(first, first + round(self.seconds / self.slot_s))

    def breaks(self) -> Mapping[str, int]:
        """By model, the first prediction that is not as it should be; the rehearsed ones first."""
        chance = random.Random(self.seed).random  # noqa: S311 - nothing is secret
        every_s = self.seconds / self.alarms
        moments = [(number + chance()) * self.settle_s / REHEARSED for number in range(REHEARSED)]
        moments += [self.settle_s + (number + chance()) * every_s for number in range(self.alarms)]
        return {
            f"breaks-{number}": self.steady.start + round(moment / self.slot_s) for number, moment in enumerate(moments)
        }


class Traffic:
    def __init__(self, plan: Plan) -> None:
        self.breaks, self.counted = plan.breaks(), plan.counted
        self._lag = round(LABEL_AFTER_S / plan.slot_s)
        chance = random.Random(plan.seed)  # noqa: S311 - nothing is secret
        calm = [f"calm-{number}" for number in range(plan.models - len(self.breaks))]
        self._steady = plan.steady
        self._calm, self._breaking = calm, list(self.breaks)
        self._models = [*self.breaks, *calm]
        self._rows = [_row(chance) for _ in range(ROWS)]
        # Features are named for their model: no two models break for one cause.
        self._features = {
            model: ",".join(f'"{model}-{column}":%s' for column in range(FEATURES)) for model in self._models
        }
        self._mislabelled = frozenset(list(self.breaks)[1::2])

    def events(self, number: int, due_s: float) -> list[Event]:
        """A prediction, and the outcome of one before it. ``ts`` is when they were due."""
        due_ms = int(due_s * 1000)
        before = number - self._lag
        return [self._prediction(number, due_ms), *([self._outcome(before, due_ms)] if before >= 0 else ())]

    def slot(self, event: Stream, number: int) -> int:
        """With which prediction an event about this one is sent."""
        return number + self._lag if event is Stream.OUTCOMES else number

    def broken(self, model: str, number: int) -> bool:
        return number >= self.breaks.get(model, number + 1)

    def _prediction(self, number: int, due_ms: int) -> Event:
        model, row = self._of(number)
        moved = self.broken(model, number) and model not in self._mislabelled
        features = self._features[model] % (row.moved if moved else row.values)
        value = (
            f'{{"type":"prediction","v":1,"id":"p{number}","model":"{model}","version":"1","ts":{due_ms},'
            f'"prediction":{_word(row.answer)},"features":{{{features}}}}}'
        )
        return Event(Stream.PREDICTIONS, model, value.encode())

    def _outcome(self, number: int, due_ms: int) -> Event:
        model, row = self._of(number)
        right = row.right and not (self.broken(model, number) and model in self._mislabelled)
        value = (
            f'{{"type":"outcome","v":1,"id":"p{number}","model":"{model}","ts":{due_ms},'
            f'"label":{_word(row.answer == right)}}}'
        )
        return Event(Stream.OUTCOMES, model, value.encode())

    def _of(self, number: int) -> tuple[str, _Row]:
        return self._model(number), self._rows[number * 7 % ROWS]

    def _model(self, number: int) -> str:
        """All learn what is normal from as many predictions."""
        if number < self._steady.start:
            return self._models[number % len(self._models)]
        turn, rest = divmod(number - self._steady.start, BREAKING_ONE_IN)
        if rest == 0:
            return self._breaking[turn % len(self._breaking)]
        return self._calm[(turn * (BREAKING_ONE_IN - 1) + rest - 1) % len(self._calm)]


def number_of(event_id: str) -> int:
    """Of the prediction that an event is about."""
    return int(event_id[1:])


def on_time(
    numbers: range,
    slot_s: float,
    send: Send,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Sends each number when it is due, or at once where it is overdue already.

    Nothing is put off because something before it took long: a pause here becomes lateness that shows, and no pause in
    what is asked of the product.
    """
    start, number = clock(), numbers.start
    while number < numbers.stop:
        due = min(numbers.start + 1 + int((clock() - start) / slot_s), numbers.stop)
        while number < due:
            send(number, start + (number - numbers.start) * slot_s)
            number += 1
        sleep(TURN_S)


def _row(chance: random.Random) -> _Row:
    first, *others = [chance.gauss(0, 1) for _ in range(FEATURES)]
    answer, right = chance.random() < 0.5, chance.random() >= WRONG
    return _Row(_texts([first, *others]), _texts([first + MOVED_BY, *others]), answer, right)


def _texts(values: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"{value:.6f}" for value in values)


def _word(truth: bool) -> str:
    return "true" if truth else "false"
