"""Traffic that gives a monitor something to say, from a seed.

Models' errors and one's feature move and come back, again and again, so that alerts open and end and retrains are asked
for. Labels come a little late, early, corrected or never; some predictions come twice; some records are broken.
What is sent, and in which order, is the seed's. When it is sent is the machine's.
"""

import random
import threading
import time
from collections.abc import Callable

import orjson

from load.site.site import Site
from schemas.topics import Stream

# With the partitioner that all producers use: the four partitions get 2, 2, 1 and 1 of them.
MODELS = ("amber", "birch", "cedar", "dune", "ember", "fjord")
HEALTHY = "fjord"
REGIME = 3_000  # predictions of a model between two changes of what is normal
WAITING = 300  # predictions whose label is still to come
STARTS_MS = 1_760_000_000_000
LOOK_EVERY = 100  # events between two looks at the clock

WRONG, WRONG_DRIFTED = 0.05, 0.35
MOVED_BY = 1.0  # in standard deviations of the feature


class Traffic:
    """One model's day over and over, for all models."""

    def __init__(self, site: Site, seed: int, regime: int = REGIME) -> None:
        self._site, self._random, self._regime = site, random.Random(seed), regime  # noqa: S311 - nothing is secret
        self._of_model = dict.fromkeys(MODELS, 0)
        self._waiting: list[tuple[str, str, bool]] = []
        self.predictions = 0

    def send(self, predictions: int, per_second: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """So many more, at so many events a second over both topics; all are acknowledged at the end."""
        start, first, sent = time.monotonic(), self.predictions, self._site.sent
        while self.predictions < first + predictions and not is_over():
            for _ in range(LOOK_EVERY):
                self._predict()
                while len(self._waiting) > WAITING:
                    self._label()
            time.sleep(max(0.0, start + (self._site.sent - sent) / per_second - time.monotonic()))
        self._site.flush()

    def _predict(self) -> None:
        chance, number = self._random.random, self.predictions
        self.predictions += 1
        model, key = self._random.choice(MODELS), f"p{number}"
        self._of_model[model] += 1
        drifted = self._of_model[model] // self._regime % 2 == 1
        truth = chance() < 0.4
        right = chance() > (WRONG_DRIFTED if drifted and model != HEALTHY else WRONG)
        gauss = self._random.gauss
        event = {
            "type": "prediction",
            "v": 1,
            "id": key,
            "model": model,
            "version": "1",
            "ts": STARTS_MS + number,
            "features": {"steady": gauss(0, 1), "moving": gauss(MOVED_BY if drifted and model == "amber" else 0, 1)},
            "prediction": truth if right else not truth,
            "score": chance(),
        }
        value = orjson.dumps(event)
        self._waiting.append((model, key, truth))
        if number % 50 == 23:  # a label that overtakes its prediction
            self._say(len(self._waiting) - 1)
        self._site.send(Stream.PREDICTIONS, model, value)
        if number % 50 == 7:  # a producer that sends again
            self._site.send(Stream.PREDICTIONS, model, value)
        if number % 500 == 99:
            self._site.send(Stream.PREDICTIONS, model, value[: len(value) // 2])

    def _label(self) -> None:
        index = self._random.randrange(len(self._waiting))
        if self._random.random() < 0.05:  # one that never comes
            self._take_out(index)
            return
        self._say(index)

    def _say(self, index: int) -> None:
        model, key, truth = self._take_out(index)
        event = {
            "type": "outcome",
            "v": 1,
            "id": key,
            "model": model,
            "ts": STARTS_MS + self.predictions,
            "label": truth,
        }
        self._site.send(Stream.OUTCOMES, model, orjson.dumps(event))
        if self._random.random() < 0.01:
            event |= {"label": not truth, "revision": 1}
            self._site.send(Stream.OUTCOMES, model, orjson.dumps(event))

    def _take_out(self, index: int) -> tuple[str, str, bool]:
        self._waiting[index], self._waiting[-1] = self._waiting[-1], self._waiting[index]
        return self._waiting.pop()


class Flow:
    """Traffic from a thread of its own, from the start of the block to its end; what failed there is raised here."""

    def __init__(self, site: Site, traffic: Traffic, per_second: float) -> None:
        self._site, self._traffic, self._per_second = site, traffic, per_second
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._began, self._sent = time.monotonic(), site.sent
        self.rate = 0.0  # events a second that were really sent, once it is over

    def __enter__(self) -> "Flow":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.rate = (self._site.sent - self._sent) / (time.monotonic() - self._began)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._traffic.send(1 << 62, self._per_second, self._over.is_set)
        except Exception as error:
            self._failure = error
