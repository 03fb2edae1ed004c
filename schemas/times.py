"""Times and durations as they stand on a wire: epoch milliseconds, and words such as ``30d``."""

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

TS_MIN = 0  # 1970: nothing that this project watches is older
# 2200-01-01T00:00:00Z, excluded: microseconds taken for milliseconds land beyond it.
TS_END = 7_258_118_400_000

UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
DURATION_MAX_MS = 3_650 * UNIT_MS["d"]  # ten years: a longer wait is a typing error

_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,3})?)\s?(ms|s|m|h|d|w)", re.ASCII)


def to_ms(ts: datetime | int) -> int:
    """Epoch milliseconds of an event's time; parts of a millisecond are dropped. A datetime must have a zone."""
    return ts if isinstance(ts, int) else (ts - EPOCH) // MILLISECOND


def duration_ms(text: str) -> int:
    """Reads ``"250ms"``, ``"60s"``, ``"5m"``, ``"1.5h"``, ``"30d"`` or ``"2w"`` as milliseconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number and one of ms, s, m, h, d, w, such as 30d")
    milliseconds = round(float(match[1]) * UNIT_MS[match[2]])
    if milliseconds > DURATION_MAX_MS:
        raise ValueError(f"{text!r} is too long a duration: at most 3650d")
    return milliseconds
