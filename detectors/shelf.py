"""Where a join's entries stand: in memory while they are fresh or in use, as bytes under keys otherwise.

``Room`` is all of one partition number. Its shelves hold entries by id, its lines hold the ids in the order in which
they came. Both say what has changed when they are asked, and forget what can be read again.

What a record asks for must have been fetched before (``Room.fetch``): many ids at once cost a tenth of one at a time.
So a shelf takes an id that is neither in memory nor fetched for one that is not there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from weakref import proxy

import msgspec

from detectors import blocks
from detectors.blocks import Block, Blocks, records
from detectors.kept import Changes, Kept
from detectors.line import Line
from detectors.rows import Stretch
from detectors.sealing import open_sealed, seal
from detectors.unasked import Hashes, Unasked, hashes_of

Label = float | str | bool

HELD_MAX = 40_000  # entries of a partition kept at hand after they were written: labels often follow within seconds
FEW = 8  # ids that are found sooner by a look at all hashes for each
TOGETHER_MIN = 40  # rows that are cheaper to write together: a call costs as much as so many


class Pending(msgspec.Struct, gc=False, array_like=True, tag=0):
    """What the join keeps of a prediction: what a loss needs, no features."""

    time: int
    offset: int
    fingerprint: int
    scope: int  # index of the monitor that saw the features
    prediction: Label
    score: float | None
    scores: dict[str, float] | None
    place: int = -1  # in the line of predictions
    segments: tuple[int, ...] = ()
    revision: int = -1  # of the newest label; -1 before there is one
    scored: bool = False  # its loss went to the detectors
    label: Label | None = None  # that was scored last, with its weight, and the window that counts it
    weight: float = 0.0
    window: int = -1
    losses: tuple[int, ...] = ()  # the row of its loss in each of its monitors, or NO_ROW; nothing where none is known

    @property
    def monitors(self) -> tuple[int, ...]:
        """Their numbers."""
        return (self.scope, *self.segments)


class Early(msgspec.Struct, gc=False, array_like=True, tag=1, frozen=True):
    """An outcome whose prediction has not come yet."""

    place: int  # in the line of early outcomes
    label: Label
    revision: int
    weight: float
    provisional: bool


Entry = Pending | Early

_ENTRIES = msgspec.msgpack.Decoder(Entry)
_PACK = msgspec.msgpack.Encoder().encode


class Room:
    """The shelves and lines of one partition number.

    They do not hold it, so that all goes at once with the engine: nobody looks for circles of objects (``collector``).
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept
        self.pending = 0  # predictions that wait, of all joins
        self._touched: dict[Shelf | Line, None] = {}
        self._shelves: list[Shelf] = []
        self._fresh: dict[bytes, bytes | None] = {}  # other things, not written yet; None where one is deleted

    def shelf(self, number: int) -> "Shelf":
        shelf = Shelf(proxy(self), number)
        self._shelves.append(shelf)
        return shelf

    def line(self, number: int, ends: int = 0, forgotten: int = 0) -> "Line":
        return Line(proxy(self), number, ends, forgotten)

    def fetch(self, wanted: "Mapping[Shelf, Sequence[str]]") -> None:
        """Brings to hand what is kept of these ids, of which most are new."""
        if self.kept is None or not wanted:
            return
        values = self.kept.read([key for shelf, names in wanted.items() for key in shelf.keys(names)])
        if values.count(None) == len(values):
            return
        found = iter(values)
        for shelf, names in wanted.items():
            for name, value in zip(names, found, strict=False):
                if value is not None:
                    shelf.hold(name, _ENTRIES.decode(open_sealed(value)))

    def touch(self, thing: "Shelf | Line") -> None:
        if self.kept is not None:
            self._touched[thing] = None

    def put(self, key: bytes, content: bytes) -> None:
        """Something else to remember, of which there is little."""
        self._fresh[key] = seal(content)

    def delete(self, key: bytes) -> None:
        if self.kept is None:
            self._fresh.pop(key, None)
        else:
            self._fresh[key] = None

    def delete_all(self, prefix: bytes) -> None:
        """What was written under keys that begin so."""
        if self.kept is not None:
            self._fresh.update((key, None) for key, _ in self.kept.scan(prefix))

    def get(self, key: bytes) -> bytes | None:
        """What was put last."""
        record = self._fresh.get(key)
        if record is None and key not in self._fresh and self.kept is not None:
            record = self.kept.read([key])[0]
        return None if record is None else open_sealed(record)

    def changes(self) -> Changes:
        """What changed since this was asked last. From now on it can be read again, so memory lets go of most of it."""
        if self.kept is None:
            return Changes([], [])
        puts = [(key, record) for key, record in self._fresh.items() if record is not None]
        deletes = [key for key, record in self._fresh.items() if record is None]
        self._fresh = {}
        for thing in self._touched:
            thing.write(puts, deletes)
        self._touched = {}
        if sum(shelf.held for shelf in self._shelves) > HELD_MAX:
            for shelf in self._shelves:
                shelf.rotate()
        return Changes(puts, deletes)


