"""Banks of River's own objects, one a column: any drift detector class of River's, or one that is made like them.

Slower than the compiled banks by what Python costs (and KSWIN by far more: 0.4 ms an update), but every detector there
is can be had by its import path. River itself is imported when the first such bank is asked for, not before.
"""

import importlib
import inspect
import math
from collections.abc import Mapping
from copy import copy
from itertools import islice, repeat
from typing import Any

import msgspec
import numpy as np

from detectors.banks import evidence, plain
from detectors.banks.contract import Finding, Matrix, StateError
from detectors.banks.matrix import checked, checked_column
from detectors.banks.parameters import Specification, anything
from detectors.banks.sealed import Parameters, name_of, unseal
from detectors.config import Scalar

_SEED = 0  # where a detector draws by chance and nobody gave a seed: a replay has to draw the same
_REHEARSAL = 32  # values fed to a detector on trial; attributes that come late come with the first few


class _Column(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    seen: int  # values since the last report
    detector: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Column])


class RiverBank:
    """``kind`` is a class that ``detector_class`` gave; ``parameters`` are those of its constructor."""

    def __init__(self, kind: type, parameters: Mapping[str, Scalar], columns: int = 0) -> None:
        self._class = kind
        self._given = _seeded(kind, parameters)
        self._parameters = _effective(kind, self._given)
        self._binary = takes_bits(kind)
        self._detectors: list[Any] = []
        self._seen: list[int] = []
        self.kind = f"{kind.__module__}.{kind.__qualname__} of River {_river('__version__')}"
        self._name = name_of(self.kind, self._parameters)
        self.grow(columns)

    @property
    def columns(self) -> int:
        return len(self._detectors)

    @property
    def parameters(self) -> Mapping[str, float | int | str | bool]:
        return self._parameters

    def fresh(self, columns: int) -> "RiverBank":
        other = copy(self)
        other._detectors, other._seen = [], []
        other.grow(columns)
        return other

    def grow(self, columns: int) -> None:
        more = max(0, columns - self.columns)
        self._detectors.extend(self._class(**self._given) for _ in range(more))
        self._seen.extend(repeat(0, more))

    def update(self, values: Matrix) -> list[Finding]:
        matrix = checked(values, self.columns)
        if self._binary:
            _check_bits(matrix, self._class.__name__)
        found = [finding for column in range(self.columns) for finding in self._follow(column, matrix[:, column])]
        return sorted(found, key=lambda finding: (finding.row, finding.column))

    def reset(self, column: int) -> None:
        self._detectors[checked_column(column, self.columns)] = self._class(**self._given)
        self._seen[column] = 0

    def snapshot(self) -> bytes:
        columns = [
            _Column(seen, plain.write(detector)) for seen, detector in zip(self._seen, self._detectors, strict=True)
        ]
        return self._name + _ENCODER.encode(columns)

    def restore(self, state: bytes) -> None:
        try:
            columns = _DECODER.decode(unseal(state, self._name, self.kind, self._parameters))
        except msgspec.MsgspecError as error:
            raise StateError(f"{self.kind}: unreadable state: {error}") from error
        self._detectors = [plain.read(column.detector, self._class) for column in columns]
        self._seen = [column.seen for column in columns]

    def _follow(self, column: int, values: Matrix) -> list[Finding]:
        detector = self._detectors[column]
        found = []
        for row, value in enumerate(values.tolist()):
            if math.isnan(value):
                continue
            detector.update(int(value) if self._binary else value)
            self._seen[column] += 1
            if detector.drift_detected:
                found.append(_finding(row, column, self._seen[column], evidence.of(detector)))
                self._seen[column] = 0
        return found


def detector_class(path: str) -> type:
    """The drift detector class at an import path, or ``ValueError`` saying why there is none."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(f"no detector {path!r}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, _detector_bases()):
        raise ValueError(f"{path!r} is no drift detector: it must be a class made from River's DriftDetector")
    if inspect.isabstract(found) or found.__module__.startswith("river.base"):
        raise ValueError(f"{path!r} is only the base of detectors, not one itself")
    return found


def takes_bits(kind: type) -> bool:
    return issubclass(kind, _river("base.BinaryDriftDetector"))


def specification(kind: type) -> Specification:
    """The names its constructor takes; which values are right only it knows."""
    return {
        name: anything()
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def trial(kind: type, parameters: Mapping[str, Scalar]) -> str | None:
    """Builds one, feeds it a little and writes its state: ``None``, or why it cannot be used."""
    try:
        detector = kind(**_seeded(kind, parameters))
        for value in islice(_bits(), _REHEARSAL):
            detector.update(value)
        state = plain.write(detector)
        same = plain.write(plain.read(state, kind)) == state
    except plain.UnwritableError as error:
        return f"its state could not be kept over a restart: {error}"
    except Exception as error:  # a foreign constructor may raise anything at all
        return f"it does not run with {dict(parameters)}: {error}"
    return None if same else "its state does not come back from bytes as it went"


def _bits() -> Any:
    while True:
        yield 0
        yield 1


def _river(path: str) -> Any:
    """Something of River's, imported at its first use: it brings scipy along, which takes a second."""
    found: Any = importlib.import_module("river")
    importlib.import_module("river.base")
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _detector_bases() -> tuple[type, ...]:
    return _river("base.DriftDetector"), _river("base.BinaryDriftDetector")


def _seeded(kind: type, parameters: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return ({"seed": _SEED} if "seed" in inspect.signature(kind).parameters else {}) | dict(parameters)


def _effective(kind: type, given: Mapping[str, Scalar]) -> Parameters:
    """With the defaults filled in, so that a new default in another version cannot slip under an old state."""
    bound = inspect.signature(kind).bind(**given)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if isinstance(value, float | int | str)}


def _check_bits(matrix: Matrix, detector: str) -> None:
    fits = np.isnan(matrix) | (matrix == 0.0) | (matrix == 1.0)
    if not fits.all():
        row, column = np.argwhere(~fits)[0]
        raise ValueError(f"row {row}, column {column} is {matrix[row, column]}: {detector} takes 0 and 1 only")


def _finding(row: int, column: int, seen: int, known: evidence.Evidence) -> Finding:
    n = known.n if known.n >= 0 else seen
    return Finding(row, column, known.value, known.threshold, n, known.before, known.after, known.since)
