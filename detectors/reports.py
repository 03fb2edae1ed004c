"""What a monitor decided, as the events that leave it. Ids come from what is meant and the record that decided it."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from detectors import wording
from detectors.config import WARM_UP
from detectors.effects import Decided, derived_id, place
from detectors.evidence import of_end
from detectors.lifecycle import Alarm, Closing, Disposition
from detectors.moment import Moment
from detectors.retrain import DataWindow, Request
from detectors.windows import Window
from schemas.events import (
    NAME_CHARACTERS_MAX,
    AlertEvent,
    ChangePoint,
    Control,
    Evidence,
    ExpectedGain,
    JsonScalar,
    Kind,
    LabelCounts,
    Metrics,
    Position,
    Retrain,
    Rollback,
    Signal,
    TrainingData,
)


class ScopeKey(msgspec.Struct, frozen=True, array_like=True):
    """Which predictions a monitor sees."""

    model: str
    version: str | None
    segment: str | None
    challenger: bool

    @property
    def text(self) -> str:
        return "\x1e".join((self.model, self.version or "", self.segment or "", "c" if self.challenger else ""))


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Where a baseline comes from."""

    name: str
    digest: str = ""  # of its content, where it was recorded

    @property
    def detail(self) -> dict[str, JsonScalar]:
        named: dict[str, JsonScalar] = {"baseline_name": self.name} if self.name else {}
        return named | {"baseline_hash": self.digest} if self.digest else named


FROM_STREAM = Origin(WARM_UP)
NO_BASELINE = Origin("")


class Told(msgspec.Struct, frozen=True, array_like=True):
    """One signal of one monitor, as an alert shows it."""

    key: ScopeKey
    kind: Kind
    signal: str
    detector: str
    evidence: Evidence

    @property
    def name(self) -> str:
        """What comes back has the same; so may two alarms at a time, where a version was deployed anew."""
        return f"{self.key.text}\x1f{self.signal}"

    @property
    def words(self) -> str:
        return f"{self.signal} in {self.key.segment}" if self.key.segment is not None else self.signal


class Step(NamedTuple):
    """An alarm began, shows more of itself, or has ended. What people are told of it is decided elsewhere."""

    moment: Moment
    event: AlertEvent
    alarm: Alarm
    told: Told
    summary: str
    why: Closing | None = None  # where it has ended


Said = Decided | Step


