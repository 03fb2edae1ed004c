"""Columns of a Parquet file say what lists of their cells would say."""

import pyarrow as pa
import pytest

from detectors.columns import coded
from streams.table_cells import Sorter
from streams.table_columns import Texts, WholeNumbers

COLUMNS = [
    ["a", "b", "a", "c"],
    ["", "a", None, "", "b", None, "a"],
    ["a", "", "b"],
    [None, None],
    ["ä", "漢字", "a" * 300],
    [],
]


@pytest.mark.parametrize("cells", COLUMNS)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_words_are_those_of_the_cells(cells: list[str | None], kind: pa.DataType) -> None:
    padded = pa.array(["x", *cells, "y"], type=kind)
    for column in (pa.array(cells, type=kind), padded[1 : len(cells) + 1]):
        texts = Texts(column)
        assert list(texts) == cells
        assert texts[:2] == cells[:2]
        words, wanted = texts.words(), coded([cell or None for cell in cells])
        assert list(words) == list(wanted)
        assert list(words.words) == list(wanted.words)
        assert words.codes.tolist() == wanted.codes.tolist()
        assert Sorter("here").texts(texts) == [cell or None for cell in cells]


def test_cells_are_within_a_length_only_where_that_is_certain() -> None:
    assert Texts(pa.array(["a", "abc"])).all_within(3)
    assert Texts(pa.array(["long one", "a", "abc"])[1:]).all_within(3)
    assert not Texts(pa.array(["a", "abcd"])).all_within(3)
    assert not Texts(pa.array(["a", ""])).all_within(3)
    assert not Texts(pa.array(["a", None])).all_within(3)
    assert not Texts(pa.array([], type=pa.string())).all_within(3)
    assert not Texts(pa.array(["漢字"])).all_within(3)  # two characters, and six bytes


def test_whole_numbers_are_whole_numbers() -> None:
    numbers = WholeNumbers(pa.array([3, 5, 8]).to_numpy())
    assert [list(numbers), numbers[1], numbers[1:], len(numbers)] == [[3, 5, 8], 5, [5, 8], 3]
    assert set(map(type, numbers)) == {int}
