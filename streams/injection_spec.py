"""What is to be injected, as people type it: ``shift:feature=age,size=1.5,from=60%``. What is left out is drawn."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from schemas.times import duration_ms
from streams.errors import UsageError
from streams.moments import when
from streams.problems import nearest, shown

OPTION = "--spec"


class Kind(StrEnum):
    SHIFT = "shift"
    SCALE = "scale"
    MISSING = "missing"
    UNIT = "unit"
    SWAP = "swap"
    CATEGORY = "category"
    FLIP = "flip"
    DELAY = "delay"


class Sort(NamedTuple):
    """``size``: what it is where nobody says; ``low`` and ``high``: what it may be."""

    means: str
    size: float = 0.0
    low: float = 0.0
    high: float = 0.0


_DAY_MS = duration_ms("1d")
SORTS: Mapping[Kind, Sort] = {
    Kind.SHIFT: Sort("a number rises by `size` standard deviations, or falls", 1.0, -1e6, 1e6),
    Kind.SCALE: Sort("a number's spread becomes `size` times as large", 2.0, 0.0, 1e6),
    Kind.MISSING: Sort("a share `size` of a feature's values is missing", 0.2, 0.0, 1.0),
    Kind.UNIT: Sort("a number comes in another unit: `size` times as large", 1_000.0, -1e9, 1e9),
    Kind.SWAP: Sort("two numbers change places; name them as `feature=a+b`"),
    Kind.CATEGORY: Sort("a share `size` of a feature's values is a category that never was", 0.2, 0.0, 1.0),
    Kind.FLIP: Sort("a share `size` of the labels is another one", 0.3, 0.0, 1.0),
    Kind.DELAY: Sort("labels come `size` later, such as `7d`", 7 * _DAY_MS, 0, 3_650 * _DAY_MS),
}
OF_LABELS = frozenset({Kind.FLIP, Kind.DELAY})


class Place(NamedTuple):
    """Where in a model's predictions: a share of them, a number of them, or a time."""

    share: float | None = None
    row: int | None = None
    ts: int | None = None

    def rows(self, of: int) -> int:
        """As a number of rows; a time is none."""
        return self.row if self.row is not None else int((self.share or 0.0) * of)


class Spec(NamedTuple):
    kind: Kind
    size: float
    model: str | None = None
    features: tuple[str, ...] = ()
    segment: tuple[str, str] | None = None
    begins: Place | None = None
    ends: Place | None = None
    over: Place | None = None  # of gradual ones, how long it takes until every row has changed
    every: Place | None = None  # of recurring ones, how long it is on, and then off


_KEYS = ("model", "feature", "size", "segment", "from", "to", "over", "every")


def parse(text: str) -> Spec:
    word, _, rest = text.partition(":")
    try:
        kind = Kind(word.strip())
    except ValueError:
        near = nearest(word, list(Kind))
        advice = f"did you mean {near}?" if near else f"one of {', '.join(Kind)}"
        raise UsageError(f"{shown(word)} is no kind of drift", where=OPTION, advice=advice) from None
    given: dict[str, str] = {}
    for part in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = part.partition("=")
        if key not in _KEYS or not equals or not value or key in given:
            what = f"{shown(part)} is not one of {', '.join(f'{name}=…' for name in _KEYS)}, each once"
            raise UsageError(what, where=f"{OPTION} {text}")
        given[key] = value
    return _spec(kind, given, f"{OPTION} {text}")


def _spec(kind: Kind, given: Mapping[str, str], where: str) -> Spec:
    features = tuple(given["feature"].split("+")) if "feature" in given else ()
    if features and (kind in OF_LABELS or len(features) != (2 if kind is Kind.SWAP else 1)):
        wanted = "no feature" if kind in OF_LABELS else "two features, a+b" if kind is Kind.SWAP else "one feature"
        raise UsageError(f"{kind} takes {wanted}", where=where)
    name, equals, value = given.get("segment", "").partition("=")
    if "segment" in given and (not equals or kind in OF_LABELS):
        what = f"{kind} takes no segment: labels name none" if equals else "a segment is a name and a value"
        raise UsageError(what, where=where, advice="write one such as segment=country=de")
    places = {key: _place(given[key], where) if key in given else None for key in ("from", "to", "over", "every")}
    for key in ("over", "every"):
        place = places[key]
        if place is not None and (place.ts is not None or not (place.share or place.row)):
            raise UsageError(f"{key} is a number of predictions or a share of them", where=where)
    return Spec(
        kind,
        _size(kind, given.get("size"), where),
        given.get("model"),
        features,
        (name, value) if equals else None,
        places["from"],
        places["to"],
        places["over"],
        places["every"],
    )


def _size(kind: Kind, text: str | None, where: str) -> float:
    sort = SORTS[kind]
    if text is None:
        return sort.size
    try:
        size = float(duration_ms(text)) if kind is Kind.DELAY else float(text)
    except ValueError as error:
        raise UsageError(f"size: {error}", where=where) from None
    if not sort.low <= size <= sort.high:
        raise UsageError(f"size is from {sort.low:g} to {sort.high:g}", where=where)
    return size


def _place(text: str, where: str) -> Place:
    if text.endswith("%"):
        try:
            share = float(text[:-1]) / 100
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise UsageError(f"{shown(text)} is no share from 0% to 100%", where=where)
        return Place(share=share)
    if text.isdecimal():
        return Place(row=int(text))
    moment = when(text, where)
    if moment.is_span:
        raise UsageError(f"{shown(text)} is a length of time", where=where, advice="write 60%, 25000 or a time")
    return Place(ts=moment.ms)
