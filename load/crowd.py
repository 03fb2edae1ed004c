"""Traffic of very many models, some of which never stop changing what they send.

Most models are steady: three features, one version. One in a thousand is restless: time brings it new versions,
features, categories and segment values, so that every limit on how many there may be is met; a fifth of the traffic is
theirs. A part of the predictions never gets an outcome and waits until its horizon.

The steady ones begin one after the other, each with as many predictions as it takes until it needs no more memory, as
when the past is read first; from then on they come in any order. In any order from the first on that would take an
hour, as a model costs more than a record.
"""

import random
from collections import deque
from collections.abc import Callable

from load.site.site import Site
from schemas.topics import Stream

RESTLESS_ONE_IN = 1_000  # models; each gets so many records that it meets all limits while the others learn
BEGINS_WITH = 150  # predictions: 400 models took 224 MiB after 30 of each, 247 after 150 and 250 after 400
RESTLESS_SHARE = 0.2  # of the predictions
UNLABELLED_SHARE = 0.3
LAG = 20_000  # predictions between one and its outcome
CHANGE_EVERY_S = 15.0  # a restless model's new version, feature, category and segment value
STARTS_MS = 1_760_000_000_000
SHAPES = 4_096  # different values; drawing anew for each prediction would cost more than sending it


class Crowd:
    """``clock`` says how many seconds have passed."""

    def __init__(self, site: Site, models: int, seed: int, clock: Callable[[], float]) -> None:
        self._site, self._clock = site, clock
        self._random = random.Random(seed)  # noqa: S311 - nothing is secret
        self._steady = [f"steady-{number}" for number in range(models - models // RESTLESS_ONE_IN)]
        self._restless = [f"restless-{number}" for number in range(models // RESTLESS_ONE_IN)]
        gauss, score = self._random.gauss, self._random.random
        self._values = [(gauss(0, 1), gauss(5, 2), "abcde"[number % 5], score()) for number in range(SHAPES)]
        self._waiting: deque[tuple[str, str, bool]] = deque()
        self._number = 0
        self._beginning = (model for model in self._steady for _ in range(BEGINS_WITH))

    def send(self, predictions: int) -> None:
        """So many more, with the outcomes that are due; returns before all is acknowledged."""
        epoch, chance, choice = int(self._clock() / CHANGE_EVERY_S), self._random.random, self._random.choice
        for _ in range(predictions):
            self._number += 1
            if self._restless and chance() < RESTLESS_SHARE:
                self._predict(choice(self._restless), self._changing(epoch))
            else:
                self._predict(next(self._beginning, None) or choice(self._steady), "")
            if len(self._waiting) > LAG:
                self._label(*self._waiting.popleft())

    def _changing(self, epoch: int) -> str:
        """The fields of a restless model after its features."""
        recent = max(0, epoch - self._random.randrange(3))  # the old does not end at once where the new begins
        return (
            f',"new-{recent}":{recent % 7},"plan":"p{recent}"}},"version":"{recent}","segments":{{"region":"r{recent}"'
        )

    def _predict(self, model: str, changing: str) -> None:
        number, key = self._number, f"s{self._number}"
        one, other, letter, score = self._values[number * 7 % SHAPES]
        value = (
            f'{{"type":"prediction","v":1,"id":"{key}","model":"{model}","ts":{STARTS_MS + number},'
            f'"prediction":{"true" if one > 0.5 else "false"},"score":{score:.2f},'
            f'"features":{{"one":{one:.4f},"other":{other:.4f},"letter":"{letter}"{changing}}}}}'
        )
        self._site.send(Stream.PREDICTIONS, model, value.encode())
        if number % 10 >= 10 * UNLABELLED_SHARE:
            self._waiting.append((model, key, one > 0.45))

    def _label(self, model: str, key: str, label: bool) -> None:
        value = (
            f'{{"type":"outcome","v":1,"id":"{key}","model":"{model}","ts":{STARTS_MS + self._number},'
            f'"label":{"true" if label else "false"}}}'
        )
        self._site.send(Stream.OUTCOMES, model, value.encode())
