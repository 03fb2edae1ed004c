"""What stands in one place of an event, and how it is read: as a number, as the length of a text, as a category."""

import numpy as np
from numpy.typing import NDArray

from schemas.classes import class_name
from schemas.events import Prediction

Cell = float | str | bool | None
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

NUMBERS = {float, int}


def unreadable_in(column: Numbers, allowed: tuple[float, float] | None) -> Flags:
    unreadable = np.isnan(column)
    if allowed is not None:
        unreadable |= (column < allowed[0]) | (column > allowed[1])
    return unreadable


def category_of(cell: Cell, forced: bool) -> str | None:
    if isinstance(cell, str):
        return cell
    if cell is None or not forced:
        return None
    return class_name(cell)


def score_of(event: Prediction) -> Cell:
    return sureness(event.score, event.scores)


def sureness(score: Cell, scores: dict[str, float] | None) -> Cell:
    """The score, or of many how far the first is ahead of the second: how sure the model was."""
    if score is not None or not scores:
        return score
    ranked = sorted(scores.values())
    return ranked[-1] - ranked[-2] if len(ranked) > 1 else ranked[0]


def fits(cell: Cell, kind: str, *, forced: bool = False) -> bool:
    """Whether a cell is of this kind; ``forced``: categorical because it was said, so numbers are codes."""
    if kind == "numeric":
        return type(cell) in NUMBERS
    if kind == "boolean":
        return isinstance(cell, bool)
    return isinstance(cell, str) or (kind == "categorical" and category_of(cell, forced) is not None)


def kind_of(cell: Cell) -> str:
    """What a feature is that shows this value first."""
    if isinstance(cell, bool):
        return "boolean"
    return "categorical" if isinstance(cell, str) else "numeric"
