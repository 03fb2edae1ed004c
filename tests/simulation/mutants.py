"""The product with one mistake in it each: what a simulation must notice, or it proves nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from detectors.audit import AuditLog
from detectors.engine import Engine
from detectors.join import Fate, Join
from detectors.kept import Changes
from detectors.line import Line
from detectors.shelf import Shelf
from detectors.signing import Guard, Keys
from detectors.windows import Book
from streams import durable
from streams.durable import OUTBOX, POSITIONS, DurableState
from streams.merge import Merge
from streams.partition import OwnedPartition
from streams.sender import Sender
from streams.state import Tenure
from tests.simulation.disk import OpenDisk

Mutant = Callable[[], AbstractContextManager[Any]]


@contextmanager
def _written_after_sending() -> Iterator[None]:
    """A commit that sends first and writes then."""
    commit, sent, late = DurableState.commit, DurableState.sent, {}

    def commit_later(self: DurableState) -> Sequence[Any]:
        disk, writes = self._disk, list[Any]()
        self._disk = _Holding(disk, writes)
        try:
            return commit(self)
        finally:
            self._disk = disk
            late[id(self)] = writes

    def sent_then_written(self: DurableState, ends: Mapping[str, int]) -> None:
        for write in late.pop(id(self), []):
            self._disk.write(*write)
        sent(self, ends)

    with patch.object(DurableState, "commit", commit_later), patch.object(DurableState, "sent", sent_then_written):
        yield


class _Holding:
    def __init__(self, disk: Any, writes: list[Any]) -> None:
        self._disk, self._writes = disk, writes

    def write(self, *write: Any) -> None:
        self._writes.append(write)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)


def _nothing_is_read_back() -> Any:
    return patch.object(DurableState, "found", lambda _self, _topic, _places: None)


def _outbox_is_not_sent_at_opening() -> Any:
    return patch.object(durable, "_outbox", lambda _disk: iter(()))


@contextmanager
def _rewritten(change: Callable[[OpenDisk, list[Any], list[Any]], tuple[list[Any], list[Any]]]) -> Iterator[None]:
    write = OpenDisk.write

    def changed(self: OpenDisk, puts: Sequence[Any], deletes: Sequence[Any]) -> None:
        write(self, *change(self, list(puts), list(deletes)))

    with patch.object(OpenDisk, "write", changed):
        yield


def _outbox_is_not_written() -> Any:
    return _rewritten(lambda _disk, puts, deletes: ([put for put in puts if not put[0].startswith(OUTBOX)], deletes))


def _positions_come_a_write_late() -> Any:
    late: dict[int, Any] = {}

    def change(disk: OpenDisk, puts: list[Any], deletes: list[Any]) -> tuple[list[Any], list[Any]]:
        now = [put for put in puts if put[0] == POSITIONS]
        before, late[id(disk)] = late.get(id(disk), []), now
        return [put for put in puts if put[0] != POSITIONS] + before, deletes

    return _rewritten(change)


def _positions_run_ahead() -> Any:
    """The positions of a batch count although what it changed was not written."""

    def change(_disk: OpenDisk, puts: list[Any], deletes: list[Any]) -> tuple[list[Any], list[Any]]:
        return [put for put in puts if put[0][:1] != b"J"], deletes

    return _rewritten(change)


@contextmanager
def _torn_writes() -> Iterator[None]:
    """A batch is two writes."""
    write = OpenDisk.write

    def torn(self: OpenDisk, puts: Sequence[Any], deletes: Sequence[Any]) -> None:
        middle = len(puts) // 2
        write(self, puts[:middle], [])
        write(self, puts[middle:], deletes)

    with patch.object(OpenDisk, "write", torn):
        yield


def _marks_pass_what_others_wrote() -> Any:
    def sent(self: DurableState, ends: Mapping[str, int]) -> None:
        self._ends.update(ends)
        self._acknowledged, self._sending = self._sending, []

    return patch.object(DurableState, "sent", sent)


def _marks_move_before_the_acknowledgement() -> Any:
    """As if all that is being sent were there."""
    commit = DurableState.commit

    def early(self: DurableState) -> Sequence[Any]:
        ends = dict(self._ends)
        for effect in self._pending:
            topic = self._names[effect.stream]
            self._ends[topic] = self._ends.get(topic, 0) + 1
        effects = commit(self)
        self._ends = ends
        return effects

    return patch.object(DurableState, "commit", early)


def _outbox_is_cleared_too_early() -> Any:
    """What is being sent counts as sent when the next commit is written, acknowledged or not."""
    commit = OwnedPartition.commit

    async def hasty(self: OwnedPartition) -> Any:
        if self._sending is not None and not self._sending.done():
            self._sending = None
            self.state.sent({})
        return await commit(self)

    return patch.object(OwnedPartition, "commit", hasty)


def _sent_in_another_order() -> Any:
    send = Sender.send

    async def sorted_first(self: Sender, partition: int, effects: Sequence[Any]) -> Any:
        return await send(self, partition, sorted(effects, key=lambda effect: effect.id))

    return patch.object(Sender, "send", sorted_first)


def _states_stay_open_while_others_own_them() -> Any:
    return patch.object(Tenure, "begins", lambda _self, _generation: True)


def _shares_that_were_never_opened_count_as_ours() -> Any:
    def ends(self: Tenure, generation: int) -> None:
        self._released_in = generation

    return patch.object(Tenure, "ends", ends)


def _changes_lack_deletes() -> Any:
    changes = Engine.changes
    return patch.object(Engine, "changes", lambda self: Changes(changes(self).puts, []))


def _marks_of_a_line_are_not_kept() -> Any:
    write = Line.write

    def unmarked(self: Line, puts: list[Any], deletes: list[Any]) -> None:
        self._marked = {}
        write(self, puts, deletes)

    return patch.object(Line, "write", unmarked)


def _entries_that_changed_are_not_kept() -> Any:
    """Only new ones are written."""
    put = Shelf.put

    def only_new(self: Shelf, name: str, entry: Any) -> None:
        known = self.get(name) is not None and name not in self._changed
        put(self, name, entry)
        if known:
            self._changed.pop(name, None)  # not there where nothing is kept

    return patch.object(Shelf, "put", only_new)


def _empty_topics_are_passed_without_evidence() -> Any:
    answer = Merge.answer

    def believed(self: Merge, question: Any, end_offsets: Mapping[str, int]) -> tuple[str, ...]:
        return answer(self, question, dict.fromkeys(end_offsets, 0))

    return patch.object(Merge, "answer", believed)


# Mistakes in what is decided: the undisturbed run makes them too, and only the oracle can tell.


def _horizon_ends_a_moment_early() -> Any:
    expire = Join.expire
    return patch.object(Join, "expire", lambda self, now: expire(self, now + 1))


def _horizon_is_not_looked_at_after_an_eviction() -> Any:
    predict = Join.predict

    def lazy(self: Join, key: str, entry: Any) -> Any:
        due = self.due
        told = predict(self, key, entry)
        if due > self.due > entry.time:
            self.due = due
        return told

    return patch.object(Join, "predict", lazy)


def _late_labels_are_duplicates() -> Any:
    label = Join.label

    def lenient(self: Join, key: str, told: Any) -> Any:
        fate, entry = label(self, key, told)
        return (Fate.DUPLICATE if fate is Fate.LATE else fate), entry

    return patch.object(Join, "label", lenient)


def _corrections_amend_the_present_window() -> Any:
    corrected = Book.corrected

    def present(self: Book, _counted_in: int, current: int, before: Any, after: Any) -> None:
        corrected(self, current, current, before, after)

    return patch.object(Book, "corrected", present)


def _corrections_amend_nothing() -> Any:
    return patch.object(Book, "corrected", lambda _self, *_told: None)


def _signatures_are_believed() -> Any:
    return patch.object(Keys, "signer", lambda _self, given, _record, _now: given.partition(b":")[0].decode())


def _captured_events_act_again() -> Any:
    return patch.object(Guard, "_remember", lambda _self, _ts, _mark: None)


@contextmanager
def _captured_events_act_again_after_a_restart() -> Iterator[None]:
    begin = Guard.__init__

    def forgetful(self: Guard, *words: Any) -> None:
        begin(self, *words)
        self._marks = set()

    with patch.object(Guard, "__init__", forgetful):
        yield


def _the_audit_log_is_not_kept() -> Any:
    return patch.object(AuditLog, "changes", lambda _self: iter(()))


MUTANTS: Mapping[str, Mutant] = {
    mutant.__name__.strip("_"): mutant
    for mutant in (
        _written_after_sending,
        _nothing_is_read_back,
        _outbox_is_not_sent_at_opening,
        _outbox_is_not_written,
        _positions_come_a_write_late,
        _positions_run_ahead,
        _torn_writes,
        _marks_pass_what_others_wrote,
        _marks_move_before_the_acknowledgement,
        _outbox_is_cleared_too_early,
        _sent_in_another_order,
        _states_stay_open_while_others_own_them,
        _shares_that_were_never_opened_count_as_ours,
        _changes_lack_deletes,
        _marks_of_a_line_are_not_kept,
        _entries_that_changed_are_not_kept,
        _empty_topics_are_passed_without_evidence,
        _horizon_ends_a_moment_early,
        _horizon_is_not_looked_at_after_an_eviction,
        _late_labels_are_duplicates,
        _corrections_amend_the_present_window,
        _corrections_amend_nothing,
        _signatures_are_believed,
        _captured_events_act_again,
        _captured_events_act_again_after_a_restart,
        _the_audit_log_is_not_kept,
    )
}
