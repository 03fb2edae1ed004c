"""What a core remembers outside its memory, as bytes under keys. The shell keeps them; here is only what they mean.

Between two batches the core says what has changed since it was asked last (``Changes``). The shell writes that, whole
or not at all, together with the positions of the input. What the core reads back is always what it wrote last.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class Changes(NamedTuple):
    """To be written as one. No key is in both."""

    puts: list[tuple[bytes, bytes]]
    deletes: list[bytes]


class Kept(Protocol):
    """What has been written. Keys are ordered as bytes. Those that begin with a zero byte are the shell's own."""

    def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values in the order of the keys, ``None`` where there is none."""

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Those whose key begins with the prefix, in order, from ``prefix + start`` on."""
