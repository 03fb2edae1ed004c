"""Everything the shell raises on purpose. One line each: what is wrong, where, what to do.

DriftlineError          exit status 1: the work failed
├── UsageError          exit status 2: the call is wrong
├── MistakesError       several at once, a line each
│   └── SettingsError   and a UsageError: the configuration is wrong
├── SourceError         what was to be read cannot be read, or not to its end
│   └── ContentError    and a UsageError: what stands in a file is wrong, or it is cut off
├── SinkError           what was found cannot be written
├── BrokerError         Kafka did not answer or refused; trying again may help
│   └── GroupSilentError  it did not say whether it counts us in
├── CorruptStateError   what was kept on disk is not what was written
└── StateDiskError      the disk does not take or give what state needs
"""

from collections.abc import Sequence
from typing import ClassVar


class DriftlineError(Exception):
    exit_status: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", advice: str = "") -> None:
        self.what, self.where, self.advice = what, where, advice
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f"; {self.advice}" if self.advice else "")

    @property
    def lines(self) -> Sequence[str]:
        """What to show a person: one line a mistake."""
        return (str(self),)


class UsageError(DriftlineError):
    exit_status = 2


class MistakesError(DriftlineError):
    def __init__(self, mistakes: Sequence[object]) -> None:
        self._lines = tuple(map(str, mistakes))
        super().__init__("\n".join(self._lines))

    @property
    def lines(self) -> Sequence[str]:
        return self._lines


class SettingsError(MistakesError, UsageError):
    pass


class SourceError(DriftlineError):
    pass


class ContentError(SourceError, UsageError):
    pass


class SinkError(DriftlineError):
    pass


class BrokerError(DriftlineError):
    pass


class GroupSilentError(BrokerError):
    """Nothing was sent."""


class CorruptStateError(DriftlineError):
    """Whoever opened it puts it aside."""


class StateDiskError(DriftlineError):
    """Nothing half written: what counts is the last write that was whole."""
