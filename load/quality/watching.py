"""The detectors that are compared, each as a function from a stream to the rows at which it alarms."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.banks import registry
from detectors.banks.shiryaev import HEAD_SHARE, ShiryaevBank

Stream = NDArray[np.float64]
FirstAlarm = Callable[[Stream], int | None]

RIVALS = ("adwin", "page_hinkley", "ddm", "eddm", "hddm_a", "hddm_w")  # River's own defaults


def ours(rows_per_alarm: float, baseline_rows: int) -> FirstAlarm:
    """On errors: only a rise is an alarm."""

    def first_alarm(errors: Stream) -> int | None:
        bank = ShiryaevBank(1, bits=True, rows=baseline_rows)
        found = bank.allow_all(rows_per_alarm, HEAD_SHARE * rows_per_alarm, sided=True).update(errors[:, None])
        return next((each.row for each in found if each.mean_after > each.mean_before), None)

    return first_alarm


def rival(name: str) -> FirstAlarm:
    """Rises only, where it says which way things went: an improvement is no damage."""

    def first_alarm(errors: Stream) -> int | None:
        for each in registry.build(name, {}, 1).update(errors[:, None]):
            if not each.mean_after <= each.mean_before:
                return each.row
        return None

    return first_alarm


def all_alarms(first_alarm: FirstAlarm, errors: Stream) -> Iterator[int]:
    """The rows of all alarms, each of which makes the detector begin afresh."""
    start = 0
    while (at := first_alarm(errors[start:])) is not None:
        yield start + at
        start += at + 1


def all_of(rows_per_alarm: float, baseline_rows: int) -> Mapping[str, FirstAlarm]:
    return {"driftline": ours(rows_per_alarm, baseline_rows), **{f"river_{name}": rival(name) for name in RIVALS}}
