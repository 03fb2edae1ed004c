"""Whether a model's predictions and labels keep coming, and how much of them: silence and volume.

They are the model's, not a version's or a segment's: who calls it knows nothing of these. What is found opens an alarm
at once, as records that do not come cannot bear it out, and records that come again close it.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from detectors import wording
from detectors.calendar import DAY_MS
from detectors.config import AUTO, OFF, ModelConfig
from detectors.effects import Decided, alert_id, derived_id, place
from detectors.lifecycle import Closing, Disposition, Incident
from detectors.moment import Item, Moment
from detectors.mutes import Mutes
from detectors.reports import Reports, ScopeKey
from detectors.silence import Limit, Pauses, PausesState
from detectors.volume import FACTOR, Deviation, Volume, VolumeState
from schemas.events import AlertEvent, ChangePoint, Evidence, Kind, Severity
from schemas.times import duration_ms

PREDICTIONS, LABELS, VOLUME = "predictions", "labels", "volume"  # signals
SILENCE_DETECTOR, VOLUME_DETECTOR = "longest_pause", "usual_volume"
_NOTHING: Sequence[Decided] = ()


class _Meaning(NamedTuple):
    kind: Kind
    severity: Severity
    detector: str


_MEANINGS = {
    PREDICTIONS: _Meaning(Kind.SILENCE, Severity.CRITICAL, SILENCE_DETECTOR),
    LABELS: _Meaning(Kind.LABEL_DELAY, Severity.WARNING, SILENCE_DETECTOR),
    VOLUME: _Meaning(Kind.VOLUME, Severity.WARNING, VOLUME_DETECTOR),
}


class FlowState(msgspec.Struct, array_like=True, frozen=True):
    predictions: PausesState
    labels: PausesState
    volume: VolumeState
    incidents: dict[str, Incident]
    muted: list[str]


class Flow:
    """Of one model on its partition."""

    def __init__(self, model: str, config: ModelConfig) -> None:
        self.incidents: dict[str, Incident] = {}
        self._key = ScopeKey(model, None, None, False)
        self.reports = Reports(self._key)
        self._watches_silence, self._watches_volume = config.silence_after != OFF, config.volume != OFF
        self._after_ms = duration_ms(config.silence_after) if config.silence_after not in (AUTO, OFF) else None
        self._muted: set[str] = set()  # what is on and would be open but for a mute
        self._begin()

    def _begin(self) -> None:
        self._predictions, self._labels = Pauses(self._after_ms), Pauses()
        self._volume = Volume()

    # -- what comes ---------------------------------------------------------------------------------------------------

    def predicted(self, item: Item, mutes: Mutes) -> Sequence[Decided]:
        """A prediction came."""
        now, pauses, volume = item[1], self._predictions, self._volume
        if now < volume.bin_ends and now < pauses.hour_ends and now - pauses.last <= pauses.usual_now:  # nearly always
            pauses.last, pauses.offset = now, item[2].offset
            pauses.records += 1
            volume.count += 1
            return _NOTHING
        decided: list[Decided] = []
        limit = pauses.silent(now)
        if limit is not None:
            decided += self._came(item, PREDICTIONS, pauses, limit, mutes)
        pauses.saw(now, item[2].offset, limit)
        if not volume.begun:
            volume.begin(now)
        elif limit is not None:
            volume.skip_bins(now)
        elif now >= volume.bin_ends:
            decided += self._close_bins(item, mutes)
        volume.count += 1
        return decided

    def labelled(self, item: Item, mutes: Mutes) -> Sequence[Decided]:
        """An outcome came."""
        now, pauses = item[1], self._labels
        limit = pauses.silent(now)
        decided = _NOTHING if limit is None else self._came(item, LABELS, pauses, limit, mutes)
        pauses.saw(now, item[2].offset, limit)
        return decided

    def due(self, now: int) -> bool:
        """Whether time alone has something to say: ten minutes are over, or a pause is silence that is not told yet."""
        silent = self._predictions.silent(now) is not None
        return (
            (not silent and self._volume.due(now))
            or (silent and PREDICTIONS not in self.incidents)
            or (LABELS not in self.incidents and self._labels.silent(now) is not None)
        )

    def tick(self, item: Item, mutes: Mutes) -> Sequence[Decided]:
        """Nothing came, but time has passed."""
        decided: list[Decided] = []
        for signal, pauses in ((PREDICTIONS, self._predictions), (LABELS, self._labels)):
            limit = None if signal in self.incidents else pauses.silent(item[1])
            if limit is not None:
                decided += self._quiet(Moment.of(item), signal, pauses, limit, mutes)
        if self._volume.due(item[1]) and self._predictions.silent(item[1]) is None:
            decided += self._close_bins(item, mutes)
        return decided

    # -- what it means ------------------------------------------------------------------------------------------------

    def _came(self, item: Item, signal: str, pauses: Pauses, limit: Limit, mutes: Mutes) -> list[Decided]:
        """The first record after a silence. Where no tick has told of it, it is told now: somebody may ask."""
        moment = Moment.of(item)
        decided = [] if signal in self.incidents else self._quiet(moment, signal, pauses, limit, mutes)
        self._muted.discard(signal)
        if signal in self.incidents:
            decided.append(self.resolve(moment, signal, Closing.RECOVERED))
        return decided

    def _quiet(self, moment: Moment, signal: str, pauses: Pauses, limit: Limit, mutes: Mutes) -> list[Decided]:
        # A model that is asked nothing gets no labels: that is one trouble and not two.
        caused = signal == LABELS and self._predictions.silent(moment.now) is not None
        if not self._watches_silence or caused:
            return []
        evidence = _of_silence(moment, pauses, limit)
        summary = wording.silent(self._key.model, signal, moment.now - pauses.last, limit.usual_ms)
        return list(self._tell(moment, signal, evidence, summary, mutes))

    def _close_bins(self, item: Item, mutes: Mutes) -> Iterator[Decided]:
        for shown in self._volume.close_bins(item[1]):
            if self._watches_volume:
                yield from self._counted(item, shown, mutes)

    def _counted(self, item: Item, shown: Sequence[Deviation], mutes: Mutes) -> Iterator[Decided]:
        """What the end of ten minutes shows."""
        if VOLUME in self.incidents:
            told = self.incidents[VOLUME].evidence.detail["window_minutes"]
            if any(deviation.over and deviation.window.minutes == told for deviation in shown):
                yield self.resolve(Moment.of(item), VOLUME, Closing.RECOVERED)
            return
        news = next((deviation for deviation in shown if deviation.news), None)
        if news is None:
            self._muted.discard(VOLUME)
            return
        moment = Moment.of(item)
        summary = wording.volume(self._key.model, news.window.minutes, news.seen, news.usual)
        yield from self._tell(moment, VOLUME, _of_volume(moment, news), summary, mutes)

    def _tell(self, moment: Moment, signal: str, evidence: Evidence, summary: str, mutes: Mutes) -> Iterator[Decided]:
        """A signal as it begins, and an alarm unless there is a mute; then when that has ended."""
        silent, known = mutes.holds("", signal, moment.now), signal in self._muted
        meaning = _MEANINGS[signal]
        if not (silent and known):
            disposition = Disposition.MUTED if silent else Disposition.OPENED
            yield self.reports.signal(moment, 0, signal, meaning.kind, meaning.detector, evidence, disposition)
        if silent:
            self._muted.add(signal)
            return
        self._muted.discard(signal)
        incident = derived_id("incident", self._key.text, signal, *place(moment.position))
        self.incidents[signal] = Incident(
            id=incident,
            alert_id=alert_id(incident, AlertEvent.OPENED, moment.position),
            signal=signal,
            kind=meaning.kind,
            detector=meaning.detector,
            severity=meaning.severity,
            opened_ts=moment.now,
            opened_row=0,
            opened_joined=0,
            evidence=evidence,
        )
        yield self.reports.alert(moment, self.incidents[signal], AlertEvent.OPENED, evidence, summary)

    def resolve(self, moment: Moment, signal: str, why: Closing) -> Decided:
        incident = self.incidents.pop(signal)
        if signal == VOLUME:
            self._volume.begin_anew()
        return self.reports.resolved(moment, incident, incident.evidence, why)

    def start_afresh(self, moment: Moment, why: Closing) -> Iterator[Decided]:
        """What was usual is to be forgotten."""
        for signal in sorted(self.incidents):
            yield self.resolve(moment, signal, why)
        self._muted.clear()
        self._begin()

    # -- state, between two batches -----------------------------------------------------------------------------------

    def state(self) -> FlowState:
        return FlowState(
            self._predictions.state(),
            self._labels.state(),
            self._volume.state(),
            self.incidents,
            sorted(self._muted),
        )

    def restore(self, state: FlowState) -> None:
        self._predictions.restore(state.predictions)
        self._labels.restore(state.labels)
        self._volume.restore(state.volume)
        self.incidents, self._muted = state.incidents, set(state.muted)


def _of_silence(moment: Moment, pauses: Pauses, limit: Limit) -> Evidence:
    origin = "configured: silence_after"
    if limit.usual_ms is not None:
        days = (pauses.last - pauses.began) // DAY_MS
        times = round(limit.ms / limit.usual_ms) if limit.usual_ms else 0
        origin = f"seconds: {times} times the longest pause at these hours, of {days} days"
    return Evidence(
        value=(moment.now - pauses.last) / 1000.0,
        threshold=limit.ms / 1000.0,
        threshold_origin=origin,
        n=pauses.records,
        baseline=limit.usual_ms / 1000.0 if limit.usual_ms is not None else None,
        effect=(moment.now - pauses.last) / 1000.0,
        change_point=ChangePoint(ts=pauses.last, offset=pauses.offset),
        trace=moment.trace,
    )


def _of_volume(moment: Moment, deviation: Deviation) -> Evidence:
    floor = deviation.window.floor
    return Evidence(
        value=deviation.ratio,
        threshold=math.exp(deviation.limit),
        threshold_origin=f"{FACTOR:g} times as far from what is usual as ever before, and {floor:g} times more or less",
        n=deviation.seen,
        baseline=deviation.usual,
        effect=deviation.ratio - 1.0,
        detail={"window_minutes": deviation.window.minutes, "after": float(deviation.seen)},
        trace=moment.trace,
    )
