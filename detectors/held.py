"""What detectors were like before some rows, to go back to where they were shown too many at once."""

from collections.abc import Iterable
from typing import Any

import numpy as np


class Held:
    """Of things that rows change in arrays and in plain values alone; each names what it has in ``__slots__``."""

    __slots__ = ("_were",)

    def __init__(self, things: Iterable[Any]) -> None:
        self._were = [(thing, [_copied(getattr(thing, name)) for name in thing.__slots__]) for thing in things]

    @staticmethod
    def can_hold(thing: object) -> bool:
        """Not objects of River's: nobody knows what is in them."""
        return hasattr(thing, "__slots__")

    def go_back(self) -> None:
        for thing, were in self._were:
            for name, value in zip(thing.__slots__, were, strict=True):
                setattr(thing, name, value)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
