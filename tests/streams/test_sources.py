import gzip
import io
from pathlib import Path

import pytest

from schemas.records import Record
from schemas.topics import VALUE_BYTES_MAX
from streams.errors import ContentError, UsageError
from streams.sources import JsonLines, open_files
from streams.time_order import in_order
from tests.streams.events import START, file_of, prediction


def lines_of(content: bytes, topic: str = "a.jsonl") -> JsonLines:
    return JsonLines(topic, io.BufferedReader(io.BytesIO(content)))


def read(paths: list[Path]) -> list[Record]:
    with open_files([str(path) for path in paths]) as files:
        return list(in_order(files))


def test_a_line_is_a_record_of_a_topic_with_the_files_name(tmp_path: Path) -> None:
    file = file_of(tmp_path / "june.jsonl", [prediction(0), prediction(1)])
    assert read([file]) == [
        Record("june.jsonl", 0, 0, START, None, prediction(0)),
        Record("june.jsonl", 0, 1, START + 1000, None, prediction(1)),
    ]


def test_time_never_goes_back_and_stands_still_where_a_line_has_none() -> None:
    values = [
        b'{"ts": 5000}',
        b'{"ts": 3000}',
        b"not json",
        b'{"ts": "1970-01-01T00:00:07Z"}',
        b'{"ts": "1970-01-01T00:00:09"}',
        b'{"ts": 99999999999999999}',
        b"[" * 100_000,
        b'{"ts": "9999-99-99"}',
        b"\xff\xfe",
        b'{"no": 1}',
        b'{"ts": 8000}',
    ]
    times = [record.timestamp for record in lines_of(b"\n".join(values))]
    assert times == [5000, 5000, 5000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 8000]


def test_blank_lines_are_counted_and_keep_their_number() -> None:
    lines = lines_of(b'{"a":1}\n\n  \r\n{"a":2}\r\n\n')
    assert [(record.offset, record.value) for record in lines] == [(0, b'{"a":1}'), (3, b'{"a":2}')]
    assert lines.blank_lines == 3


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    assert [record.value for record in lines_of(b'\xef\xbb\xbf{"a":1}\n')] == [b'{"a":1}']


def test_an_overlong_line_is_cut_and_harms_nobody() -> None:
    longest = b"x" * VALUE_BYTES_MAX
    values = [record.value for record in lines_of(b"\n".join([longest, longest + b"y" * 5_000_000, b"end"]))]
    assert [value == longest for value in values if value] == [True, False, False]
    assert [len(value or b"") > VALUE_BYTES_MAX for value in values] == [False, True, False]


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(gzip.compress(prediction(0) + b"\n") + gzip.compress(prediction(1)))
    assert [record.value for record in read([file])] == [prediction(0), prediction(1)]


@pytest.mark.parametrize("harm", [lambda packed: packed[:-9], lambda packed: packed[:-8] + b"damaged!"])
def test_of_a_damaged_gzip_file_what_can_be_read_is(harm) -> None:  # type: ignore[no-untyped-def]
    values = [prediction(number) for number in range(5_000)]
    lines = lines_of(harm(gzip.compress(b"\n".join(values) + b"\n")), "a.jsonl.gz")
    kept: list[bytes | None] = []
    with pytest.raises(ContentError, match=r"a\.jsonl\.gz: cannot be read on after line \d+: "):
        _keep(lines, kept)
    assert kept == values[: len(kept)]
    assert len(kept) > 4_000


def test_several_files_are_merged_by_time_each_in_its_own_order(tmp_path: Path) -> None:
    one = file_of(tmp_path / "one", [b'{"ts":1}', b'{"ts":9}', b'{"ts":2}'])
    two = file_of(tmp_path / "two", [b'{"ts":1}', b'{"ts":5}', b'{"ts":9}'])
    merged = [(record.topic, record.offset) for record in read([one, two])]
    assert merged == [("one", 0), ("two", 0), ("two", 1), ("one", 1), ("one", 2), ("two", 2)]


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    paths = [str(file_of(tmp_path / "a", [])), str(file_of(tmp_path / "x" / "a", []))]
    with open_files(paths) as files:
        assert [file.topic for file in files] == paths


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["none.jsonl"], "none.jsonl: cannot be read: No such file or directory"),
        (["/"], "/: cannot be read: Is a directory"),
        (["a", "a"], "a, a: a source is named twice"),
    ],
)
def test_what_cannot_be_opened_is_said_before_anything_is_read(sources: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught, open_files(sources):
        pass
    assert str(caught.value) == said


def test_bytes_read_end_at_the_size(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", [prediction(number) for number in range(2_000)])
    with open_files([str(path)]) as (file,):
        assert (len(list(file)), file.bytes_read) == (2_000, path.stat().st_size)


def _keep(lines: JsonLines, kept: list[bytes | None]) -> None:
    for record in lines:
        kept.append(record.value)  # noqa: PERF401 - an extended list would lose what came before an error
