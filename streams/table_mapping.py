"""Which column of a table is what: said in a mapping file, or found out by its name and shown.

A mapping file is TOML, every key optional. ``docs/backtest.md`` says what each means.
"""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from schemas.events import ENTRIES_MAX, MODEL_PATTERN, NAME_CHARACTERS_MAX
from schemas.times import duration_ms
from streams.errors import UsageError
from streams.problems import nearest, shown
from streams.table_cells import UNITS

MODEL = "model"  # what it is called where nobody says
SEGMENT, FEATURE = "segment:", "feature:"
_LISTED_MAX = 12  # columns named in a message
_FILE_BYTES_MAX = 1024 * 1024  # ten thousand columns by their names

# What columns are called in tables that people have, in lower case; the first that is there is taken.
_NAMES: Mapping[str, Sequence[str]] = {
    "model_column": ("model", "model_id", "model_name"),
    "id": ("id", "prediction_id", "request_id", "event_id", "uuid", "row_id"),
    "time": ("ts", "timestamp", "time", "datetime", "event_time", "created_at"),
    "prediction": ("prediction", "predicted", "y_pred", "pred", "yhat", "y_hat"),
    "score": ("score", "y_pred_proba", "probability", "proba", "y_score", "y_prob"),
    "label": ("label", "target", "y_true", "actual", "ground_truth", "outcome"),
    "label_time": ("label_ts", "label_time", "label_timestamp", "outcome_ts"),
    "version": ("version", "model_version"),
    "latency_ms": ("latency_ms",),
    "cost": ("cost",),
}
_INDEXES = ("", "unnamed: 0", "__index_level_0__")  # what pandas calls its own
_LABELS_TIMES = (*_NAMES["label_time"], *_NAMES["time"])


class LabelColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of labels in a file of their own."""

    model_column: str | None = None
    id: str | None = None
    label: str | None = None
    time: str | None = None


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``None`` is to be found out, an empty name says that there is none."""

    model: str | None = None
    model_column: str | None = None
    id: str | None = None
    time: str | None = None
    time_zone: str = "UTC"
    time_unit: str = "ms"
    step: str = "1s"
    prediction: str | None = None
    score: str | None = None
    scores: dict[str, str] = {}
    label: str | None = None
    label_time: str | None = None
    label_delay: str = "0s"
    version: str | None = None
    latency_ms: str | None = None
    cost: str | None = None
    features: list[str] | None = None
    segments: list[str] = []
    ignore: list[str] = []
    text: list[str] = []
    missing: list[str] = []
    labels: LabelColumns = LabelColumns()

    @property
    def zone(self) -> tzinfo:
        return _zone(self.time_zone)


