"""What a detector stands at between its reports, as far as we know it from inside."""

from typing import NamedTuple

from detectors.banks.contract import Bank
from detectors.banks.page_hinkley import PageHinkleyBank
from detectors.banks.shiryaev import ShiryaevBank
from detectors.banks.shiryaev_steps import LIMIT, SIDED


class Standing(NamedTuple):
    """``value`` is what is reported where it exceeds the threshold."""

    value: float
    threshold: float


def of(bank: Bank, column: int) -> Standing | None:
    """``None`` of a detector whose statistic is made when it reports, and of a column that it has not got yet."""
    if column >= bank.columns:
        return None
    if isinstance(bank, ShiryaevBank):
        line, own = bank._lines[column], bank._evidence[column]
        weights = bank._made[3][1 if line[SIDED] else 0]
        return Standing(float(weights @ own[: len(weights)]), float(line[LIMIT]))
    if isinstance(bank, PageHinkleyBank):
        _, _, rise, lowest, fall, highest = bank.sums(column)
        up, down = bank._sides
        value = max(0.0, rise - lowest if up else 0.0, highest - fall if down else 0.0)
        return Standing(value, float(bank.parameters["threshold"]))
    return None
