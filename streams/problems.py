"""One mistake in a configuration, and where it was made."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from streams.text import printable

_VALUE_CHARACTERS_MAX = 60  # enough to recognise a value; a pasted file must not fill the screen

Path = tuple[str, ...]


class Problem(NamedTuple):
    key: Path
    allowed: str  # what is allowed, or what to do
    value: str | None = None  # as the user wrote it; never a secret's
    where: str = ""  # the file or the environment variable

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        value = f" = {self.value}" if self.value is not None else ""
        key = f"{dotted(self.key)}{value}: " if self.key else ""
        return f"{place}{key}{self.allowed}"


def dotted(path: Path) -> str:
    """As TOML spells it: a part that is no bare key stands in quotes."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else shown(part) for part in path)


def one_above_other(one: Path, other: Path) -> bool:
    """Whether one of them is the other, or the table that it stands in."""
    common = min(len(one), len(other))
    return one[:common] == other[:common]


def shown(value: object) -> str:
    """A value on one line: control characters escaped, long ones cut."""
    if isinstance(value, bool):
        return str(value).lower()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    text = printable(text)
    return text if len(text) <= _VALUE_CHARACTERS_MAX else text[: _VALUE_CHARACTERS_MAX - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    matches = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
