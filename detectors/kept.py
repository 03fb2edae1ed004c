"""What a core remembers outside its memory, as bytes under keys. The shell keeps them; here is only what they mean.

Between two batches the core says what has changed since it was asked last (``Changes``). The shell writes that, whole or not at
all, together with the positions of the input. What the core reads back is always what it wrote last.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class Changes(NamedTuple):
    """To be written as one. No key is in both."""

    puts: list[tuple[bytes, bytes]]
    deletes: list[bytes]


class Kept(Protocol):
    """What has been written. Keys are ordered as bytes. The core's own never begin with a zero byte: those are the shell's."""

    def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values in the order of the keys, ``None`` where there is none."""

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Those whose key begins with the prefix, in order, from ``prefix + start`` on."""

    def last(self, prefix: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """The greatest key with the prefix that is not above ``prefix + end``."""


class Nothing:
    """Nothing was kept: everything stays in memory."""

    def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [None] * len(keys)

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:  # noqa: ARG002
        return iter(())

    def last(self, prefix: bytes, end: bytes) -> tuple[bytes, bytes] | None:  # noqa: ARG002
        return None
