"""What a replay amounts to: every record accounted for, alerts by model and kind.

Written as ``summary.json`` and shown to people.
"""

from collections.abc import Mapping, Sequence

import msgspec

from detectors.config import MonitorConfig
from detectors.counts import Counts
from detectors.rows import Stretch
from schemas.events import EVERY_MODEL, Alert, AlertEvent
from schemas.records import RecordLike
from schemas.topics import CATALOGUE, Direction, Stream
from streams.state import EffectLike
from streams.telemetry import CountsLike

OPENED_MAX = 200  # alerts kept to be shown; all are in alerts.jsonl, and nobody reads more on a terminal

_RESULTS = [stream for stream, topic in CATALOGUE.items() if topic.direction is Direction.OUT]


class _Refusal(msgspec.Struct):
    reason: str


_refusal = msgspec.json.Decoder(_Refusal).decode
_alert = msgspec.json.Decoder(Alert).decode


class Span(msgspec.Struct, frozen=True):
    """Arrival times, epoch milliseconds, both ends included."""

    from_ts: int
    to_ts: int


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """False pages that one model was allowed, as it was configured."""

    false_pages_per_month: float
    rows_per_false_alarm: float | None = None  # asked for in rows instead


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="replay_summary"):
    v: int = 1
    complete: bool  # false: a source could not be read to its end
    error: str | None
    records: int
    blank_lines: int = 0
    partitions: dict[str, dict[str, Counts]]  # by topic, by partition number
    effects: dict[str, int]  # by kind of result: alerts, retrain, …
    alerts: dict[str, dict[str, int]]  # opened ones, by model, by kind
    dead_letters: dict[str, int]  # by reason
    time_range: Span | None
    seconds: float
    records_per_second: float
    budgets: dict[str, Budget] = {}  # "*" is every model's that is not named


def budgets(monitor: MonitorConfig) -> dict[str, Budget]:
    configured = {EVERY_MODEL: monitor.defaults, **monitor.models}
    return {
        model: Budget(config.false_pages_per_month, config.rows_per_false_alarm) for model, config in configured.items()
    }


def times_of(records: Sequence[RecordLike] | Stretch) -> tuple[int, int] | None:
    """The first and the last."""
    if isinstance(records, Stretch):
        times = [time for time in (int(records.stamps[0]), int(records.stamps[-1])) if time > 0]
    else:
        times = [record.timestamp for record in records if record.timestamp > 0]  # 0: no event has shown a time yet
    return (min(times), max(times)) if times else None


def partition_of(records: Sequence[RecordLike] | Stretch) -> int:
    return records.partition if isinstance(records, Stretch) else records[0].partition


class Tally:
    """Adds up while the engine works."""

    def __init__(self) -> None:
        self._records = 0
        self._first: int | None = None
        self._last = 0
        self._counts: dict[str, dict[str, Counts]] = {}
        self._effects: dict[str, int] = {stream.value: 0 for stream in _RESULTS}
        self._alerts: dict[str, dict[str, int]] = {}
        self._dead_letters: dict[str, int] = {}

    @classmethod
    def of(cls, so_far: Summary) -> "Tally":
        """One that goes on from there."""
        tally = cls()
        tally._records, span = so_far.records, so_far.time_range
        tally._first, tally._last = (span.from_ts, span.to_ts) if span is not None else (None, 0)
        tally._counts, tally._effects = so_far.partitions, so_far.effects
        tally._alerts, tally._dead_letters = so_far.alerts, so_far.dead_letters
        return tally

    def batch(self, records: Sequence[RecordLike] | Stretch, counts: Mapping[str, CountsLike]) -> None:
        self.saw(len(records), times_of(records))
        self.counted(partition_of(records), counts)

    def saw(self, records: int, times: tuple[int, int] | None) -> None:
        self._records += records
        if times is not None:
            self._first = times[0] if self._first is None else min(self._first, times[0])
            self._last = max(self._last, times[1])

    def counted(self, partition: int, counts: Mapping[str, CountsLike]) -> None:
        for topic, more in counts.items():
            self._counts.setdefault(topic, {}).setdefault(str(partition), Counts()).add(more)

    def effect(self, effect: EffectLike) -> None:
        self._effects[effect.stream] += 1
        if effect.stream == Stream.ALERTS:
            self._alert(_alert(effect.value))
        elif effect.stream == Stream.DEAD_LETTERS:
            reason = _refusal(effect.value).reason
            self._dead_letters[reason] = self._dead_letters.get(reason, 0) + 1

    def summary(
        self, *, seconds: float, error: str | None = None, budgets: Mapping[str, Budget] | None = None
    ) -> Summary:
        return Summary(
            complete=error is None,
            error=error,
            records=self._records,
            partitions=self._counts,
            effects=self._effects,
            alerts=self._alerts,
            dead_letters=self._dead_letters,
            time_range=Span(self._first, self._last) if self._first is not None else None,
            seconds=round(seconds, 3),
            records_per_second=round(self._records / seconds, 1) if seconds > 0 else 0.0,
            budgets=dict(budgets or {}),
        )

    def _alert(self, alert: Alert) -> None:
        if alert.event is not AlertEvent.OPENED:
            return
        kinds = self._alerts.setdefault(alert.model, {})
        kinds[alert.kind] = kinds.get(alert.kind, 0) + 1


class Opened:
    """A sink that keeps the alerts which opened an incident, up to a limit, and counts the rest."""

    def __init__(self, most: int = OPENED_MAX) -> None:
        self.alerts: list[Alert] = []
        self.more = 0
        self._most = most

    def __call__(self, effect: EffectLike) -> None:
        if effect.stream != Stream.ALERTS or (alert := _alert(effect.value)).event is not AlertEvent.OPENED:
            return
        if len(self.alerts) < self._most:
            self.alerts.append(alert)
        else:
            self.more += 1