class Shelf:
    """Entries of one join by id."""

    def __init__(self, room: Room, number: int) -> None:
        self._room = room
        self._keeps = room.kept is not None
        self._prefix = b"J" + number.to_bytes(4, "big")
        self._held: dict[str, Entry | int] = {}  # of what stands in a block, its place
        self._older: dict[str, Entry | int] = {}  # held since before the last rotation, and not asked for since
        self._changed: dict[str, None] = {}
        self._blocks = Blocks()  # what is at hand of predictions that came as columns
        self._unasked, self._older_unasked = Unasked(), Unasked()  # ids of such that are in neither dictionary yet
        self._unwritten: list[Block] = []

    @property
    def held(self) -> int:
        return len(self._held) + self._unasked.many

    def want(self, names: Iterable[str], wanted: "Wanted") -> None:
        """Adds those to be fetched that are neither at hand nor known to be gone."""
        held, older, changed = self._held, self._older, self._changed
        new = [name for name in names if name not in held and name not in older and name not in changed]
        if new:
            wanted.setdefault(self, []).extend(new)

    def keys(self, names: Collection[str]) -> list[bytes]:
        prefix = self._prefix
        if "".join(names).isascii():  # as nearly always, and then it is twice as quick
            return [prefix + name.encode() for name in names]
        return [prefix + name.encode("utf-8", "surrogatepass") for name in names]

    def fetched(self, name: str) -> Entry | None:
        """One that no record has asked for."""
        self._room.fetch({self: [name]})
        return self.get(name)

    def hold(self, name: str, entry: Entry) -> None:
        """As it was written, unless it is at hand or gone since."""
        if name not in self._changed:
            self._held.setdefault(name, entry)

    def get(self, name: str) -> Entry | None:
        if self._unasked.many or self._older_unasked.many:
            self._hold_unasked()
        entry = self._held.get(name)
        if entry is None and self._older:
            entry = self._older.pop(name, None)
            if entry is not None:
                self._held[name] = entry
        if type(entry) is int:
            entry = self._held[name] = self._made(entry)
        return entry  # type: ignore[return-value]

    def _hold_unasked(self) -> None:
        if self._unasked.many:
            self._held.update(self._unasked.taken())
        if self._older_unasked.many:
            self._older.update(self._older_unasked.taken())

    def new_to(self, names: Sequence[str]) -> int:
        """How many of these from the first on are certain to be neither here nor twice among them: put so many.

        One that went since the last writing goes the longer way: what is written of it must be the newest.
        """
        hashes = hashes_of(names)
        for known in (self._held, self._older, self._changed):
            if _may_be_among(known, names, hashes):
                end = next((number for number, name in enumerate(names) if name in known), len(names))
                names, hashes = names[:end], hashes[:end]
        return self._unasked.enter(hashes)

    def put_rows(self, block: Block, forgotten: int) -> None:
        """Rows that are ``new_to`` this; nothing of a place before ``forgotten`` is asked for again."""
        self._blocks.add(block)
        self._blocks.forget(forgotten)
        self._unasked.put(block.names, block.place)
        if self._keeps:
            self._room.touch(self)
            self._unwritten.append(block)

    def _made(self, place: int) -> "Pending":
        rows, row, scope = self._blocks.find(place)
        return pending(rows, row, scope, place)

    def put(self, name: str, entry: Entry) -> None:
        self._held[name] = entry
        self.change(name)

    def change(self, name: str) -> None:
        """What is held of it has changed."""
        if self._keeps:
            if not self._changed:
                self._room.touch(self)
            self._changed[name] = None

    def drop(self, name: str) -> None:
        self._hold_unasked()
        self._held.pop(name, None)
        self._older.pop(name, None)
        self.change(name)

    def write(self, puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> None:
        self._unasked.forget_hashes()  # whoever asks whether an id is new has fetched what is written
        if sum(block.end - block.row for block in self._unwritten) >= TOGETHER_MIN:
            puts += records(self._prefix, self._unwritten, self._changed)
        elif self._unwritten:
            self._hold_unasked()
            self._changed.update((name, None) for block in self._unwritten for name in block.names)
        self._unwritten = []
        for name, key in zip(self._changed, self.keys(self._changed), strict=True):
            entry = self._held.get(name)
            if entry is None:
                deletes.append(key)
            else:
                puts.append((key, seal(_PACK(self._made(entry) if type(entry) is int else entry))))
        self._changed = {}

    def rotate(self) -> None:
        """Lets go of what was not asked for since the last time; nothing is changed and unwritten now."""
        self._older, self._held, self._older_unasked, self._unasked = self._held, {}, self._unasked, Unasked()
        self._blocks.rotate()


Wanted = dict[Shelf, list[str]]


def _may_be_among(known: Mapping[str, object], names: Sequence[str], hashes: Hashes) -> bool:
    """Whether any of these is known. Where few are, as after a first record, their hashes are looked for."""
    if len(known) <= FEW:
        return any(hash(name) in hashes for name in known)
    return not known.keys().isdisjoint(names)


def pending(rows: Stretch, row: int, scope: int, place: int = -1) -> Pending:
    """What is kept of one of many rows."""
    time, offset = rows.at(row)
    scores, classes = rows.scores, rows.classes
    return Pending(
        time,
        offset,
        int(rows.fingerprints[row]),
        scope,
        rows.predictions[row],
        None if scores is None else scores[row],  # type: ignore[arg-type]
        None if classes is None else classes[row],
        place,
    )


def warm_up() -> None:
    blocks.warm_up()
    room = Room()
    room.shelf(0).new_to([""])
