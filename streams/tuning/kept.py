"""What trials found, a JSON object a line, as soon as it is known: so that a search can be gone on with."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from streams.errors import SinkError, UsageError
from streams.scoring import Alarm
from streams.truth import Change


class Trial(msgspec.Struct, frozen=True):
    """``number``: which drifts are put in; 0: none. ``changes`` are none for what needs no settings: River and such."""

    part: str
    number: int
    changes: Mapping[str, Any] | None

    @property
    def key(self) -> bytes:
        return _key(self)


class Tried(msgspec.Struct, frozen=True):
    """Alarms by who told, in order of time; what was put in; pages by model."""

    alarms: dict[str, list[Alarm]]
    changes: list[Change]
    pages: dict[str, int]


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    of: str


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    trial: msgspec.Raw
    tried: Tried


_key = msgspec.json.Encoder(order="deterministic").encode


class KeptTrials(AbstractContextManager["KeptTrials"]):
    """``of`` stands for everything that decides what a trial finds, but the trial itself."""

    def __init__(self, path: Path, of: str, *, resume: bool) -> None:
        self._path, self._of = path, of
        self._found: dict[bytes, Tried] = {}
        try:
            whole = self._read() if resume and path.exists() else 0
            self._file: BinaryIO = path.open("r+b" if whole else "wb")
            self._file.truncate(whole)
            self._file.seek(whole)
        except OSError as error:
            raise self._failure(error) from error
        if not whole:
            self._write(_Head(of))

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, trial: Trial) -> Tried | None:
        return self._found.get(trial.key)

    def add(self, trial: Trial, tried: Tried) -> None:
        self._found[trial.key] = tried
        self._write(_Line(msgspec.Raw(trial.key), tried))

    def _read(self) -> int:
        """How long the file is up to the end of its last whole line: the one after it was being written."""
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        head, *lines = content[:whole].splitlines() or [b""]
        try:
            of = msgspec.json.decode(head, type=_Head).of if head else self._of
            for line in lines:
                read = msgspec.json.decode(line, type=_Line)
                self._found[bytes(read.trial)] = read.tried
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            what = f"cannot be gone on with: {error}"
            raise UsageError(what, where=str(self._path), advice="leave --resume out to begin anew") from None
        if of != self._of:
            what = "was begun with another history, configuration, seed or version"
            raise UsageError(what, where=str(self._path), advice="leave --resume out to begin anew")
        return whole

    def _write(self, line: _Head | _Line) -> None:
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> SinkError:
        what = f"trials cannot be kept: {error.strerror}"
        return SinkError(what, where=str(self._path), advice="name another directory with --out")
