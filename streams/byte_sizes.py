"""Sizes as people write them: ``256MiB``."""

import re

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(rf"([0-9]{{1,15}})({'|'.join(_UNITS)})")


def byte_count(text: str) -> int:
    """Bytes; raises ``ValueError`` for anything that is not a whole number and a unit."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no size such as 256MiB")
    return int(found[1]) * _UNITS[found[2]]


def in_words(count: int) -> str:
    """The size in the largest unit of which it has at least one, with one digit after the point."""
    unit = next((name for name, size in reversed(_UNITS.items()) if count >= size), "B")
    return f"{count / _UNITS[unit]:.1f} {unit}" if unit != "B" else f"{count} B"
