"""How far the work is: a bar on a terminal, elsewhere a plain line every few seconds."""

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TextIO

LINE_EVERY_S = 5.0  # often enough to see that it lives, seldom enough for a log file

Fraction = Callable[[], float | None]  # from 0 to 1; None: nobody knows
Clock = Callable[[], float]


class Progress(AbstractContextManager["Progress"]):
    """Call it with the number of records that were just worked on."""

    @abstractmethod
    def __call__(self, records: int) -> None: ...


class Lines(Progress):
    def __init__(self, stream: TextIO, fraction: Fraction, clock: Clock = time.monotonic) -> None:
        self._stream, self._fraction, self._clock = stream, fraction, clock
        self._records = 0
        self._start = self._said = clock()

    def __call__(self, records: int) -> None:
        self._records += records
        now = self._clock()
        if now - self._said >= LINE_EVERY_S:
            self._said = now
            self._stream.write(f"{self._line(now)}\n")
            self._stream.flush()

    def __exit__(self, *_: object) -> None:
        pass

    def _line(self, now: float) -> str:
        fraction = self._fraction()
        share = f", {fraction:.0%}" if fraction is not None else ""
        spent = now - self._start
        left = f", {_lasting(spent * (1 / fraction - 1))} left" if fraction else ""
        return f"{self._records:,} records{share}, {self._records / spent:,.0f} a second{left}"


def _lasting(seconds: float) -> str:
    """Roughly: an estimate has no more digits."""
    unit, length = ("h", 3_600) if seconds >= 7_200 else ("min", 60) if seconds >= 120 else ("s", 1)
    return f"{seconds / length:.0f} {unit}"


class Bar(Progress):
    def __init__(self, stream: TextIO, fraction: Fraction) -> None:
        from rich import progress  # noqa: PLC0415 - not wanted where there is no terminal
        from rich.console import Console  # noqa: PLC0415

        self._fraction = fraction
        self._records = 0
        self._start = time.monotonic()
        columns: tuple[Any, ...] = (progress.BarColumn(), progress.TextColumn("{task.description}"))
        self._bar = progress.Progress(
            *columns, progress.TimeRemainingColumn(), console=Console(file=stream), transient=True
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __call__(self, records: int) -> None:
        self._records += records
        rate = self._records / max(time.monotonic() - self._start, 1e-9)
        words = f"{self._records:,} records, {rate:,.0f} a second"
        fraction = self._fraction()
        total = None if fraction is None else 1.0  # a topic range knows its length only once it has begun
        self._bar.update(self._task, total=total, completed=fraction or 0.0, description=words)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def progress_on(stream: TextIO, fraction: Fraction) -> Progress:
    return Bar(stream, fraction) if stream.isatty() else Lines(stream, fraction)
