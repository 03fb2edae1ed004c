"""A disk for tests that ask what is written and not how: a dictionary, and the writes one after another."""

from collections.abc import Iterator, Sequence

from streams.durable import Belongs, new_state

WHOSE = Belongs("driftline", 3, {"predictions": "driftline.predictions", "alerts": "driftline.alerts"})


class MemoryDisk:
    def __init__(self, rows: dict[bytes, bytes] | None = None) -> None:
        self.rows = dict(rows or {})
        self.before: list[dict[bytes, bytes]] = []  # each write
        self.full = False

    def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [self.rows.get(key) for key in keys]

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.rows):
            if key >= prefix + start and key.startswith(prefix):
                yield key, self.rows[key]

    def last(self, prefix: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        fitting = [key for key in self.rows if key <= prefix + end and key.startswith(prefix)]
        return (max(fitting), self.rows[max(fitting)]) if fitting else None

    def write(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes]) -> None:
        if self.full:
            raise OSError("no space left")
        keys = [*(key for key, _ in puts), *deletes]
        assert len(keys) == len(set(keys)), "a key twice"
        self.before.append(dict(self.rows))
        self.rows.update(puts)
        for key in deletes:
            self.rows.pop(key, None)


def empty() -> MemoryDisk:
    """A state that has seen nothing."""
    disk = MemoryDisk()
    new_state(disk, WHOSE)
    return disk
