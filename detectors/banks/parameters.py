"""What a detector's parameters may be, as data, and the sentence that says what is wrong with one."""

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from detectors.config import Scalar


class Limits(NamedTuple):
    """The values one parameter may take. ``clean`` gives the value as the detector takes it; None: not allowed."""

    allowed: str
    clean: Callable[[Scalar], Scalar | None]


Specification = Mapping[str, Limits]


def whole(low: int, high: int = 2**31 - 1) -> Limits:
    """An integer; the default top is the 32 bits that River's own counters have."""

    def clean(value: Scalar) -> Scalar | None:
        return value if type(value) is int and low <= value <= high else None

    return Limits(f"a whole number from {low} to {high}", clean)


def fraction() -> Limits:
    def clean(value: Scalar) -> Scalar | None:
        number = _number(value)
        return number if number is not None and 0.0 < number < 1.0 else None

    return Limits("a number between 0 and 1, both excluded", clean)


def share() -> Limits:
    def clean(value: Scalar) -> Scalar | None:
        number = _number(value)
        return number if number is not None and 0.0 < number <= 1.0 else None

    return Limits("a number above 0, up to 1", clean)


def not_negative() -> Limits:
    def clean(value: Scalar) -> Scalar | None:
        number = _number(value)
        return number if number is not None and number >= 0.0 else None

    return Limits("a finite number, 0 or more", clean)


def one_of(*names: str) -> Limits:
    def clean(value: Scalar) -> Scalar | None:
        return value if value in names else None

    return Limits("one of " + ", ".join(map(repr, names)), clean)


def flag() -> Limits:
    def clean(value: Scalar) -> Scalar | None:
        return value if isinstance(value, bool) else None

    return Limits("true or false", clean)


def anything() -> Limits:
    """Of a detector that we know nothing of: its constructor will say."""

    def clean(value: Scalar) -> Scalar | None:
        return value

    return Limits("a number, a string, true or false", clean)


def problems(specification: Specification, parameters: Mapping[str, Scalar]) -> list[str]:
    return [problem for name, value in parameters.items() if (problem := _problem(specification, name, value))]


def cleaned(specification: Specification, parameters: Mapping[str, Scalar]) -> dict[str, Any]:
    """The parameters as a constructor takes them. Call it only where ``problems`` found none."""
    return {name: specification[name].clean(value) for name, value in parameters.items()}


def nearest(name: str, names: Iterable[str]) -> str:
    """`` (did you mean 'adwin'?)``, or nothing where no known name is near."""
    near = get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _problem(specification: Specification, name: str, value: Scalar) -> str | None:
    limits = specification.get(name)
    if limits is None:
        known = ", ".join(specification) or "it takes none"
        return f"no parameter {name!r}{nearest(name, specification)}; known: {known}"
    if limits.clean(value) is None:
        return f"{name} = {value!r}: it must be {limits.allowed}"
    return None


def _number(value: Scalar) -> float | None:
    """A whole number will do for a float; true, false, NaN and infinity will not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
