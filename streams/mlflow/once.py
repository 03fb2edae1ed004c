"""What was told once is not told again and again."""

TOLD_MAX = 2_000  # then the oldest may be told again


class Once:
    def __init__(self, most: int = TOLD_MAX) -> None:
        self._told: dict[tuple[str, ...], None] = {}
        self._most = most

    def first(self, *what: str) -> bool:
        if what in self._told:
            return False
        self._told[what] = None
        if len(self._told) > self._most:
            del self._told[next(iter(self._told))]
        return True
