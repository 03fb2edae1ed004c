"""Columns of a Parquet file say what lists of their cells would say."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from detectors.columns import coded
from streams.table_cells import Sorter
from streams.table_columns import Texts, WholeNumbers
from streams.table_files import TYPED_ROWS, Form, table_file

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
    lists = (pa.array(cells, type=kind), padded[1 : len(cells) + 1])
    for column in (*lists, *(column.dictionary_encode() for column in lists), padded.dictionary_encode()[1:-1]):
        texts = Texts(column)
        assert list(texts) == cells
        assert texts[:2] == cells[:2]
        for rows in (slice(1, 3), np.arange(len(cells))[::2]):
            assert Texts(column).taken(rows) == texts.taken(rows) == list(np.array(cells, dtype=object)[rows])
        words, wanted = texts.words(), coded([cell or None for cell in cells])
        assert list(words) == list(wanted)
        assert list(words.words) == list(wanted.words)
        assert words.codes.tolist() == wanted.codes.tolist()
        assert Sorter("here").texts(texts) == [cell or None for cell in cells]


def test_a_word_that_a_dictionary_has_twice_is_one() -> None:
    texts = Texts(pa.DictionaryArray.from_arrays(pa.array([2, None, 1, 0]), ["a", "b", "a"]))
    words = texts.words()
    assert (list(words), list(words.words)) == (["a", None, "b", "a"], ["a", "b"])


def test_texts_that_are_few_are_read_as_codes_wherever_the_file_is_cut(tmp_path: Path) -> None:
    rows = 3 * TYPED_ROWS
    few = [None if number % 7 == 0 else f"{'ab' if number < 10_000 else 'bc'}{number % 5}" for number in range(rows)]
    many = [f"r{number}" if number > 10_000 else "r" for number in range(rows)]  # the later groups have no few words
    file = tmp_path / "june.parquet"
    parquet.write_table(pa.table({"few": few, "grows": many, "id": [f"r{n}" for n in range(rows)]}), file, 10_000)
    with table_file(file, Form.PARQUET) as opened:
        parts = list(opened.parts(opened.names, {}))
    of = {name: [part.columns[name] for part in parts] for name in ("few", "grows", "id")}
    coded_ones = {name for name, columns in of.items() if all(column._is_coded for column in columns)}  # type: ignore[attr-defined]
    assert coded_ones == {"few", "grows"}
    for name, cells in (("few", few), ("grows", many)):
        assert [cell for column in of[name] for cell in column] == cells
        for column in of[name]:
            words, wanted = column.words(), coded(list(column))  # type: ignore[attr-defined]
            assert (words.words, words.codes.tolist()) == (wanted.words, wanted.codes.tolist())


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
