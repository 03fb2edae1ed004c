"""Where reading goes on, and the jumps on the way: asked of the brokers, so that none is silent."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby

import structlog
from aiokafka import TopicPartition
from faust.types import TP

from streams.gaps import Hole, Jump, Why, in_words, jump
from streams.identity import Identity
from streams.offsets import Offsets
from streams.reading import AFRESH, hole, made_anew, repartitioned, seek_place

log = structlog.get_logger(__name__)

Clock = Callable[[], float]
Known = Mapping[int, Mapping[str, int]]  # by partition number and topic, the next offset that a state wants


class Places:
    """``jumps`` are those whose alert was not handed over yet, by partition number."""

    def __init__(
        self, offsets: Offsets, inputs: Sequence[str], outputs: Sequence[str] = (), clock: Clock = time.time
    ) -> None:
        self._offsets = offsets
        self._inputs = inputs
        self._outputs = outputs
        self._clock = clock
        self.topics: Mapping[str, Identity] = {}
        self.jumps: dict[int, list[Jump]] = {}

    async def begin(
        self, assigned: Collection[TP], known: Known, made_from: Mapping[int, Mapping[str, Identity]]
    ) -> dict[TP, int]:
        """The place of each partition; what is missing before it becomes a jump.

        ``made_from``: the topics that the states were made from. An output topic that was made anew is no hindrance:
        the state forgets what it knew of the old one.
        """
        places = [TopicPartition(*tp) for tp in assigned]
        await self.check_topics()
        for of_state in made_from.values():
            self._refuse_others({topic: before for topic, before in of_state.items() if topic in self._inputs})
        firsts, ends = await self._offsets.beginnings(places), await self._offsets.ends(places)
        wanted = {tp: known[tp.partition].get(tp.topic) for tp in assigned}
        seeks = {tp: seek_place(tp, wanted[tp], first=firsts[tp], end=ends[tp]) for tp in assigned}
        self.jumps = {}
        in_order = sorted(seeks, key=lambda tp: (tp.partition, self._inputs.index(tp.topic)))
        for number, tps in groupby(in_order, key=lambda tp: tp.partition):
            await self._tell_of(number, {tp: wanted[tp] for tp in tps}, seeks)
        return seeks

    async def _tell_of(self, number: int, wanted: Mapping[TP, int | None], seeks: Mapping[TP, int]) -> None:
        new = all(place is None for place in wanted.values())
        if new:
            await self._tell_how_far_back(number, [TopicPartition(*tp) for tp in wanted])
        holes = [found for tp, place in wanted.items() if (found := hole(tp, place, seeks[tp]))]
        if holes:
            await self._jumped(number, holes, Why.NO_STATE if new else Why.RETENTION)

    async def _tell_how_far_back(self, number: int, tps: Sequence[TopicPartition]) -> None:
        times = await self._offsets.first_times(tps)
        began = {tp.topic: None if (at := times[tp]) is None else in_words(at) for tp in tps}
        log.info("began without state, from what the topics still hold", partition=number, oldest=began)

    async def passed(self, tp: TP, expected: int, place: int) -> None:
        """Reading went on at ``place``. Markers and compaction leave such holes too; only what was deleted is told."""
        if place < expected:
            raise made_anew(f"{tp.topic}[{tp.partition}]", f"offset {place} came after {expected - 1}")
        first = (await self._offsets.beginnings([TopicPartition(*tp)]))[TopicPartition(*tp)]
        if first > expected and (found := hole(tp, expected, place)):
            await self._jumped(tp.partition, [found], Why.RETENTION)

    async def _jumped(self, number: int, holes: Sequence[Hole], why: Why) -> None:
        tps = [TopicPartition(hole.topic, number) for hole in holes]
        times = [at for at in (await self._offsets.first_times(tps)).values() if at is not None]
        at = max(times, default=int(self._clock() * 1000))
        log.error("records are missing", partition=number, why=why.value, offsets=[str(hole) for hole in holes])
        self.jumps.setdefault(number, []).append(jump(number, holes, why, at))

    def done(self, number: int, positions: Mapping[str, int]) -> list[Jump]:
        """The jumps that these positions have behind them; each is given once."""
        jumps = self.jumps.get(number, [])
        done = [each for each in jumps if each.is_done(positions)]
        if done:
            self.jumps[number] = [each for each in jumps if each not in done]
        return done

    async def check_topics(self) -> None:
        """Raises where a topic was deleted and made again, or got more partitions, since this process looked first."""
        before = self.topics
        self.topics = {**before, **await self._offsets.identities([*self._inputs, *self._outputs])}
        self._refuse_others(before)

    def _refuse_others(self, topics: Mapping[str, Identity]) -> None:
        for topic, before in topics.items():
            now = self.topics.get(topic, before)
            if now.id != before.id:
                advice = AFRESH if topic in self._inputs else "start the worker again: it goes on with the new one"
                raise made_anew(topic, f"its id was {before.id} and is {now.id}", advice)
            if now.partitions != before.partitions:
                raise repartitioned(topic, before.partitions, now.partitions)
