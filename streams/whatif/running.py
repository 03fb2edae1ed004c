"""One policy on the whole history: the engine that works live, and a world that does what it asks for.

A retraining that a record decides is deployed some time after it by the stream's own time. No batch spans as much, so
that whatever a batch decides is known before the first record that it can change, however batches are cut.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from detectors.engine import Engine
from detectors.lifecycle import Closing
from schemas.events import Alert, AlertEvent, Retrain, Rollback
from schemas.records import RecordLike
from schemas.topics import Stream
from streams import embedded
from streams.findings.stories import Paging
from streams.journal import COMMIT_RECORDS
from streams.rocks import Rocks, shared_cache
from streams.sections import Settings
from streams.state import EffectLike
from streams.whatif.comparison import OfModel, Tried, tried
from streams.whatif.known import Known
from streams.whatif.scenario import Plan, Scenario
from streams.whatif.world import World

_ALERT = msgspec.json.Decoder(Alert)
_ADVICE: msgspec.json.Decoder[Retrain | Rollback] = msgspec.json.Decoder(Retrain | Rollback)


class Try:
    """``state``: a folder for the engine's state, where it is not to lie in memory."""

    def __init__(
        self, plan: Plan, scenario: Scenario, settings: Settings, known: Known, state: Path | None = None
    ) -> None:
        self._plan, self._scenario = plan, scenario
        self.world = World(plan, scenario, known)
        self._rocks = None if state is None else Rocks(state, shared_cache(), create=True)
        engine = embedded.engines(plan.settings(settings), any_stream=True)(0, self._rocks)
        assert isinstance(engine, Engine)
        self._engine, self._uncommitted = engine, 0
        self._paging, self._pages, self._cured = Paging(), Counter[str](), Counter[str]()

    def run(
        self,
        records: Iterable[RecordLike],
        *,
        sinks: Sequence[embedded.Sink] = (),
        progress: embedded.Advance = lambda records: None,
        batch_records: int = embedded.BATCH_RECORDS,
    ) -> Tried:
        batch: list[RecordLike] = []
        world, takes_ms = self.world, self._plan.takes_ms
        for record in records:
            while True:
                at = min(world.due, record.timestamp)
                if batch and (at - batch[0].timestamp >= takes_ms or len(batch) >= batch_records):
                    self._apply(batch, sinks)  # and what it asks for may be due before this record
                    progress(len(batch))
                    batch = []
                elif world.due <= record.timestamp:
                    batch.extend(world.happen())
                else:
                    batch.extend(world.turned(record))
                    break
        if batch:
            self._apply(batch, sinks)
            progress(len(batch))
        if self._rocks is not None:
            self._rocks.close()
        return tried(self._plan, self._told(), world.steps, self._scenario.costs)

    def _apply(self, batch: Sequence[RecordLike], sinks: Sequence[embedded.Sink]) -> None:
        for effect in self._engine.apply(batch).effects:
            self._hear(effect)
            for sink in sinks:
                sink(effect)
        self._uncommitted += len(batch)
        if self._rocks is not None and self._uncommitted >= COMMIT_RECORDS:
            self._uncommitted = 0
            self._rocks.write(*self._engine.changes())

    def _hear(self, effect: EffectLike) -> None:
        if effect.stream == Stream.ALERTS:
            alert = _ALERT.decode(effect.value)
            self._pages[alert.model] += self._paging.calls(alert)
            if alert.event is AlertEvent.RESOLVED and alert.evidence.detail.get("why") == Closing.CURED:
                self._cured[alert.model] += 1
        elif effect.stream == Stream.RETRAIN:
            advice = _ADVICE.decode(effect.value)
            if isinstance(advice, Retrain):
                self.world.asked(advice)

    def _told(self) -> dict[str, OfModel]:
        """Pages may be of models without a prediction, and of all of them together."""
        found = {name: model.told for name, model in self.world.models.items()}
        for name in sorted({*self._pages, *self._cured}):
            of = found.setdefault(name, OfModel())
            of.pages, of.cured = self._pages[name], self._cured[name]
        return found
