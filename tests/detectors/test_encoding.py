"""Predictions to columns of numbers, which grow as features are met."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.config import FeatureConfig, ModelConfig
from detectors.encoding import Encoder, EncoderState, Part

WARM = 4


def encoder(features: dict[str, FeatureConfig] | None = None, **more: Any) -> Encoder:
    return Encoder(ModelConfig(baseline_rows=WARM, features=features or {}, **more))


def encode(encoding: Encoder, rows: Sequence[dict[str, Any]], prediction: Any = 1.0) -> list[Part]:
    return list(encoding.parts([prediction] * len(rows), [None] * len(rows), rows))


def shares(encoding: Encoder) -> list[str]:
    return [column.signal for column in encoding.shares]


def values(encoding: Encoder) -> list[str]:
    return [column.signal for column in encoding.values]


def same(one: np.ndarray, other: Sequence[Sequence[float]]) -> bool:
    return np.array_equal(one, np.array(other, dtype=np.float64), equal_nan=True)


def test_a_number_is_a_value_and_its_absence_a_share() -> None:
    encoding = encoder()
    (part,) = encode(encoding, [{"age": 3.0}, {"age": None}, {"age": 5.0}])
    assert (values(encoding), shares(encoding)) == (["prediction", "feature:age"], ["missing:age"])
    assert same(part.values, [[1, 3], [1, math.nan], [1, 5]])
    assert same(part.shares, [[0], [1], [0]])


@pytest.mark.parametrize("odd", ["7", True, None])
def test_what_is_no_number_in_a_column_of_numbers_is_unreadable(odd: Any) -> None:
    encoding = encoder()
    (part,) = encode(encoding, [{"age": 3.0}, {"age": odd}])
    assert math.isnan(part.values[1, 1])
    assert part.shares.ravel().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("kind", "cell", "wanted"),
    [
        ("auto", True, "feature:x=true"),
        ("boolean", 1.0, "feature:x=true"),
        ("auto", 1.0, "feature:x"),
        ("numeric", "12", "feature:x"),
        ("text-length", "12", "feature:x"),
    ],
)
def test_the_configuration_says_what_a_feature_is_or_else_its_first_value(kind: Any, cell: Any, wanted: str) -> None:
    encoding = encoder({"x": FeatureConfig(kind=kind)})
    encode(encoding, [{"x": cell}])
    assert wanted in (*values(encoding), *shares(encoding))


def test_nothing_but_nulls_is_missing_and_of_no_kind_yet() -> None:
    encoding = encoder()
    first = encode(encoding, [{"x": None}, {"x": None}])
    assert [part.shares.ravel().tolist() for part in first] == [[1, 1]]
    encode(encoding, [{"x": None}, {"x": 2.0}])
    assert values(encoding) == ["prediction", "feature:x"]


def test_a_category_gets_a_column_once_enough_have_been_seen() -> None:
    encoding = encoder()
    learning, after = encode(encoding, [{"p": name} for name in ("a", "b", "a", "a", "b", "z")])
    assert shares(encoding) == ["missing:p", "feature:p=a", "feature:p=b", "feature:p=*"]
    assert [column.given_share for column in encoding.shares] == [None, 0.75, 0.25, 0.0]
    assert same(learning.shares, [[0]] * 4)
    assert same(after.shares, [[0, 0, 1, 0], [0, 0, 0, 1]])


def test_a_missing_category_is_of_no_category() -> None:
    encoding = encoder()
    encode(encoding, [{"p": "a"}] * WARM)
    (part,) = encode(encoding, [{"p": None}, {"p": 3.0}, {"p": "a"}])
    assert same(part.shares, [[1, math.nan, math.nan], [1, math.nan, math.nan], [0, 1, 0]])


def test_only_frequent_categories_are_watched_one_by_one_and_ties_go_by_name() -> None:
    encoding = encoder(categories_max=2)
    encode(encoding, [{"p": name} for name in ("d", "c", "b", "a")])
    assert shares(encoding)[1:] == ["feature:p=a", "feature:p=b", "feature:p=*"]
    assert [column.given_share for column in encoding.shares[1:]] == [0.25, 0.25, 0.5]


def test_codes_are_categories_where_the_configuration_says_so() -> None:
    encoding = encoder({"code": FeatureConfig(kind="categorical")})
    encode(encoding, [{"code": 1.0}, {"code": 2.0}, {"code": 1.0}, {"code": True}])
    assert shares(encoding)[1:] == ["feature:code=1", "feature:code=2", "feature:code=true", "feature:code=*"]


def test_names_that_would_be_the_same_are_told_apart() -> None:
    encoding = encoder()
    encode(encoding, [{"p": "*", "p=*": True, "p=x": 1.0, "q": True, "q=true": 2.0}] * WARM)
    encode(encoding, [{"p": "*"}])
    names = [*shares(encoding), *values(encoding)]
    assert len(set(names)) == len(names)


def test_features_beyond_the_limit_are_left_out_and_said_to_be() -> None:
    encoding = encoder(features_max=2)
    assert not encoding.full
    encode(encoding, [{"a": 1.0, "b": 1.0, "c": 1.0}, {"d": 1.0}])
    assert values(encoding) == ["prediction", "feature:a", "feature:b"]
    assert encoding.full


def test_a_thousand_categories_are_counted_and_no_more() -> None:
    encoding = Encoder(ModelConfig(baseline_rows=5_000))
    encode(encoding, [{"p": f"n{number}"} for number in range(4_000)])
    assert len(encoding.state().features[2].counted) == 1_000


def test_an_ignored_feature_has_no_column() -> None:
    encoding = encoder({"x": FeatureConfig(kind="ignore")})
    encode(encoding, [{"x": 1.0}, {"x": None}, {}])
    assert (values(encoding), shares(encoding)) == (["prediction"], [])


def test_a_feature_named_like_our_own_is_not_taken_for_it() -> None:
    encoding = encoder()
    (part,) = encode(encoding, [{"\0score": 5.0, "\0prediction": 6.0}])
    assert same(part.values, [[1, 5, 6]])


CELLS = st.one_of(st.none(), st.booleans(), st.floats(-9, 9), st.sampled_from(["a", "b", "c", ""]))
ROWS = st.lists(st.dictionaries(st.sampled_from("vwxyz"), CELLS, max_size=4), min_size=1, max_size=40)


@settings(max_examples=150)
@given(ROWS, st.lists(st.integers(1, 7), min_size=1, max_size=5), st.booleans())
def test_parts_are_rectangles_that_cover_all_rows_and_no_cut_changes_them(
    rows: list[dict[str, Any]], sizes: list[int], restoring: bool
) -> None:
    whole, cut = encoder(features_max=4, categories_max=2), encoder(features_max=4, categories_max=2)
    expected = _flat(whole, [rows])
    batches, start = [], 0
    while start < len(rows):
        size = sizes[start % len(sizes)]
        batches.append(rows[start : start + size])
        start += size
    assert _flat(cut, batches, restoring) == expected
    assert len(expected) == len(rows)


def _flat(encoding: Encoder, batches: list[list[dict[str, Any]]], restoring: bool = False) -> list[tuple[str, str]]:
    """Each row as the names and cells of its columns, as text: nan equals nan there."""
    flat = []
    for batch in batches:
        for part in encoding.parts([1.0] * len(batch), [0.5] * len(batch), batch):
            assert part.values.shape == (len(part.shares), len(encoding.values))
            assert part.shares.shape == (len(part.values), len(encoding.shares))
            flat += [
                (str([*zip(values(encoding), row, strict=True)]), str([*zip(shares(encoding), share, strict=True)]))
                for row, share in zip(part.values.tolist(), part.shares.tolist(), strict=True)
            ]
        if restoring:
            encoding = Encoder.of(encoding._config, encoding.state())
    return flat


def test_what_was_configured_and_learned_comes_back_and_names_that_are_always_the_same_are_not_written() -> None:
    encoding = encoder({"age": FeatureConfig(range=(0.0, 9.0)), "plan": FeatureConfig(kind="categorical")})
    encode(encoding, [{"age": 1.0, "plan": "gold", "new": True}] * WARM)
    state = msgspec.msgpack.encode(encoding.state())
    again = Encoder.of(encoding._config, msgspec.msgpack.decode(state, type=EncoderState))
    assert msgspec.msgpack.encode(again.state()) == state
    assert len(state) < 500  # either name alone would take half of that
    rows = [{"age": 11.0, "plan": "gold", "new": False}, {"age": 2.0, "plan": "tin", "more": 1}]
    for one, other in zip(encode(again, rows, "spam"), encode(encoding, rows, "spam"), strict=True):
        assert same(one.values, other.values)
        assert same(one.shares, other.shares)
    assert (values(again), shares(again)) == (values(encoding), shares(encoding))