def load(path: Path) -> Columns:
    where = str(path)
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES_MAX + 1).decode("utf-8-sig")
        columns = msgspec.convert(tomllib.loads(text), Columns)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=where) from None
    except UnicodeDecodeError:
        raise UsageError("is not UTF-8", where=where, advice="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"is not TOML: {error}", where=where) from None
    except msgspec.ValidationError as error:
        advice = f"the keys are {', '.join(Columns.__struct_fields__)}"
        raise UsageError(f"is no mapping: {error}", where=where, advice=advice) from None
    _check_values(columns, where)
    return columns


def _check_values(columns: Columns, where: str) -> None:
    for key in ("step", "label_delay"):
        try:
            duration_ms(getattr(columns, key))
        except ValueError as error:
            raise UsageError(f"{key}: {error}", where=where) from None
    if columns.time_unit not in UNITS:
        raise UsageError(f"time_unit = {shown(columns.time_unit)}: must be one of {', '.join(UNITS)}", where=where)
    _zone(columns.time_zone, where)
    if columns.model is not None and not re.fullmatch(MODEL_PATTERN, columns.model):
        raise UsageError(f"model = {shown(columns.model)}: {MODEL_PATTERN} is allowed", where=where)


def _zone(name: str, where: str = "") -> tzinfo:
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        advice = "name one such as Europe/Berlin, or UTC"
        raise UsageError(f"time_zone = {shown(name)}: is not known here", where=where, advice=advice) from error


# -- finding out ------------------------------------------------------------------------------------------------------


def found_out(
    said: Columns, names: Sequence[str], segments: Collection[str], where: str, *, labels_apart: bool = False
) -> Columns:
    """All that nobody said. ``segments``: those that the configuration watches; ``labels_apart``: in another file."""
    if labels_apart and said.label:
        advice = "leave --labels or label out"
        raise UsageError("the labels are given twice, as a file and as a column", where=where, advice=advice)
    roles: dict[str, str | None] = {role: getattr(said, role) for role in _NAMES}
    if said.model is not None and roles["model_column"] is None:
        roles["model_column"] = ""
    own_segments = said.segments or [name for name in names if name.startswith(SEGMENT) or name in segments]
    taken = {name for name in (*roles.values(), *said.scores.values(), *said.ignore, *own_segments) if name}
    taken.update(said.features or ())
    by_lower = {name.strip().lower(): name for name in reversed(names)}
    for role, usual in _NAMES.items():
        if roles[role] is None:
            found = next((by_lower[word] for word in usual if by_lower.get(word, "") not in ("", *taken)), None)
            roles[role] = found
            taken |= {found} if found is not None else set()
    if labels_apart or not roles["label"]:
        roles |= {"label": None, "label_time": None}
    ignored = [name for name in names if name.strip().lower() in _INDEXES and name not in taken]
    features = said.features
    if features is None:
        features = [name for name in names if name not in taken and name not in ignored]
    filled = {role: name or None for role, name in roles.items()}
    model = None if filled["model_column"] else said.model or MODEL
    columns = msgspec.structs.replace(
        said, **filled, model=model, features=features, segments=own_segments, ignore=[*said.ignore, *ignored]
    )
    _check(columns, names, where)
    return columns


def labels_found_out(said: Columns, names: Sequence[str], where: str) -> Columns:
    """The same of a file of labels: as a table that has nothing else."""
    own = said.labels
    by_lower = {name.strip().lower(): name for name in reversed(names)}

    def found(role: str | None, usual: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
        if role is not None:
            return role or None
        return next((by_lower[word] for word in usual if word in by_lower and by_lower[word] not in taken), None)

    key = found(own.id, (*((said.id.lower(),) if said.id else ()), *_NAMES["id"]))
    model = None if said.model else found(own.model_column, _NAMES["model_column"])
    label = found(own.label, _NAMES["label"])
    time = found(own.time, _LABELS_TIMES, (key, label))
    left = [name for name in names if name not in (key, model, time) and name.strip().lower() not in _INDEXES]
    if label is None and len(left) == 1:
        label = left[0]
    if key is None or label is None:
        role = "id" if key is None else "label"
        advice = f'say which one it is: [labels] {role} = "…" in a file given with --mapping; {_listed(names)}'
        raise UsageError(f"no column is known as the {role}", where=where, advice=advice)
    columns = msgspec.structs.replace(
        said,
        model=None if model else said.model or MODEL,
        labels=LabelColumns(id=key, label=label, time=time, model_column=model),
    )
    _check_there(names, {"labels.id": key, "labels.label": label, "labels.time": time}, where)
    return columns


def _check(columns: Columns, names: Sequence[str], where: str) -> None:
    _check_there(names, {role: getattr(columns, role) for role in _NAMES}, where)
    _check_there(names, {f"scores.{name}": column for name, column in columns.scores.items()}, where)
    for key in ("features", "segments", "ignore", "text"):
        _check_there(
            names, {f"{key} ({number})": name for number, name in enumerate(getattr(columns, key) or ())}, where
        )
    if columns.prediction is None:
        advice = f'say which one it is: prediction = "…" in a file given with --mapping; {_listed(names)}'
        raise UsageError("no column is known as the prediction", where=where, advice=advice)
    features = columns.features or []
    if len(features) > ENTRIES_MAX:
        raise UsageError(f"has {len(features):,} features: at most {ENTRIES_MAX:,} are allowed", where=where)
    for prefix, own in ((FEATURE, features), (SEGMENT, columns.segments)):
        plain = [name.removeprefix(prefix) for name in own]
        for name in plain:
            if not 0 < len(name) <= NAME_CHARACTERS_MAX:
                what = f"column {shown(name)}: a name has 1 to {NAME_CHARACTERS_MAX} characters"
                raise UsageError(what, where=where, advice="name it under ignore")
            if plain.count(name) > 1:
                what = f"two columns are {prefix[:-1]} {shown(name)}"
                raise UsageError(what, where=where, advice="name one of them under ignore")


def _check_there(names: Sequence[str], wanted: Mapping[str, str | None], where: str) -> None:
    for role, name in wanted.items():
        if name and name not in names:
            near = nearest(name, names)
            advice = f"did you mean {shown(near)}?" if near else _listed(names)
            raise UsageError(f"has no column {shown(name)}, named as {role}", where=where, advice=advice)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED_MAX} more" if len(names) > _LISTED_MAX else ""
    return f"its columns are {', '.join(map(shown, names[:_LISTED_MAX]))}{more}"


# -- showing ----------------------------------------------------------------------------------------------------------


def shown_as_toml(columns: Columns) -> Iterator[str]:
    """The lines of a mapping file that says what is taken for what."""
    for key in ("model", "model_column", "id", "time"):
        if (value := getattr(columns, key)) is not None:
            yield _line(key, value)
    if columns.time is None:
        yield f"{_line('step', columns.step)}  # no column is known as the time: rows are so far apart"
    else:
        yield f"{_line('time_zone', columns.time_zone)}  # of times that name none"
    if columns.time_unit != "ms":
        yield _line("time_unit", columns.time_unit)
    for key in ("prediction", "score", "version", "latency_ms", "cost", "label", "label_time"):
        if (value := getattr(columns, key)) is not None:
            yield _line(key, value)
    if columns.label is not None and columns.label_time is None:
        yield f"{_line('label_delay', columns.label_delay)}  # labels come so long after their prediction"
    for key in ("features", "segments", "ignore", "text", "missing"):
        if (value := getattr(columns, key)) or key == "features":
            yield _line(key, value)
    if columns.scores:
        pairs = ", ".join(f"{json.dumps(name)} = {json.dumps(column)}" for name, column in columns.scores.items())
        yield f"scores = {{ {pairs} }}"


def labels_as_toml(columns: Columns) -> Iterator[str]:
    own = columns.labels
    if own.time is None:
        yield f"{_line('label_delay', columns.label_delay)}  # labels come so long after their prediction"
    yield "[labels]"
    for key in own.__struct_fields__:
        if (value := getattr(own, key)) is not None:
            yield _line(key, value)


def _line(key: str, value: Any) -> str:
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
