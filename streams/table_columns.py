"""Columns of a Parquet file, left as they lie there until it shows what is to be made of them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np

from detectors.columns import Places, Taken, WordCells, met, taken

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
        cells: list[str | None] = self._texts.to_numpy(zero_copy_only=False).tolist()  # quicker than its own way
        return cells

    @property
    def _is_coded(self) -> bool:
        return hasattr(self._column, "dictionary")

    @property
    def _texts(self) -> Any:
        return self._column.dictionary_decode() if self._is_coded else self._column

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

    def taken(self, rows: Taken) -> list[str | None]:
        """Of the others no texts are made."""
        if isinstance(rows, slice) or "cells" in vars(self):
            return taken(self.cells, rows)  # type: ignore[return-value]
        return Texts(self._texts.take(rows)).cells

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
        words, codes = _met(self._column) if self._is_coded else _whole(self._column.dictionary_encode())
        if len(set(words)) < len(words):  # whoever wrote it named one twice
            words, codes = _whole(self._texts.dictionary_encode())
        if "" in words:
            empty = words.index("")
            codes = np.where(codes == empty, -1, codes - (codes > empty))
            del words[empty]
        return WordCells(codes, words)


def _whole(encoded: Any) -> tuple[list[str], Places]:
    """All words, and which of them each row has; -1 where it has none."""
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    if encoded.indices.null_count:
        codes = np.where(np.isnan(codes), -1, codes)
    return encoded.dictionary.to_pylist(), codes.astype(np.int64)


def _met(encoded: Any) -> tuple[list[str], Places]:
    """The same of the words that rows have, in the order in which they are met."""
    words, codes = encoded.dictionary, encoded.indices
    codes = (codes.fill_null(-1) if codes.null_count else codes).to_numpy()
    order, _ = met(codes, len(words))
    places = np.full(len(words) + 1, -1)
    places[order] = np.arange(len(order))
    if len(words) > len(codes):
        return words.take(order).to_pylist(), places[codes]
    return words.to_numpy(zero_copy_only=False)[order].tolist(), places[codes]  # quicker, of few
