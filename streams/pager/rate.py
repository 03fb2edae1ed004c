"""How many pages a sink gets in a minute; what is above that is told together."""

MINUTE_S = 60.0


class Rate:
    """A bucket for each severity, so that a storm of warnings takes no room from what is critical."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left: dict[str, tuple[float, float]] = {}  # by severity: how many, and when that was so

    def take(self, severity: str, now: float) -> bool:
        """Whether one more may go out."""
        left, since = self._left.get(severity, (float(self._per_minute), now))
        left = min(left + max(now - since, 0.0) * self._per_minute / MINUTE_S, float(self._per_minute))
        allowed = left >= 1.0
        self._left[severity] = (left - 1.0 if allowed else left, now)
        return allowed
