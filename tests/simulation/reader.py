"""Reads one partition number as the transport does, in pieces of chance: the real merge over the simulated topics."""

from collections.abc import Mapping
from random import Random

from streams.merge import Merge, Question
from streams.reading import Batch
from tests.detectors.lying import piece_of
from tests.simulation.log import INPUTS, Log

GRACE_S = 0.02  # the worker's own


class Reader:
    def __init__(self, log: Log, partition: int, positions: Mapping[str, int], draw: Random) -> None:
        self.partition = partition
        self._log = log
        self._draw = draw
        self._merge = Merge(INPUTS, {topic: positions.get(topic, 0) for topic in INPUTS}, GRACE_S)
        self._asked: Question | None = None

    def next_batch(self, generation: int, *, hurry: bool = False) -> Batch | None:
        """What can be released now, or a part of it; ``hurry`` takes all there is."""
        draw, merge, now = self._draw, self._merge, self._log.now / 1000
        if self._asked is not None:
            self._answer(self._asked)
        for topic in INPUTS if hurry else draw.sample(INPUTS, draw.randint(1, len(INPUTS))):
            most = 1_000 if hurry else draw.choice((1, 5, 40, 1_000))
            came = self._log.fetch(topic, self.partition, merge.position(topic), most)
            merge.offer(topic, piece_of(came) if came and draw.random() < 0.5 else came, now)
        question = merge.question(now)
        if question is not None:
            self._asked = question
            if hurry or draw.random() < 0.7:  # else the brokers take their time, and more may have come by then
                self._answer(question)
        run = merge.take(1_000 if hurry else draw.choice((1, 1, 3, 20, 1_000)))
        return None if run is None else Batch(self.partition, run.records, run.positions, generation)

    def _answer(self, question: Question) -> None:
        self._asked = None
        self._merge.answer(question, {topic: self._log.end(topic, self.partition) for topic in INPUTS})
