"""Counts and means over windows of stream time, the same for live and replay."""

from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from typing import NamedTuple

import msgspec

from detectors.rows import Rows
from detectors.shelf import Room

# Closed windows that a corrected label can still amend, of one monitor: a month of five minutes. A correction of what
# an older one counted is told by the window it comes in.
AMENDABLE = 10_000
LEAST_WEIGHT = 1e-12  # weights are about 1

Values = dict[str, float | int | None]


class Counted(NamedTuple):
    """What one label adds to a window."""

    loss: float
    log_loss: float
    weight: float


class Window(msgspec.Struct, array_like=True):
    """One monitor's sums for the window that is open. Sums are added in stream order, so no cut changes a digit."""

    predictions: int = 0
    joined: int = 0
    corrected: int = 0
    weight: float = 0.0
    loss: float = 0.0
    log_loss: float = 0.0
    log_loss_weight: float = 0.0
    latency_ms: float = 0.0
    latency_ms_max: float = 0.0
    latencies: int = 0
    cost: float = 0.0
    costs: int = 0
    whole_model: dict[str, int] = {}  # what only the join of all versions and segments knows, as of the window's end
    revision: int = 0  # how often corrected labels have amended it since it was closed

    @property
    def empty(self) -> bool:
        return not (self.predictions or self.joined or self.corrected)

    def saw(self, rows: Rows, which: slice) -> None:
        """Some of these."""
        self.predictions += which.stop - which.start
        latencies = [cell for cell in rows.latencies()[which] if cell is not None]
        if latencies:
            self.latencies += len(latencies)
            self.latency_ms = sum(latencies, self.latency_ms)  # one by one from the left, as any cut would
            self.latency_ms_max = max(self.latency_ms_max, *latencies)
        costs = [cell for cell in rows.costs()[which] if cell is not None]
        self.costs += len(costs)
        self.cost = sum(costs, self.cost)

    def lost(self, pairs: Sequence[tuple[float, float, float]]) -> None:
        """Adds joined pairs, each as it is ``Counted``."""
        self.joined += len(pairs)
        self._add(pairs)

    def corrected_to(self, before: Counted, after: Counted) -> None:
        """The label that was counted here turned out to be another one."""
        self.corrected += 1
        self._add([before._replace(weight=-before.weight), after])
        if self.weight < LEAST_WEIGHT:  # what subtracting leaves of nothing
            self.weight = self.loss = 0.0
        if self.log_loss_weight < LEAST_WEIGHT:
            self.log_loss_weight = self.log_loss = 0.0

    def _add(self, pairs: Iterable[tuple[float, float, float]]) -> None:
        """A loss that could not be had is not part of the mean."""
        weights, loss_sum = self.weight, self.loss
        log_loss_weights, log_loss_sum = self.log_loss_weight, self.log_loss
        for loss, log_loss, weight in pairs:
            if not isnan(loss):
                weights += weight
                loss_sum += weight * loss
            if not isnan(log_loss):
                log_loss_weights += weight
                log_loss_sum += weight * log_loss
        self.weight, self.loss = weights, loss_sum
        self.log_loss_weight, self.log_loss = log_loss_weights, log_loss_sum

    def values(self) -> Values:
        return {
            "predictions": self.predictions,
            "joined": self.joined,
            "corrected": self.corrected,
            **self.whole_model,
            "loss_mean": _mean(self.loss, self.weight),
            "log_loss_mean": _mean(self.log_loss, self.log_loss_weight),
            "latency_ms_mean": _mean(self.latency_ms, self.latencies),
            "latency_ms_max": self.latency_ms_max if self.latencies else None,
            "cost_sum": self.cost if self.costs else None,
        }


