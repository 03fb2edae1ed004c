"""Where reading goes on, and the jumps on the way: asked of the brokers, so that none is silent."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby

import structlog
from aiokafka import TopicPartition
from faust.types import TP

from streams.gaps import Hole, Jump, Why, in_words, jump
from streams.offsets import Offsets
from streams.reading import hole, made_anew, seek_place

log = structlog.get_logger(__name__)

Clock = Callable[[], float]
Known = Mapping[int, Mapping[str, int]]  # by partition number and topic, the next offset that a state wants


class Places:
    """``jumps`` are those whose alert was not handed over yet, by partition number."""

    def __init__(self, offsets: Offsets, inputs: Sequence[str], clock: Clock = time.time) -> None:
        self._offsets = offsets
        self._inputs = inputs
        self._clock = clock
        self.ids: Mapping[str, str] = {}
        self.jumps: dict[int, list[Jump]] = {}

    async def begin(
        self, assigned: Collection[TP], known: Known, topic_ids: Mapping[int, Mapping[str, str]]
    ) -> dict[TP, int]:
        """The place of each partition; what is missing before it becomes a jump.

        ``topic_ids`` are those of the topics that the states were made from.
        """
        places = [TopicPartition(*tp) for tp in assigned]
        await self.check_topics()
        for of_state in topic_ids.values():
            self._refuse_others(of_state)
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
        """Raises where an input topic was deleted and made again since this process looked first."""
        before, self.ids = self.ids, {**self.ids, **await self._offsets.topic_ids(self._inputs)}
        self._refuse_others(before)

    def _refuse_others(self, ids: Mapping[str, str]) -> None:
        for topic, before in ids.items():
            now = self.ids.get(topic, before)
            if now != before:
                raise made_anew(topic, f"its id was {before} and is {now}")
