"""Hours of the day, those of working days and of weekends apart: what traffic follows. In UTC."""

from schemas.times import UNIT_MS

HOUR_MS, DAY_MS = UNIT_MS["h"], UNIT_MS["d"]
SLOTS = 48
_MONDAY = 4  # days after the first of 1970


def slot(time: int) -> int:
    """Which of the slots a time falls in."""
    hour = time // HOUR_MS
    weekend = (hour // 24 - _MONDAY) % 7 >= 5
    return hour % 24 + 24 * weekend
