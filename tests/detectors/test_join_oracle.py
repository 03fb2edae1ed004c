"""The incremental join against one that looks through the whole log, over random logs."""

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.join import Fate, Join, JoinCounts, Labelled
from detectors.shelf import Pending, Room, Wanted
from tests.detectors.join_oracle import Entry, Told, batch
from tests.detectors.kept import Memory

HORIZON, PENDING_MAX, EARLY_MAX = 100, 3, 2

# Few ids, revisions and limits, so that everything that can happen happens often.
STEPS = st.tuples(
    st.sampled_from(["prediction", "outcome", "outcome", "time"]),
    st.sampled_from("abcdef"),
    st.sampled_from([0, 0, 1, 10, 49, 50, 51, 100, 101, 250]),
    st.integers(0, 1),
    st.integers(0, 2),
    st.booleans(),  # whether the join is begun anew from what is kept before this one
)
Step = tuple[str, str, int, int, int, bool]


def log_of(steps: list[Step]) -> list[Entry]:
    log, now = [], 0
    for kind, key, later, fingerprint, revision, _ in steps:
        now += later
        log.append(Entry(kind, key, now, fingerprint, revision))
    return log


def join_all(log: list[Entry], restored: list[bool]) -> tuple[list[Told], JoinCounts]:
    kept = Memory()
    room = Room(kept)
    join = Join(HORIZON, PENDING_MAX, EARLY_MAX, room=room)
    told = []
    for entry, anew in zip(log, restored, strict=True):
        if anew:
            kept.take(room.changes())
            state, room = join.state(), Room(kept)
            join = Join(HORIZON, PENDING_MAX, EARLY_MAX, room=room, state=state)
        wanted: Wanted = {}
        join.shelf.want(entry.key, wanted)
        room.fetch(wanted)
        told.append(tell(join, entry))
    return told, join.counts


def tell(join: Join, entry: Entry) -> Told:
    if entry.kind == "time":
        join.expire(entry.time)
        return Told(None, None)
    if entry.kind == "prediction":
        waits = Pending(entry.time, 0, entry.fingerprint, 0, 1.0, None, None)
        fate, label = join.predict(entry.key, waits)
        return Told(fate, None if label is None else label.revision)
    fate, met = join.label(entry.key, Labelled(entry.time, 1.0, entry.revision, 1.0, False))
    return Told(fate, None if met is None else met.revision)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=60))
def test_every_record_ends_as_the_whole_log_says(steps: list[Step]) -> None:
    log = log_of(steps)
    assert join_all(log, [step[-1] for step in steps]) == batch(log, HORIZON, PENDING_MAX, EARLY_MAX)


def test_the_oracle_itself_knows_every_end() -> None:
    log = [
        Entry("outcome", "a", 0, revision=1),
        Entry("prediction", "a", 1),
        Entry("prediction", "a", 2),
        Entry("prediction", "a", 3, fingerprint=1),
        Entry("outcome", "a", 4, revision=1),
        Entry("outcome", "a", 5, revision=2),
        Entry("prediction", "b", 5),
        Entry("time", "", 106),
        Entry("outcome", "b", 106),
    ]
    told, counts = batch(log, HORIZON, PENDING_MAX, EARLY_MAX)
    fates = [Fate.APPLIED, Fate.APPLIED, Fate.DUPLICATE, Fate.CONFLICT, Fate.DUPLICATE, Fate.APPLIED, Fate.APPLIED]
    assert [one.fate for one in told] == [*fates, None, Fate.LATE]
    assert counts == JoinCounts(joined=1, corrected=1, unlabelled=1)
