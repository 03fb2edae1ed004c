"""How a class is written."""

from schemas.events import EXACT_INT_MAX, Scalar


def class_name(value: Scalar) -> str:
    """A class as text, the way it stands as a key of ``scores``: 1.0 is ``"1"``, true is ``"true"``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return str(int(value)) if value.is_integer() and abs(value) <= EXACT_INT_MAX else repr(value)
