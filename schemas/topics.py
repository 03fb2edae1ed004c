"""The topic catalogue as data: what lies on which topic, for how long, and in which order it is merged."""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from schemas.times import UNIT_MS

_DAY_MS = UNIT_MS["d"]

VALUE_BYTES_MAX = 1024 * 1024  # of a record's value; a prediction with 1,000 features has about 20 KiB
ENVELOPE_BYTES_MAX = 64 * 1024  # key, headers and batch framing on top of the value
_MESSAGE_BYTES_MAX = VALUE_BYTES_MAX + ENVELOPE_BYTES_MAX

_KAFKA_NAME = re.compile("[A-Za-z0-9._-]{1,249}")  # what Kafka allows as a topic name


class Stream(StrEnum):
    """A topic's part in the whole, whatever a user calls the topic."""

    PREDICTIONS = "predictions"
    OUTCOMES = "outcomes"
    CONTROL = "control"
    ALERTS = "alerts"
    RETRAIN = "retrain"
    SIGNALS = "signals"
    METRICS = "metrics"
    DEAD_LETTERS = "dead_letters"
    AUDIT = "audit"


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class Cleanup(StrEnum):
    DELETE = "delete"
    COMPACT = "compact"


class TimestampType(StrEnum):
    LOG_APPEND_TIME = "LogAppendTime"
    CREATE_TIME = "CreateTime"


class Topic(NamedTuple):
    """One topic as it should be. The partition count is the user's, and the same for all topics."""

    stream: Stream
    name: str  # by default
    direction: Direction
    rank: int | None  # of an input among records appended in the same millisecond
    events: tuple[str, ...]  # words in ``type``
    retention_ms: int
    about: str
    key: str = "the model's name"
    cleanup: Cleanup = Cleanup.DELETE
    timestamp_type: TimestampType = TimestampType.LOG_APPEND_TIME  # the merged order needs one clock: the broker's
    max_message_bytes: int = _MESSAGE_BYTES_MAX

    def config(self) -> dict[str, str]:
        """The topic's settings under Kafka's own names."""
        return {
            "cleanup.policy": self.cleanup.value,
            "retention.ms": str(self.retention_ms),
            "message.timestamp.type": self.timestamp_type.value,
            "max.message.bytes": str(self.max_message_bytes),
        }


# Inputs outlive the longest label horizon by default (30 days) and leave five days to rebuild lost state from them.
_INPUT_RETENTION_MS = 35 * _DAY_MS
_AUDIT_RETENTION_MS = 365 * _DAY_MS  # what was decided, by whom and why: small, and asked for months later
_FINDINGS_RETENTION_MS = 90 * _DAY_MS  # a quarter, to compare one with the last
# Long enough to mend a producer and send again, and longer than the records they come from: a worker that rebuilds its
# state decides them again and looks here whether they were sent.
_DEAD_LETTER_RETENTION_MS = 42 * _DAY_MS

CATALOGUE: Mapping[Stream, Topic] = MappingProxyType(
    {
        topic.stream: topic
        for topic in (
            Topic(
                Stream.PREDICTIONS,
                "driftline.predictions",
                Direction.IN,
                1,
                ("prediction",),
                _INPUT_RETENTION_MS,
                "What models answered, and to what.",
            ),
            Topic(
                Stream.OUTCOMES,
                "driftline.outcomes",
                Direction.IN,
                2,  # after the predictions, so that an outcome of the same millisecond finds its prediction
                ("outcome",),
                _INPUT_RETENTION_MS,
                "What turned out to be true.",
            ),
            Topic(
                Stream.CONTROL,
                "driftline.control",
                Direction.IN,
                0,  # first: what an operator says holds from that millisecond on
                ("control",),
                _INPUT_RETENTION_MS,
                "Words to the monitor: deployments, mutes, verdicts, ticks.",
                key="the model's name; a tick may have none",
            ),
            Topic(
                Stream.ALERTS,
                "driftline.alerts",
                Direction.OUT,
                None,
                ("alert",),
                _AUDIT_RETENTION_MS,
                "Incidents and what became of them.",
            ),
            Topic(
                Stream.RETRAIN,
                "driftline.retrain",
                Direction.OUT,
                None,
                ("retrain", "rollback"),
                _AUDIT_RETENTION_MS,
                "Models to train again, and on which data; versions to take back.",
            ),
            Topic(
                Stream.SIGNALS,
                "driftline.signals",
                Direction.OUT,
                None,
                ("signal",),
                _FINDINGS_RETENTION_MS,
                "Every detector's finding.",
            ),
            Topic(
                Stream.METRICS,
                "driftline.metrics",
                Direction.OUT,
                None,
                ("metrics",),
                _FINDINGS_RETENTION_MS,
                "Windowed performance, quality, volume, latency and label coverage.",
            ),
            Topic(
                Stream.DEAD_LETTERS,
                "driftline.dead-letters",
                Direction.OUT,
                None,
                ("dead_letter",),
                _DEAD_LETTER_RETENTION_MS,
                "Records that could not be taken, with the reason.",
                key="the refused record's own key",
            ),
            Topic(
                Stream.AUDIT,
                "driftline.audit",
                Direction.OUT,
                None,
                ("audit",),
                _AUDIT_RETENTION_MS,
                "What became of each control event, and who signed it.",
            ),
        )
    }
)


class TopicNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the user calls the topics. Nine different names that Kafka allows."""

    predictions: str = CATALOGUE[Stream.PREDICTIONS].name
    outcomes: str = CATALOGUE[Stream.OUTCOMES].name
    control: str = CATALOGUE[Stream.CONTROL].name
    alerts: str = CATALOGUE[Stream.ALERTS].name
    retrain: str = CATALOGUE[Stream.RETRAIN].name
    signals: str = CATALOGUE[Stream.SIGNALS].name
    metrics: str = CATALOGUE[Stream.METRICS].name
    dead_letters: str = CATALOGUE[Stream.DEAD_LETTERS].name
    audit: str = CATALOGUE[Stream.AUDIT].name

    def __post_init__(self) -> None:
        taken: dict[str, Stream] = {}
        for stream in Stream:
            name = self.of(stream)
            if _KAFKA_NAME.fullmatch(name) is None or name in (".", ".."):
                raise ValueError(f"{stream} = {name!r} is no topic name: 1 to 249 of A-Z a-z 0-9 . _ -")
            if name in taken:
                raise ValueError(f"{stream} and {taken[name]} are both {name!r}: give each its own topic")
            taken[name] = stream

    def of(self, stream: Stream) -> str:
        name: str = getattr(self, stream.value)
        return name

    @property
    def inputs(self) -> dict[str, Stream]:
        """Name to stream, in rank order."""
        ranked = sorted((topic.rank, topic.stream) for topic in CATALOGUE.values() if topic.rank is not None)
        return {self.of(stream): stream for _, stream in ranked}

    @property
    def outputs(self) -> dict[str, Stream]:
        return {self.of(topic.stream): topic.stream for topic in CATALOGUE.values() if topic.direction is Direction.OUT}