class Reports:
    """Writes one monitor's events."""

    def __init__(self, key: ScopeKey, origin: Origin = FROM_STREAM) -> None:
        self._key = key
        self.origin = origin

    def _held_against(self, evidence: Evidence) -> Evidence:
        return msgspec.structs.replace(evidence, detail=evidence.detail | self.origin.detail)

    def signal(
        self,
        moment: Moment,
        row: int,
        signal: str,
        kind: Kind,
        detector: str,
        evidence: Evidence,
        disposition: Disposition,
    ) -> Decided:
        """The row is part of the id: one record may bring many losses, those that waited for the task to be known."""
        event = Signal(
            id=derived_id("signal", self._key.text, signal, detector, row, *place(moment.position)),
            model=self._key.model,
            version=self._key.version,
            segment=self._key.segment,
            signal=signal,
            detector=detector,
            kind=self._kind(kind),
            ts=moment.now,
            evidence=self._held_against(evidence),
            position=moment.position,
            disposition=str(disposition),
        )
        return Decided(moment.at, event)

    def step(self, moment: Moment, event: AlertEvent, alarm: Alarm, summary: str) -> "Step":
        """Of an alarm that is on."""
        return Step(moment, event, alarm, self._told(alarm, alarm.evidence), summary)

    def ended(
        self,
        moment: Moment,
        alarm: Alarm,
        last: Evidence,
        why: Closing,
        rows: int | None = None,
        summary: str | None = None,
    ) -> "Step":
        """``rows``: for how many it was on, where it is they that end it."""
        detail = of_end(last, why, alarm.opened_ts, moment.now, rows)
        evidence = msgspec.structs.replace(last, detail=detail, trace=moment.trace)
        lasted = moment.now - alarm.opened_ts
        summary = summary or wording.resolved(self._key.model, alarm.signal, why, lasted)
        return Step(moment, AlertEvent.RESOLVED, alarm, self._told(alarm, evidence), summary, why)

    def _told(self, alarm: Alarm, evidence: Evidence) -> "Told":
        held = self._held_against(evidence)
        return Told(self._key, self._kind(alarm.kind), alarm.signal, alarm.detector, held)

    def retrain(
        self,
        moment: Moment,
        asked: Request,
        newest: Position,
        labels: LabelCounts,
        window: DataWindow,
        changes: Sequence[ChangePoint],
        gain: ExpectedGain | None,
    ) -> Decided:
        """``changes``: with the first of them the data begins."""
        event = Retrain(
            id=derived_id("retrain", self._key.text, asked.reason, *place(moment.position)),
            model=self._key.model,
            version=self._key.version,
            reason=str(asked.reason),
            alerts=list(dict.fromkeys(alarm.alert_id for alarm in asked.alarms if alarm.alert_id)),
            data=_training_data(changes, newest, moment.now),
            labels=labels,
            ts=moment.now,
            incidents=list(dict.fromkeys(alarm.incident for alarm in asked.alarms)),
            window=str(window),
            expected_gain=gain,
        )
        return Decided(moment.at, event)

    def metrics(self, moment: Moment, number: int, window: Window, start: int, end: int) -> Decided:
        parts = (window.revision,) if window.revision else ()
        event = Metrics(
            id=derived_id("metrics", self._key.text, number, moment.position.partition, start, *parts),
            model=self._key.model,
            version=self._key.version,
            segment=self._key.segment,
            ts=moment.now,
            window_start=start,
            window_end=end,
            values=window.values(),
            revision=window.revision or None,
        )
        return Decided(moment.at, event)

    def limit(self, moment: Moment, name: str, ended: int, limit: int) -> Decided:
        """A limit has ended what waited: the figures lack so many."""
        event = derived_id("limit", self._key.text, name, *place(moment.position))
        rests_on = _plain("configured limit", ended, {}, float(ended), float(limit))
        return self._of_system(moment, event, name, "limit", rests_on, "evicted")

    def baseline(self, moment: Moment, signal: str, rows: int, disposition: str, why: str) -> Decided:
        """Something that a recorded baseline was to be for, and is not."""
        event = derived_id("baseline", self._key.text, signal, disposition, *place(moment.position))
        rests_on = _plain("recorded baseline", rows, {"why": why, **self.origin.detail})
        return self._of_system(moment, event, signal, "baseline", rests_on, disposition)

    def stricter(self, moment: Moment, times: int, most: int) -> Decided:
        """A verdict has moved the thresholds."""
        event = derived_id("verdict", self._key.text, times, *place(moment.position))
        why = f"each signal now has {times} times as long without a false alarm as was asked for"
        rests_on = _plain("verdicts", 0, {"why": why}, float(times), float(most))
        return self._of_system(moment, event, "false_pages_per_month", "verdict", rests_on, "thresholds_moved")

    def held(self, moment: Moment, wanted: Request, why: str) -> Decided:
        """A retrain that is wanted is not asked for."""
        event = derived_id("held", self._key.text, wanted.held, *place(moment.position))
        rests_on = _plain("retrain policy", wanted.labels, {"why": why, "reason": str(wanted.reason)})
        return self._of_system(moment, event, "retrain", "retrain_policy", rests_on, str(wanted.held))

    def rollback(self, moment: Moment, version: str | None, incidents: list[str], evidence: Evidence) -> Decided:
        """From this version, which is worse, to this monitor's own."""
        event = Rollback(
            id=derived_id("rollback", self._key.text, version, *place(moment.position)),
            model=self._key.model,
            version=version,
            to_version=self._key.version,
            reason="worse_than_replaced",
            incidents=incidents,
            evidence=evidence,
            ts=moment.now,
            position=moment.position,
        )
        return Decided(moment.at, event)

    def not_open(self, moment: Moment, word: Control) -> Decided:
        """An operator's word was for an incident that is not there to take it."""
        name = (word.incident or "")[:NAME_CHARACTERS_MAX]
        why = f"{word.action}: this model has no open incident {name!r}: it is over, another model's, or misspelt"
        event = derived_id("not open", self._key.text, word.action, *place(moment.position))
        rests_on = _plain("control event", 0, {"why": why})
        return self._of_system(moment, event, "incident", "control", rests_on, "unknown")

    def _of_system(
        self, moment: Moment, event: str, signal: str, detector: str, evidence: Evidence, disposition: str
    ) -> Decided:
        """About the monitor itself, and not about what it watches."""
        told = Signal(
            id=event,
            model=self._key.model,
            version=self._key.version,
            segment=self._key.segment,
            signal=signal,
            detector=detector,
            kind=Kind.SYSTEM,
            ts=moment.now,
            evidence=evidence,
            position=moment.position,
            disposition=disposition,
        )
        return Decided(moment.at, told)

    def _kind(self, kind: Kind) -> Kind:
        return Kind.CHALLENGER if self._key.challenger else kind


def of_model(model: str) -> Reports:
    """Of what is no version's and no segment's, and is held against no baseline."""
    return Reports(ScopeKey(model, None, None, False), NO_BASELINE)


def beside(moment: Moment, told: Told, incident: str, disposition: Disposition) -> Decided:
    """What became of an alarm where no alert says it."""
    detail = {**told.evidence.detail, "incident": incident}
    event = Signal(
        id=derived_id("alarm", disposition, told.name, *place(moment.position)),
        model=told.key.model,
        version=told.key.version,
        segment=told.key.segment,
        signal=told.signal,
        detector=told.detector,
        kind=told.kind,
        ts=moment.now,
        evidence=msgspec.structs.replace(told.evidence, detail=detail),
        position=moment.position,
        disposition=str(disposition),
    )
    return Decided(moment.at, event)


def _plain(
    origin: str, n: int, detail: dict[str, JsonScalar], value: float | None = None, threshold: float | None = None
) -> Evidence:
    """Where nothing is measured against a baseline."""
    return Evidence(
        value=value, threshold=threshold, threshold_origin=origin, n=n, baseline=None, effect=None, detail=detail
    )


def _training_data(changes: Sequence[ChangePoint], newest: Position, now: int) -> TrainingData:
    """From the first change on: what came before it taught the model that is wrong now."""
    return TrainingData(
        from_ts=min(change.ts for change in changes),
        to_ts=now,
        topic=newest.topic,
        partition=newest.partition,
        from_offset=min(change.offset for change in changes),
        to_offset=newest.offset,
    )
