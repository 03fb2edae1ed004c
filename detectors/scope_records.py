"""The states of one model's monitors, each a record of its own: of hundreds, a batch touches two or three."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from detectors.banks.contract import StateError
from detectors.late import Late, ScopeState
from detectors.shelf import Room


class Records:
    def __init__(self, room: Room, model: int) -> None:
        self._room = room
        self._prefix = b"S" + model.to_bytes(4, "big")
        self.gone: Sequence[int] = []  # with the next that are put; until then they may be read again

    def put(self, scopes: Mapping[int, Late]) -> None:
        """Those that have changed."""
        for number, scope in scopes.items():
            if scope.changed or scope.alarms:  # what people and other monitors say changes alarms
                self._room.put(self.key(number), _PACK(scope.state()))
                scope.changed = False
        for number in self.gone:
            self.delete(number)
        self.gone = []

    def read(self, numbers: Iterable[int]) -> Iterator[tuple[int, ScopeState]]:
        for number in numbers:
            content = self._room.get(self.key(number))
            if content is None:
                raise StateError(f"monitor {number} of this state is missing: record {self.key(number).hex()}")
            yield number, _STATES.decode(content)

    def delete(self, number: int) -> None:
        self._room.delete(self.key(number))

    def key(self, number: int) -> bytes:
        return self._prefix + number.to_bytes(4, "big")


_PACK, _STATES = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(ScopeState)
