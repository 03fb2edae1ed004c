"""Settings from environment variables: ``DRIFTLINE_KAFKA__BOOTSTRAP=broker:9092`` is ``bootstrap`` of ``[kafka]``.

A double underscore goes one table down. A value is read as TOML writes it (``4``, ``true``, ``["a", "b"]``), else as
text; a secret is always text, taken as it stands. A model's or feature's name is looked up as the file spells it,
whatever the case; one that the file does not have is taken as the variable spells it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from streams.problems import Path, Problem
from streams.sections import Layout
from streams.shape import Table, convert, is_map, is_secret, type_at

PREFIX = "DRIFTLINE_"
NESTING = "__"


class Variable(NamedTuple):
    name: str
    path: Path
    value: Any


def overlay(data: Table, env: Mapping[str, str]) -> tuple[dict[Path, str], list[Problem]]:
    """Lays the environment over ``data``, in place; returns which variable each path came from."""
    origins: dict[Path, str] = {}
    problems: list[Problem] = []
    for variable in _variables(data, env):
        if _place(data, variable.path, variable.value):
            origins[variable.path] = variable.name
        else:
            clash = "has a value where this variable needs a table"
            problems.append(Problem(variable.path, clash, where=variable.name))
    problems.extend(_misspelt(env))
    return origins, problems


def variable_name(path: Path) -> str:
    return PREFIX + NESTING.join(part.upper() if part.islower() else part for part in path)


def _variables(data: Table, env: Mapping[str, str]) -> Iterator[Variable]:
    for name in sorted(env):
        if name.startswith(PREFIX) and NESTING in name:
            path = _path(data, name.removeprefix(PREFIX).split(NESTING))
            yield Variable(name, path, _value(env[name], type_at(path)))


def _path(data: Any, parts: list[str]) -> Path:
    path: Path = ()
    for part in parts:
        in_file = list(data) if isinstance(data, dict) else []
        same = [key for key in in_file if key.lower() == part.lower()]
        fixed = not is_map(type_at(path))
        key = part.lower() if fixed else next((k for k in same if k == part), same[0] if same else part)
        data = data.get(key) if isinstance(data, dict) else None
        path = (*path, key)
    return path


def _value(text: str, kind: Any) -> Any:
    if is_secret(kind):
        return text
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if set(table) == {"value"} and _fits(table["value"], text, kind) else text


def _fits(value: Any, text: str, kind: Any) -> bool:
    """A group may be called 7: where only the text fits, it is meant as text."""
    return _converts(value, kind) or not _converts(text, kind)


def _converts(value: Any, kind: Any) -> bool:
    try:
        convert(value, kind)
    except (msgspec.ValidationError, TypeError):
        return False
    return True


def _place(data: Table, path: Path, value: Any) -> bool:
    for part in path[:-1]:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            return False
    data[path[-1]] = value
    return True


def _misspelt(env: Mapping[str, str]) -> Iterator[Problem]:
    """DRIFTLINE_KAFKA_BOOTSTRAP would be passed over in silence.

    Kubernetes sets DRIFTLINE_METRICS_PORT=tcp://… and DRIFTLINE_SERVICE_HOST for services of such names: these are not
    ours.
    """
    for name in sorted(env):
        section, _, key = name.removeprefix(PREFIX).lower().partition("_")
        ours = name.startswith(PREFIX) and NESTING not in name and not env[name].startswith(("tcp://", "udp://"))
        if ours and section in Layout.__struct_fields__ and type_at((section, key)) is not None:
            yield Problem((), f"is not a setting; did you mean {variable_name((section, key))}?", where=name)
