"""What an engine keeps, in a dictionary: bytes under keys, changed a whole batch at a time."""

from collections.abc import Iterator, Sequence

from detectors.kept import Changes


class Memory:
    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def take(self, changes: Changes) -> None:
        put = {key for key, _ in changes.puts}
        assert len(put) == len(changes.puts), "a key is put twice"
        assert not put & set(changes.deletes), "a key is put and deleted"
        for key in changes.deletes:
            self.records.pop(key, None)
        self.records.update(changes.puts)

    def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [self.records.get(key) for key in keys]

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        found = sorted(key for key in self.records if key.startswith(prefix) and key >= prefix + start)
        return ((key, self.records[key]) for key in found)
