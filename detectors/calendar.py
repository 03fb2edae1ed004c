"""Hours of the day, those of working days and of weekends apart: what traffic follows. In UTC."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SLOTS = 48
_MONDAY = 4  # days after the first of 1970


def slot(time: int) -> int:
    """Which of the slots a time falls in."""
    hour = time // HOUR_MS
    weekend = (hour // 24 - _MONDAY) % 7 >= 5
    return hour % 24 + 24 * weekend
