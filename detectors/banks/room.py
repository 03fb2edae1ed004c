"""Arrays that get longer, as columns, blocks or buckets are added."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def longer(array: NDArray[Number], more: int, axis: int = 0) -> NDArray[Number]:
    """With so many zeros after it. For what is as small as most of these, ``np.pad`` takes ten times as long."""
    shape: list[Any] = list(array.shape)
    shape[axis] = more
    return np.concatenate((array, np.zeros(shape, dtype=array.dtype)), axis=axis)
