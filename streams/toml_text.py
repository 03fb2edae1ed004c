"""Plain data as TOML, for files that are written for people to keep. ``tomllib`` reads it back as it was."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def written(table: Mapping[str, Any]) -> str:
    """A line a value, a heading a table; lines end in ``\\n``.

    >>> print(written({"kafka": {"group": "a"}, "models": {"m.1": {"segments": ["x"], "baseline_rows": 300}}}), end="")
    [kafka]
    group = "a"
    <BLANKLINE>
    [models."m.1"]
    segments = ["x"]
    baseline_rows = 300
    """
    return "\n".join(_lines(table, ())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    tables = {key: below for key, below in table.items() if isinstance(below, Mapping)}
    values = [f"{_key(key)} = {value(of)}" for key, of in table.items() if key not in tables]
    if path and (values or not tables):
        yield ""
        yield f"[{'.'.join(map(_key, path))}]"
    yield from values
    for key, below in tables.items():
        yield from _lines(below, (*path, key))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def value(of: Any) -> str:
    if isinstance(of, str):
        return _text(of)
    if isinstance(of, list | tuple):
        return f"[{', '.join(map(value, of))}]"
    if isinstance(of, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {value(one)}' for key, one in of.items())} }}"
    if isinstance(of, bool):
        return str(of).lower()
    return repr(of) if isinstance(of, int | float) else str(of)


def _text(text: str) -> str:
    """JSON's escapes are TOML's, but that JSON lets DEL stand."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
