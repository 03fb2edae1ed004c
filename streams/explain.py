"""The settings in words: for ``driftline check --explain`` and for ``docs/configuration.md``."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from streams.environment import variable_name
from streams.errors import UsageError
from streams.keys import SETTINGS
from streams.problems import nearest, shown
from streams.shape import Leaf, allowed, leaves

_MODELS = "models"


class Row(NamedTuple):
    key: str
    allowed: str
    default: str
    meaning: str


def rows() -> Iterator[Row]:
    for leaf in leaves():
        setting = SETTINGS[".".join(leaf.path)]
        yield Row(".".join(leaf.path), allowed(leaf.type, setting.check), _default(leaf), setting.meaning)


def sections() -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in rows():
        grouped.setdefault(row.key.partition(".")[0], []).append(row)
    return grouped


def explained(section: str = "") -> str:
    """Every setting, or those of one section, or one setting."""
    section = section.strip("[]")
    if section == _MODELS or section.startswith(_MODELS + "."):
        section = "defaults"
    chosen = [row for row in rows() if not section or f"{row.key}.".startswith(f"{section}.")]
    if not chosen:
        known = list(sections())
        close = nearest(section, [*known, *SETTINGS])
        advice = f"did you mean {close}?" if close else f"there are {', '.join(known)}"
        raise UsageError(f"{section} is no section and no setting", advice=advice)
    return "\n\n".join(map(_paragraph, chosen))


def markdown(rows: Sequence[Row]) -> str:
    """A section's table for the documentation."""
    lines = [f"| `{row.key}` | {row.allowed} | `{row.default}` | {row.meaning} |" for row in rows]
    return "\n".join(["| key | allowed | default | meaning |", "|---|---|---|---|", *lines])


def _paragraph(row: Row) -> str:
    variable = variable_name(tuple(row.key.split(".")))
    return f"{row.key} = {row.default}  ({variable})\n    {row.meaning}.\n    Allowed: {row.allowed}."


def _default(leaf: Leaf) -> str:
    value: Any = leaf.default
    if value is None or value is msgspec.UNSET or value is msgspec.NODEFAULT:
        return "not set"
    return shown(list(value)) if isinstance(value, tuple) else shown(value)