class Archive:
    """Closed windows of one monitor, for as long as a label that they count may be corrected."""

    def __init__(self, room: Room, model: int, scope: int, window_ms: int, horizon_ms: int) -> None:
        self._room = room
        self._prefix = _of_model(model) + scope.to_bytes(4, "big")
        self._window_ms = window_ms
        self._kept_ms = min(horizon_ms, AMENDABLE * window_ms)
        self.span: tuple[int, int] | None = None  # from the oldest to the newest start that is here

    def put(self, start: int, window: Window) -> None:
        oldest, newest = self.span or (start, start)
        self.span = oldest, max(start, newest)
        self._room.put(self._key(start), _WINDOW.encode(window))

    def get(self, start: int) -> Window | None:
        if self.span is None or start < self.span[0]:
            return None
        content = self._room.get(self._key(start))
        return None if content is None else _WINDOWS.decode(content)

    def forget(self, now: int) -> None:
        """No label of a prediction so old can be corrected."""
        self._drop_before(self._first(now))

    def forgets(self, now: int) -> bool:
        """Whether there is anything so old."""
        return self.span is not None and self.span[0] < self._first(now)

    def _first(self, now: int) -> int:
        """The start of the oldest window that a label may still correct."""
        return (now - self._kept_ms) // self._window_ms * self._window_ms - self._window_ms

    def clear(self) -> None:
        """The monitor is let go."""
        if self.span is not None:
            self._drop_before(self.span[1] + self._window_ms)

    def _drop_before(self, start: int) -> None:
        if self.span is None or start <= self.span[0]:
            return
        oldest, newest = self.span
        for gone in range(oldest, min(start, newest + self._window_ms), self._window_ms):
            self._room.delete(self._key(gone))
        self.span = (start, newest) if start <= newest else None

    def _key(self, start: int) -> bytes:
        return self._prefix + start.to_bytes(8, "big")


def clear_all(room: Room, model: int) -> None:
    """All monitors of a model are let go, whatever the length of their windows was."""
    room.delete_all(_of_model(model))


def _of_model(model: int) -> bytes:
    return b"W" + model.to_bytes(4, "big")


class BookState(msgspec.Struct, array_like=True, frozen=True):
    window: Window
    span: tuple[int, int] | None
    amended: list[int]


class Book:
    """The window that is open, and those closed that corrected labels amend. Windows are named by their start."""

    def __init__(self, archive: Archive) -> None:
        self.window = Window()
        self.archive = archive
        self._amended: set[int] = set()  # since the last one was closed

    @property
    def has_news(self) -> bool:
        return not self.window.empty or bool(self._amended)

    def corrected(self, counted_in: int, current: int, before: Counted, after: Counted) -> None:
        """A label turned out to be another one."""
        window = self.window if counted_in == current else self.archive.get(counted_in)
        if window is None:
            self.window.corrected += 1  # what it was counted in is too long ago to be amended
            return
        window.corrected_to(before, after)
        if counted_in != current:
            window.revision += counted_in not in self._amended
            self.archive.put(counted_in, window)
            self._amended.add(counted_in)

    def changes(self, now: int) -> bool:
        """Whether the end of a window makes it another one."""
        return self.has_news or self.archive.forgets(now)

    def close(self, start: int, whole_model: dict[str, int], now: int) -> Iterator[tuple[int, Window]]:
        """Those amended since the last one was closed, and this one where anything happened in it."""
        for amended in sorted(self._amended):
            archived = self.archive.get(amended)
            if archived is not None:
                yield amended, archived
        self._amended.clear()
        window, self.window = self.window, Window()
        if not window.empty:
            window.whole_model = whole_model
            if window.joined:
                self.archive.put(start, window)
            yield start, window
        self.archive.forget(now)

    def state(self) -> BookState:
        return BookState(self.window, self.archive.span, sorted(self._amended))

    def restore(self, state: BookState) -> None:
        self.window, self.archive.span, self._amended = state.window, state.span, set(state.amended)


_WINDOW, _WINDOWS = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Window)


def _mean(total: float, weight: float) -> float | None:
    return total / weight if weight > 0 else None
