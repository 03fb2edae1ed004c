"""Holds plain data against a tree of structs and says every place where it does not fit, not the first alone."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from streams.allowed import Check
from streams.keys import MODEL_NAME, SETTINGS, Setting
from streams.problems import Path, Problem, dotted, nearest, shown
from streams.secrets import Secret
from streams.sections import Layout

Table = dict[str, Any]

# Where a table's keys are names that the user chooses, and what the names are called in ``SETTINGS``.
_CHOSEN: Mapping[Path, str] = {
    ("models",): "NAME",
    ("defaults", "baselines"): "BASELINE",
    ("pager", "sinks"): "SINK",
    ("pager", "routes"): "ROUTE",
    ("pager", "teams"): "TEAM",
    ("pager", "budgets"): "BUDGET",
    ("pager", "upstreams"): "UPSTREAM",
    ("control", "keys"): "KEY",
    ("mlflow", "models"): "MODEL",
    ("defaults", "features"): "FEATURE",
    ("defaults", "severity"): "KIND",
    ("defaults", "parameters"): "DETECTOR",
    ("defaults", "parameters", "DETECTOR"): "PARAMETER",
}


_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Secret: "text"}


class Leaf(NamedTuple):
    """A setting of the layout: no table below it."""

    path: Path
    type: Any
    default: Any


def leaves(kind: Any = Layout, path: Path = ()) -> Iterator[Leaf]:
    """Every setting there is. ``[models.NAME]`` repeats ``[defaults]`` and is left out."""
    for name, field_type, default in _fields(kind):
        below = (*path, name)
        if below == ("models",):
            continue
        chosen = below
        while is_map(field_type):
            chosen, field_type = (*chosen, _CHOSEN[chosen]), get_args(field_type)[1]  # noqa: PLW2901 - the type one level down
        if is_struct(field_type):
            yield from leaves(field_type, chosen)
        else:
            yield Leaf(chosen, field_type, msgspec.UNSET if chosen != below else default)


def setting_at(path: Path) -> Setting | None:
    """What is known of the setting of the configuration that stands there."""
    return SETTINGS.get(".".join(canonical(path)))


SettingAt = Callable[[Path], Setting | None]


def fit(data: Table, kind: Any = Layout, known: SettingAt = setting_at) -> tuple[Table, list[Problem]]:
    """What fits, and what is wrong with the rest."""
    fitting = _Fitting(known)
    return fitting.table(data, kind, ()), fitting.problems


def convert(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, dec_hook=_secret)


def canonical(path: Path) -> Path:
    """The path as ``SETTINGS`` names it: names that the user chose become words in capitals."""
    known: Path = ()
    for part in path:
        known = (*known, _CHOSEN.get(known, part))
        if known == ("models", "NAME"):
            known = ("defaults",)
    return known


def type_at(path: Path) -> Any:
    """The type that belongs there, or None where nothing does."""
    kind: Any = Layout
    for part in path:
        if is_map(kind):
            kind = get_args(kind)[1]
        elif is_struct(kind):
            kind = next((field_type for name, field_type, _ in _fields(kind) if name == part), None)
        else:
            return None
    return kind


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def is_map(kind: Any) -> bool:
    return get_origin(kind) is dict


def is_secret(kind: Any) -> bool:
    return kind is Secret or Secret in get_args(kind)


def in_words(kind: Any) -> str:
    """A type as a user would name it."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(shown(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if parts[-1] is not Ellipsis:
            return f"a list of {len(parts)} numbers"
        return "a list of text" if parts[0] is str else f"a list of {in_words(parts[0]).removeprefix('one of ')}"
    if parts := get_args(kind):
        return " or ".join(dict.fromkeys(in_words(part) for part in parts if part is not type(None)))
    return _WORDS.get(kind, str(kind))


def allowed(kind: Any, check: Check | None) -> str:
    if check is None:
        return in_words(kind)
    return check.allowed if kind in (str, str | None) else f"{in_words(kind)} {check.allowed}"


def _fields(struct: type[msgspec.Struct]) -> Iterator[tuple[str, Any, Any]]:
    hints = get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        factory = field.default_factory
        yield field.encode_name, hints[field.name], factory() if callable(factory) else field.default


class _Fitting:
    """One walk down the tree."""

    def __init__(self, known: SettingAt) -> None:
        self.problems: list[Problem] = []
        self._known = known

    def table(self, data: Any, kind: Any, path: Path) -> Table:
        if not isinstance(data, dict):
            # The value is not shown: whoever puts text where [kafka] belongs may have put a password there.
            self.problems.append(Problem(path, "must be a table of settings"))
            return {}
        return self._map(data, kind, path) if is_map(kind) else self._struct(data, kind, path)

    def _struct(self, data: Table, kind: Any, path: Path) -> Table:
        types = {name: field_type for name, field_type, _ in _fields(kind)}
        self.problems += [_unknown((*path, name), list(types)) for name in data if name not in types]
        known = {name: value for name, value in data.items() if name in types}
        return self._each(known, lambda name: types[name], path)

    def _map(self, data: Table, kind: Any, path: Path) -> Table:
        misnamed = [name for name in data if path == ("models",) and not MODEL_NAME.accepts(name)]
        self.problems += [Problem((*path, name), f"is no model name: {MODEL_NAME.allowed}") for name in misnamed]
        named = {name: value for name, value in data.items() if name not in misnamed}
        return self._each(named, lambda _: get_args(kind)[1], path)

    def _each(self, data: Table, kind_of: Callable[[str], Any], path: Path) -> Table:
        fitting: Table = {}
        for name, value in data.items():
            kind, below = kind_of(name), (*path, name)
            if is_struct(kind) or is_map(kind):
                fitting[name] = self.table(value, kind, below)
            elif problem := _leaf(value, kind, below, self._known(below)):
                self.problems.append(problem)
            else:
                fitting[name] = value
        return fitting


def _leaf(value: Any, kind: Any, path: Path, setting: Setting | None) -> Problem | None:
    check = setting.check if setting else None
    problem = Problem(path, f"must be {allowed(kind, check)}", None if is_secret(kind) else shown(value))
    try:
        converted = convert(value, kind)
    except msgspec.ValidationError:
        return problem
    if check is not None and not check.accepts(converted):
        return problem
    return problem if _not_finite(converted) else None


def _not_finite(value: Any) -> bool:
    """TOML can write ``nan`` and ``inf``; no setting can mean them."""
    if isinstance(value, tuple):
        return any(map(_not_finite, value))
    return isinstance(value, float) and not math.isfinite(value)


def _unknown(path: Path, known: list[str]) -> Problem:
    close = nearest(path[-1], known)
    section = dotted(path[:-1]) or "the file"
    advice = f"did you mean {dotted((*path[:-1], close))}?" if close else f"{section} knows {', '.join(known)}"
    return Problem(path, f"is not a setting; {advice}")


def _secret(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise msgspec.ValidationError("not what belongs here")
