"""What the samples of a soak are taken for."""

import os
import time
from pathlib import Path

import pytest

from load.site.disk import mib_in
from load.soak import SLACK, Sample, report

HELD = dict.fromkeys(SLACK, 1000.0) | {"superseded_mib": 0.0, "checkpoints_mib": 3_000.0}


def samples(name: str, rises_by: float) -> list[Sample]:
    """Of an hour; one series rises after the warm-up."""
    rising = [max(0.0, at - 1_200) / 2_400 * rises_by for at in range(0, 3_600, 10)]
    return [Sample(10.0 * number, 0.0, HELD | {name: HELD[name] + more}) for number, more in enumerate(rising)]


@pytest.mark.parametrize(
    ("name", "rises_by", "flat"),
    [
        ("rss_mib", 50.0, True),
        ("rss_mib", 90.0, False),
        ("state_mib", 90.0, True),
        ("state_mib", 200.0, False),
        ("superseded_mib", 200.0, False),
        ("checkpoints_mib", 2_000.0, True),  # it holds what was written lately
    ],
)
def test_a_run_is_flat_when_nothing_that_is_judged_rises(name: str, rises_by: float, flat: bool) -> None:
    found = report(samples(name, rises_by))
    assert found["flat"] is flat
    assert found["series"][name]["slope_per_h"] == pytest.approx(1.5 * rises_by, rel=0.01)


def test_files_that_have_stood_for_long_are_told_from_those_that_have_not(tmp_path: Path) -> None:
    for name, age_s in (("new", 0), ("old", 700)):
        (tmp_path / name).write_bytes(bytes(1 << 20))
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    assert (mib_in(tmp_path), mib_in(tmp_path, untouched_s=660)) == (2.0, 1.0)
