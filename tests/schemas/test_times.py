"""Times and durations as they stand on a wire."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.times import TS_END, duration_ms, to_ms


def test_a_time_is_epoch_milliseconds() -> None:
    assert to_ms(17) == 17
    assert to_ms(datetime(1970, 1, 1, 0, 0, 1, 999, tzinfo=UTC)) == 1_000
    assert to_ms(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0
    assert to_ms(datetime(2200, 1, 1, tzinfo=UTC)) == TS_END
    assert to_ms(datetime(2026, 1, 31, 12, 0, 0, 123_999, tzinfo=UTC)) == 1_769_860_800_123


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("250ms", 250),
        ("60s", 60_000),
        ("5m", 300_000),
        ("1.5h", 5_400_000),
        ("30d", 2_592_000_000),
        ("2 w", 1_209_600_000),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "1d2h", "1e3s", "NaNs", "٣d", "9999999w", "1" * 40 + "s"])
def test_what_is_no_duration_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"30d|3650d"):
        duration_ms(text)
