"""Objects as plain bytes and back."""

import random
from collections import deque
from typing import Any

import msgspec
import numpy as np
import pytest
from river import base, drift, stats

from detectors.banks import plain
from detectors.banks.contract import StateError


class Kept(base.DriftDetector):
    """Made like River's detectors, with everything in it that a state may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = None
        self.truth = True
        self.whole = -(2**80)
        self.real = -0.0
        self.text = "é"
        self.raw = b"\x00\xff"
        self.pair = (1, (2.5, None))
        self.rows = [1, [2, [3]]]
        self.named = {"a": [1], 2: {"b": (3,)}, (4, 5): "six"}
        self.some = {3, 1, 2}
        self.window = deque([1.0, float("inf")], maxlen=3)
        self.draw = random.Random(5)
        self.scalar = np.float64(0.1)
        self.small = np.int8(-3)
        self.matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
        self.mean = stats.Mean()
        self.again = self.rows
        self.same_matrix = self.matrix
        self.itself = self
        self.test = self.update

    def update(self, x: float) -> None:
        self.mean.update(x)


class Unwritable(base.DriftDetector):
    def __init__(self) -> None:
        super().__init__()
        self.hook = print

    def update(self, x: float) -> None:
        pass


def there_and_back(subject: Any) -> Any:
    return plain.read(plain.write(subject), type(subject))


def test_everything_comes_back_with_its_type() -> None:
    one = Kept()
    other = there_and_back(one)
    for name in (
        "nothing",
        "truth",
        "whole",
        "text",
        "raw",
        "pair",
        "rows",
        "named",
        "some",
        "window",
        "scalar",
        "small",
    ):
        assert repr(getattr(other, name)) == repr(getattr(one, name))
        assert type(getattr(other, name)) is type(getattr(one, name))
    assert str(other.real) == "-0.0"
    assert other.window.maxlen == 3
    assert other.matrix.dtype == np.float32
    assert other.matrix.tolist() == one.matrix.tolist()
    assert other.draw.random() == one.draw.random()
    assert plain.write(other) == plain.write(one)


def test_what_was_shared_stays_shared() -> None:
    other = there_and_back(Kept())
    assert other.again is other.rows
    assert other.same_matrix is other.matrix
    assert other.itself is other


def test_a_method_of_its_own_is_its_own_again() -> None:
    one = Kept()
    other = there_and_back(one)
    other.test(3.0)
    assert (other.mean.get(), one.mean.get()) == (3.0, 0.0)


def test_page_hinkley_keeps_the_test_of_its_mode() -> None:
    other = there_and_back(drift.PageHinkley(mode="down"))
    assert other._test_drift == other._test_decrease


def test_what_cannot_be_written_is_named_with_the_way_to_it() -> None:
    detector = drift.ADWIN()
    detector.extra = {"deep": [0, lambda: 1]}
    with pytest.raises(plain.UnwritableError, match=r"ADWIN.extra\['deep'\]\[1\]: a builtins.function"):
        plain.write(detector)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([object()]), "a numpy object"),
        (stats.Mean().update, "a method of another object"),
        (object(), "builtins.object"),
        (Kept, "builtins.type"),
        (iter([]), "list_iterator"),
    ],
)
def test_refuses_what_has_no_plain_form(value: object, said: str) -> None:
    detector = drift.NoDrift()
    detector.extra = value
    with pytest.raises(plain.UnwritableError, match=said):
        plain.write(detector)


def test_refuses_objects_without_end() -> None:
    detector = drift.NoDrift()
    nested: list[Any] = []
    for _ in range(100):
        nested = [nested]
    detector.extra = nested
    with pytest.raises(plain.UnwritableError, match="more than 32 objects inside one another"):
        plain.write(detector)


FORGED: list[Any] = [
    7,
    [],
    ["exec", "1"],
    ["object", "os.system", []],
    ["object", "river.nowhere.Thing", []],
    ["object", "builtins.object", []],
    ["object", "river.stats.mean.copy.deepcopy", []],
    ["object", "river.stats.mean.np", []],
    ["kept", "subprocess.Popen", ["tuple", [["list", ["true"]]]], None],
    ["object", "river.drift.no_drift.NoDrift", [["x", ["method", "nothing"]]]],
    ["object", "river.drift.no_drift.NoDrift", [["x", ["again", 9]]]],
    ["object", "river.drift.no_drift.NoDrift", [["x", ["array", "|O", [1], b"12345678"]]]],
    ["object", "river.drift.no_drift.NoDrift", [["x", ["array", "<f8", [3], b"12345678"]]]],
    ["object", "river.drift.no_drift.NoDrift", [["x", ["integer", "1e9"]]]],
    ["object", "river.drift.no_drift.NoDrift", [["x", ["random", ["tuple", [3]]]]]],
    ["object", "river.stats.mean.Mean", []],
]


@pytest.mark.parametrize("forged", FORGED)
def test_bytes_that_nobody_wrote_make_nothing_but_an_error(forged: Any) -> None:
    with pytest.raises(StateError):
        plain.read(msgspec.msgpack.encode(forged), drift.NoDrift)


def test_bytes_that_are_no_msgpack_are_an_error() -> None:
    with pytest.raises(StateError, match="unreadable state of NoDrift"):
        plain.read(b"\xc1", drift.NoDrift)
