"""Whether a model's predictions and labels keep coming, and how much of them: silence and volume.

They are the model's, not a version's or a segment's: who calls it knows nothing of these. What is found opens an alarm
at once, as records that do not come cannot bear it out, and records that come again close it.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from detectors import wording
from detectors.calendar import DAY_MS
from detectors.columns import Places
from detectors.config import AUTO, OFF, ModelConfig
from detectors.join import FAR
from detectors.lifecycle import Alarm, Closing, Disposition, begun
from detectors.moment import Item, Moment
from detectors.mutes import Mutes
from detectors.reports import NO_BASELINE, Reports, Said, ScopeKey, Step
from detectors.rows import Stretch
from detectors.silence import Limit, Pauses, PausesState
from detectors.volume import FACTOR, Deviation, Volume, VolumeState
from schemas.events import AlertEvent, ChangePoint, Evidence, Kind, Severity
from schemas.times import duration_ms

PREDICTIONS, LABELS, VOLUME = "predictions", "labels", "volume"  # signals
SILENCE_DETECTOR, VOLUME_DETECTOR = "longest_pause", "usual_volume"
_NOTHING: Sequence[Said] = ()


class _Meaning(NamedTuple):
    kind: Kind
    detector: str
    severity: Severity


_MEANINGS = {
    PREDICTIONS: _Meaning(Kind.SILENCE, SILENCE_DETECTOR, Severity.CRITICAL),
    LABELS: _Meaning(Kind.LABEL_DELAY, SILENCE_DETECTOR, Severity.WARNING),
    VOLUME: _Meaning(Kind.VOLUME, VOLUME_DETECTOR, Severity.WARNING),
}


class FlowState(msgspec.Struct, array_like=True, frozen=True):
    predictions: PausesState
    labels: PausesState
    volume: VolumeState
    alarms: dict[str, Alarm]
    silent: dict[str, int]
    muted: list[str]


class Flow:
    """Of one model on its partition."""

    def __init__(self, model: str, config: ModelConfig) -> None:
        self.alarms: dict[str, Alarm] = {}
        self.orphaned: list[str] = []  # those opened under another configuration, and watched no more
        self._key = ScopeKey(model, None, None, False)
        self.reports = Reports(self._key, NO_BASELINE)
        self._watches_silence, self._watches_volume = config.silence_after != OFF, config.volume != OFF
        self._after_ms = duration_ms(config.silence_after) if config.silence_after not in (AUTO, OFF) else None
        self._silent: dict[str, int] = {}  # what is silent, told or not, and the pause that would have been usual
        self._muted: set[str] = set()  # what is on and would be open but for a mute
        self._begin()

    def _begin(self) -> None:
        self._predictions, self._labels = Pauses(self._after_ms), Pauses()
        self._volume = Volume()

    # -- what comes ---------------------------------------------------------------------------------------------------

    def predicted(self, item: Item, mutes: Mutes) -> Sequence[Said]:
        """A prediction came."""
        now, pauses, volume = item[1], self._predictions, self._volume
        if now < volume.bin_ends and now < pauses.hour_ends and now - pauses.last <= pauses.usual_now:  # nearly always
            pauses.last, pauses.offset = now, item[2].offset
            pauses.records += 1
            pauses.here += 1
            volume.count += 1
            return _NOTHING
        decided: list[Said] = []
        if self._watches_silence:
            decided += self._came(item, PREDICTIONS, pauses, mutes)
        believed = self._silent.pop(PREDICTIONS, None)
        if believed is not None and LABELS not in self._silent:
            self._labels.excuse(now - pauses.last)  # of what nobody asked there are no labels, now or as late as ever
        pauses.saw(now, item[2].offset, believed)
        if not volume.begun:
            volume.begin(now)
        elif believed is not None:
            volume.skip_bins(now)
        elif now >= volume.bin_ends:
            decided += self._close_bins(item, mutes)
        volume.count += 1
        return decided

    def predicted_rows(self, rows: Stretch, start: int, end: int, mutes: Mutes) -> tuple[int, Sequence[Said]]:
        """Predictions came, up to one that says something: the row after it, and what it says; else the end."""
        said: Sequence[Said] = ()
        while start < end and not said:
            stop = _nothing_new(rows.stamps[:end], start, self._predictions, self._volume.bin_ends)
            if stop > start:
                self._predicted_usually(stop - start, rows.at(stop - 1))
            else:
                said, stop = self.predicted(rows.place(start), mutes), start + 1
            start = stop
        return start, said

    def _predicted_usually(self, number: int, newest: tuple[int, int]) -> None:
        """So many predictions came that were as usual. ``newest``: the time and offset of the last."""
        self._predictions.saw_usual(number, newest)
        self._volume.count += number

    def labelled(self, item: Item, mutes: Mutes) -> Sequence[Said]:
        """An outcome came."""
        decided = self._came(item, LABELS, self._labels, mutes) if self._watches_silence else _NOTHING
        self._labels.saw(item[1], item[2].offset, self._silent.pop(LABELS, None))
        return decided

    def labels_as_usual(self, times: Places, start: int) -> int:
        """The place after the outcomes from this one on, of which nothing is to be said: one was just seen."""
        return _nothing_new(times, start, self._labels)

    def labelled_usually(self, number: int, newest: tuple[int, int]) -> None:
        """So many outcomes came that were as usual."""
        self._labels.saw_usual(number, newest)

    def due(self, now: int, mutes: Mutes) -> bool:
        """Whether time alone has something to say: ten minutes are over, a mute is, or a pause has become silence."""
        return (
            bool(self._falls_silent(now))
            or (PREDICTIONS not in self._silent and self._volume.due(now))
            or any(not mutes.holds("", signal, now) for signal in self._muted & self._silent.keys())
        )

    def tick(self, item: Item, mutes: Mutes) -> Sequence[Said]:
        """Nothing came, but time has passed."""
        decided: list[Said] = []
        for signal, pauses, limit in self._falls_silent(item[1]):
            self._silent[signal] = limit.ms
            decided += self._tell_silence(item, signal, pauses, limit, mutes)
        for signal in sorted(self._muted & self._silent.keys()):
            pauses = self._predictions if signal == PREDICTIONS else self._labels
            decided += self._tell_silence(item, signal, pauses, Limit(self._silent[signal], None), mutes)
        if PREDICTIONS not in self._silent and self._volume.due(item[1]):
            decided += self._close_bins(item, mutes)
        return decided

    def _falls_silent(self, now: int) -> list[tuple[str, Pauses, Limit]]:
        """A model that is asked nothing gets no labels: that is one trouble and not two."""
        if not self._watches_silence or PREDICTIONS in self._silent:
            return []
        limit = self._predictions.silent(now)
        if limit is not None:
            return [(PREDICTIONS, self._predictions, limit)]
        limit = None if LABELS in self._silent else self._labels.silent(now)
        return [] if limit is None else [(LABELS, self._labels, limit)]

    # -- what it means ------------------------------------------------------------------------------------------------

    def _came(self, item: Item, signal: str, pauses: Pauses, mutes: Mutes) -> list[Said]:
        """A record after a silence. Where no tick has told of it, it is told now: somebody may ask."""
        decided: list[Said] = []
        limit = None if signal in self._silent else pauses.silent(item[1])
        if limit is not None and not (signal == LABELS and PREDICTIONS in self._silent):
            self._silent[signal] = limit.ms
            decided += self._tell_silence(item, signal, pauses, limit, mutes)
        if signal in self._silent:
            self._muted.discard(signal)
        if signal in self.alarms:
            decided.append(self.end(Moment.of(item), signal, Closing.RECOVERED))
        return decided

    def _tell_silence(self, item: Item, signal: str, pauses: Pauses, limit: Limit, mutes: Mutes) -> Iterator[Said]:
        moment = Moment.of(item)
        evidence = _of_silence(moment, pauses, limit)
        summary = wording.silent(self._key.model, signal, moment.now - pauses.last, limit.usual_ms)
        return self._tell(moment, signal, evidence, summary, mutes)

    def _close_bins(self, item: Item, mutes: Mutes) -> Iterator[Said]:
        for shown in self._volume.close_bins(item[1], self._told):
            if self._watches_volume:
                yield from self._counted(item, shown, mutes)

    def _told(self) -> int | None:
        """The window whose news is open, in minutes."""
        alarm = self.alarms.get(VOLUME)
        minutes = alarm.evidence.detail["window_minutes"] if alarm is not None else None
        return minutes if isinstance(minutes, int) else None

    def _counted(self, item: Item, shown: Sequence[Deviation], mutes: Mutes) -> Iterator[Said]:
        """What the end of ten minutes shows."""
        told = self._told()
        if told is not None:
            if any(deviation.over and deviation.window.minutes == told for deviation in shown):
                yield self.end(Moment.of(item), VOLUME, Closing.RECOVERED)
            return
        news = next((deviation for deviation in shown if deviation.news), None)
        if news is None:
            self._muted.discard(VOLUME)
            return
        moment = Moment.of(item)
        summary = wording.volume(self._key.model, news.window.minutes, news.seen, news.usual)
        yield from self._tell(moment, VOLUME, _of_volume(moment, news), summary, mutes)

    def _tell(self, moment: Moment, signal: str, evidence: Evidence, summary: str, mutes: Mutes) -> Iterator[Said]:
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
        self.alarms[signal] = begun(self._key.text, signal, *meaning, evidence, moment.now, moment.position)
        yield self.reports.step(moment, AlertEvent.OPENED, self.alarms[signal], summary)

    def end(self, moment: Moment, signal: str, why: Closing) -> Step:
        """By hand, a silence is dealt with until the next record: it is not told again."""
        alarm = self.alarms.pop(signal)
        if signal == VOLUME:
            self._volume.begin_anew()
        began = alarm.evidence.change_point
        lasted = moment.now - (began.ts if began is not None else alarm.opened_ts)
        summary = wording.comes_again(self._key.model, signal, lasted) if why is Closing.RECOVERED else None
        return self.reports.ended(moment, alarm, alarm.evidence, why, summary=summary)

    def reconfigured(self, moment: Moment) -> list[Said]:
        orphaned, self.orphaned = self.orphaned, []
        return [self.end(moment, signal, Closing.RECONFIGURED) for signal in orphaned]

    def start_afresh(self, moment: Moment, why: Closing) -> Iterator[Said]:
        """What was usual is to be forgotten."""
        for signal in sorted(self.alarms):
            yield self.end(moment, signal, why)
        self._silent.clear()
        self._muted.clear()
        self._begin()

    # -- state, between two batches -----------------------------------------------------------------------------------

    def state(self) -> FlowState:
        return FlowState(
            self._predictions.state(),
            self._labels.state(),
            self._volume.state(),
            self.alarms,
            self._silent,
            sorted(self._muted),
        )

    def restore(self, state: FlowState) -> None:
        self._predictions.restore(state.predictions)
        self._labels.restore(state.labels)
        self._volume.restore(state.volume)
        self.alarms, self._silent, self._muted = state.alarms, state.silent, set(state.muted)
        watched = {PREDICTIONS: self._watches_silence, LABELS: self._watches_silence, VOLUME: self._watches_volume}
        self.orphaned = [signal for signal in sorted(self.alarms) if not watched[signal]]


def _nothing_new(times: Places, start: int, pauses: Pauses, ends: int = FAR) -> int:
    """The row after those from this one on that are as usual."""
    stop = int(np.searchsorted(times, min(ends, pauses.hour_ends)))
    if stop <= start or times[start] - pauses.last > pauses.usual_now:
        return start
    longer = times[start + 1 : stop] - times[start : stop - 1] > pauses.usual_now
    return start + 1 + int(longer.argmax()) if longer.any() else stop


def _of_silence(moment: Moment, pauses: Pauses, limit: Limit) -> Evidence:
    origin = "configured: silence_after"
    if limit.usual_ms is not None:
        days = (pauses.last - pauses.began) // DAY_MS
        origin = f"seconds: many times the mean and the longest pause at these hours, of {days} days"
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
