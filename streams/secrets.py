"""Text that must not be shown: it prints as a placeholder wherever it turns up, in logs, errors and tracebacks."""

import hmac
from typing import Never

PLACEHOLDER = "<secret>"


class Secret:
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that logs in with it."""
        return self._text

    def __repr__(self) -> str:
        return PLACEHOLDER

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Never:
        raise TypeError("a secret is not written anywhere")
