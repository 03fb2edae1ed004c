"""The files of a replay, line by line. A line that is not what it should be is an error with its place."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from schemas.events import Alert, Metrics, Retrain, Rollback, Signal
from schemas.topics import VALUE_BYTES_MAX, Stream
from streams.errors import SourceError, UsageError
from streams.sinks import FILES, SUMMARY, WHATIF
from streams.summary import Summary
from streams.whatif.comparison import WhatIf

_Event = TypeVar("_Event")
_LINE_MAX = 4 * VALUE_BYTES_MAX  # what the monitor writes is a few KiB; a dead letter holds at most some 100
_ALERT, _SIGNAL = msgspec.json.Decoder(Alert), msgspec.json.Decoder(Signal)
_METRICS = msgspec.json.Decoder(Metrics)
_ADVICE: msgspec.json.Decoder[Retrain | Rollback] = msgspec.json.Decoder(Retrain | Rollback)
_SUMMARY = msgspec.json.Decoder(Summary)
_WHATIF = msgspec.json.Decoder(WhatIf)


class Files:
    """Results in a directory, or in its part for incomplete runs. Each call reads a file anew, a line at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def alerts(self) -> Iterator[Alert]:
        return self._events(Stream.ALERTS, _ALERT)

    def signals(self) -> Iterator[Signal]:
        return self._events(Stream.SIGNALS, _SIGNAL)

    def metrics(self) -> Iterator[Metrics]:
        return self._events(Stream.METRICS, _METRICS)

    def retrains(self) -> Iterator[Retrain]:
        return (advice for advice in self._events(Stream.RETRAIN, _ADVICE) if isinstance(advice, Retrain))

    def rollbacks(self) -> Iterator[Rollback]:
        return (advice for advice in self._events(Stream.RETRAIN, _ADVICE) if isinstance(advice, Rollback))

    def summary(self) -> Summary:
        path = self.directory / SUMMARY
        try:
            return _SUMMARY.decode(path.read_bytes())
        except OSError as error:
            advice = "name a directory that driftline replay or demo wrote"
            raise UsageError(f"cannot be read: {error.strerror}", where=str(path), advice=advice) from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SourceError(f"is no summary of a replay: {error}", where=str(path)) from error

    def whatif(self) -> WhatIf | None:
        """Policies of retraining compared, where that was done."""
        path = self.directory / WHATIF
        try:
            return _WHATIF.decode(path.read_bytes()) if path.exists() else None
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", where=str(path)) from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SourceError(f"is not what whatif writes: {error}", where=str(path)) from error

    def _events(self, stream: Stream, decoder: msgspec.json.Decoder[_Event]) -> Iterator[_Event]:
        path = self.directory / FILES[stream]
        try:
            with path.open("rb") as file:
                number = 0
                while line := file.readline(_LINE_MAX):
                    number += 1
                    yield _decoded(line, decoder, f"{path} line {number}")
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _decoded(line: bytes, decoder: msgspec.json.Decoder[_Event], place: str) -> _Event:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"is not what a replay writes: {error}", where=place) from error
