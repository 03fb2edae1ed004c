"""What the worker says about itself while it runs. Whoever counts, stores or shows it implements ``Telemetry``."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Protocol

Decisions = Mapping[tuple[str, str], int]  # by type of event and by reason


class Stage(StrEnum):
    """Where the time of a batch goes."""

    READ_BACK = "read_back"  # once for a partition: what its output topics already hold
    DETECT = "detect"  # decoding included: the engine does both in one pass
    SEND = "send"
    COMMIT = "commit"


class Dropped(StrEnum):
    """Why a batch was thrown away; its records are read again, here or elsewhere."""

    GENERATION_PASSED = "generation_passed"
    NOT_A_MEMBER = "not_a_member"  # the group said so before anything was sent, or may before it would have arrived
    TORN = "torn"  # its task was broken off while it was applied
    NOT_SENT = "not_sent"  # at the end of a generation, nobody could be asked: it stands in the outbox


class CountsLike(Protocol):
    @property
    def consumed(self) -> int: ...
    @property
    def applied(self) -> int: ...
    @property
    def duplicate(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def dead_lettered(self) -> int: ...
    @property
    def conflicts(self) -> int: ...
    @property
    def unknown_fields(self) -> int: ...


class Telemetry(Protocol):
    def batch(self, partition: int, records: int, seconds: Mapping[Stage, float]) -> None:
        """A batch was applied, sent and committed."""

    def counts(self, topic: str, partition: int, counts: CountsLike) -> None:
        """What became of a batch's records of one topic."""

    def decided(self, decisions: Decisions) -> None:
        """What the monitor has decided of a batch."""

    def sent(self, topic: str, partition: int, records: int) -> None: ...

    def already_sent(self, partition: int, records: int) -> None:
        """Effects that a rebuild decided again and that were found on their topics."""

    def dropped(self, partition: int, records: int, reason: Dropped) -> None: ...

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Records between what is applied and the end of the topic."""

    def lag_known(self, at: float) -> None:
        """Every lag told before this is of then; while the brokers are away none is known."""

    def held(self, partition: int, records: int) -> None:
        """Records read but not released: the merge waits for evidence or for a slower topic."""

    def cut(self, partition: int) -> None:
        """A record came after what should have followed it: the order has a cut, and a signal tells where."""

    def owned(self, partitions: Collection[int]) -> None:
        """The partition numbers this worker has now; comes after each rebalance."""

    def tick(self, partition: int) -> None:
        """A tick was written into the control topic."""

    def committed(self, partition: int, records: int, seconds: float) -> None:
        """A commit wrote what so many records had changed."""

    def outbox(self, partition: int, effects: int) -> None:
        """Effects that were written and are not known to be on their topics."""

    def checkpointed(self, partition: int, written: int, seconds: float) -> None:
        """A checkpoint is complete; ``written`` are the bytes that no earlier one had."""

    def state_size(self, partition: int, size: int) -> None:
        """Bytes on disk."""

    def engine(self, partition: int, stats: Mapping[str, int]) -> None:
        """What the engine holds now and how often a limit was met, by the name it has there."""


class NoTelemetry:
    """Says nothing to nobody."""

    def batch(self, partition: int, records: int, seconds: Mapping[Stage, float]) -> None:
        pass

    def counts(self, topic: str, partition: int, counts: CountsLike) -> None:
        pass

    def decided(self, decisions: Decisions) -> None:
        pass

    def sent(self, topic: str, partition: int, records: int) -> None:
        pass

    def already_sent(self, partition: int, records: int) -> None:
        pass

    def dropped(self, partition: int, records: int, reason: Dropped) -> None:
        pass

    def lag(self, topic: str, partition: int, records: int) -> None:
        pass

    def lag_known(self, at: float) -> None:
        pass

    def held(self, partition: int, records: int) -> None:
        pass

    def cut(self, partition: int) -> None:
        pass

    def owned(self, partitions: Collection[int]) -> None:
        pass

    def tick(self, partition: int) -> None:
        pass

    def committed(self, partition: int, records: int, seconds: float) -> None:
        pass

    def outbox(self, partition: int, effects: int) -> None:
        pass

    def checkpointed(self, partition: int, written: int, seconds: float) -> None:
        pass

    def state_size(self, partition: int, size: int) -> None:
        pass

    def engine(self, partition: int, stats: Mapping[str, int]) -> None:
        pass
