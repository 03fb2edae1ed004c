"""Columns of a Parquet file, left as they lie there until it shows what is to be made of them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np

from detectors.columns import Places, WordCells

_OFFSETS: dict[str, type[np.signedinteger[Any]]] = {"string": np.int32, "large_string": np.int64}


class WholeNumbers(Sequence[int]):
    """None is missing."""

    def __init__(self, values: Places) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        cells: int | list[int] = self.values[place].tolist()
        return cells

    def __iter__(self) -> Iterator[int]:
        return iter(self.values.tolist())


class Texts(Sequence[str | None]):
    """Some may be missing."""

    def __init__(self, column: Any) -> None:
        """``column``: an array of pyarrow."""
        self._column = column

    @cached_property
    def cells(self) -> list[str | None]:
        cells: list[str | None] = self._column.to_pylist()
        return cells

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, place: int) -> str | None: ...
    @overload
    def __getitem__(self, place: slice) -> list[str | None]: ...
    def __getitem__(self, place: int | slice) -> str | list[str | None] | None:
        return self.cells[place]

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.cells)

    def all_within(self, characters: int) -> bool:
        """Whether it is certain that each cell holds one to so many characters: none has more than it has bytes."""
        kind = _OFFSETS.get(str(self._column.type))
        if kind is None or self._column.null_count or not len(self):
            return False
        _, buffer, _ = self._column.buffers()
        ends = np.frombuffer(buffer, dtype=kind)[self._column.offset :][: len(self) + 1]
        sizes = np.diff(ends)
        return bool(sizes.min() > 0 and sizes.max() <= characters)

    def words(self) -> WordCells:
        """Each is looked at once. What is empty is missing."""
        encoded = self._column.dictionary_encode()
        words, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
        if encoded.indices.null_count:
            codes = np.where(np.isnan(codes), -1, codes)
        codes = codes.astype(np.int64)
        if "" in words:
            empty = words.index("")
            codes = np.where(codes == empty, -1, codes - (codes > empty))
            del words[empty]
        return WordCells(codes, words)
