"""Kinds of checks on one setting: which values make sense, and how to say so."""

import math
import re
from typing import NamedTuple, Protocol

from schemas.times import duration_ms
from streams.byte_sizes import byte_count
from streams.errors import UsageError
from streams.moments import moment


class Check(Protocol):
    @property
    def allowed(self) -> str: ...

    def accepts(self, value: object) -> bool: ...


class Between(NamedTuple):
    low: float
    high: float

    @property
    def allowed(self) -> str:
        return f"from {self.low:,} to {self.high:,}"

    def accepts(self, value: object) -> bool:
        return isinstance(value, int | float) and math.isfinite(value) and self.low <= value <= self.high


class Lasting(NamedTuple):
    low: str
    high: str

    @property
    def allowed(self) -> str:
        return f'a duration such as "90s", "15m", "6h" or "30d", from {self.low} to {self.high}'

    def accepts(self, value: object) -> bool:
        try:
            return duration_ms(self.low) <= duration_ms(str(value)) <= duration_ms(self.high)
        except ValueError:
            return False


class Either(NamedTuple):
    words: tuple[str, ...]
    other: Lasting

    @property
    def allowed(self) -> str:
        return f"{', '.join(map(repr, self.words))} or {self.other.allowed}".replace("'", '"')

    def accepts(self, value: object) -> bool:
        return value in self.words or self.other.accepts(value)


class Sized(NamedTuple):
    low: str
    high: str

    @property
    def allowed(self) -> str:
        return f'a size such as "512KiB", "256MiB" or "20GiB", from {self.low} to {self.high}'

    def accepts(self, value: object) -> bool:
        try:
            return byte_count(self.low) <= byte_count(str(value)) <= byte_count(self.high)
        except ValueError:
            return False


class Like(NamedTuple):
    pattern: str
    allowed: str

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None


class Dated(NamedTuple):
    example: str

    @property
    def allowed(self) -> str:
        return f'a time with a zone, such as "{self.example}"'

    def accepts(self, value: object) -> bool:
        try:
            moment(str(value), "")
        except UsageError:
            return False
        return True
