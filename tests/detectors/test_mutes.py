"""Whom a mute means: by name, or by a pattern with stars."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.mutes import Mutes


def fits(pattern: str, name: str) -> bool:
    return Mutes([(("", pattern), None)]).holds("", name, 0)


@given(pattern=st.text("ab*", max_size=6), name=st.text("ab", max_size=8))
def test_a_star_stands_for_anything(pattern: str, name: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), name) is not None
    assert fits(pattern, name) is (expected or pattern == "")


@pytest.mark.parametrize(
    ("pattern", "name", "held"), [("x=*", "x=*", True), ("x=*", "x=de", True), ("x.", "xy", False)]
)
def test_a_name_may_have_a_star_itself(pattern: str, name: str, held: bool) -> None:
    assert fits(pattern, name) is held


def test_a_pattern_of_nothing_but_stars_takes_no_time() -> None:
    assert not fits("a*" * 2_000 + "b", "a" * 256)
