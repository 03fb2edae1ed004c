"""Every Prometheus metric of a worker.

Labels are topics, partition numbers, stages and reasons: all bounded by the set-up, none by the data.
"""

from collections.abc import Collection, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.telemetry import CountsLike, Dropped, Stage

FATES = ("applied", "duplicate", "late", "dead_lettered")
# From a single record to the largest batch that settings allow.
_BATCH_BUCKETS = (1, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
_PLACE = ("topic", "partition")


class WorkerMetrics:
    """Implements ``telemetry.Telemetry``. ``consumed`` is counted apart from the fates: a scrape can compare."""

    def __init__(self, registry: CollectorRegistry, topics: Sequence[str]) -> None:
        self._topics = topics  # the inputs: their lag goes away with a partition
        self._owned: frozenset[int] = frozenset()
        self._ready = False
        self._consumed = Counter("driftline_consumed", "Records read and finished with", _PLACE, registry=registry)
        self._records = Counter(
            "driftline_records", "Records by what became of them", (*_PLACE, "fate"), registry=registry
        )
        self._conflicts = Counter(
            "driftline_conflicts", "Duplicates with other content than the first", _PLACE, registry=registry
        )
        self._unknown = Counter(
            "driftline_unknown_fields", "Records with fields that no contract names", _PLACE, registry=registry
        )
        self._sent = Counter("driftline_sent", "Events written to output topics", _PLACE, registry=registry)
        self._already_sent = Counter(
            "driftline_already_sent",
            "Events decided again that were on their topics",
            ("partition",),
            registry=registry,
        )
        self._dropped = Counter(
            "driftline_dropped",
            "Records of batches thrown away, to be read again",
            ("partition", "reason"),
            registry=registry,
        )
        self._batch = Histogram(
            "driftline_batch_records", "Records of one batch", buckets=_BATCH_BUCKETS, registry=registry
        )
        self._stage = Counter("driftline_stage_seconds", "Time spent by stage", ("stage",), registry=registry)
        self._lag = Gauge("driftline_lag_records", "Records behind the topic's end", _PLACE, registry=registry)
        self._held = Gauge(
            "driftline_held_records", "Records read that wait for their turn", ("partition",), registry=registry
        )
        self._partitions = Gauge("driftline_owned_partitions", "Partition numbers of this worker", registry=registry)

    def is_ready(self) -> bool:
        """Whether the group has given this worker its partitions, be they none."""
        return self._ready

    def batch(self, partition: int, records: int, seconds: Mapping[Stage, float]) -> None:
        self._batch.observe(records)
        for stage, spent in seconds.items():
            self._stage.labels(stage.value).inc(spent)

    def counts(self, topic: str, partition: int, counts: CountsLike) -> None:
        place = (topic, str(partition))
        self._consumed.labels(*place).inc(counts.consumed)
        for fate in FATES:
            self._records.labels(*place, fate).inc(getattr(counts, fate))
        self._conflicts.labels(*place).inc(counts.conflicts)
        self._unknown.labels(*place).inc(counts.unknown_fields)

    def sent(self, topic: str, partition: int, records: int) -> None:
        self._sent.labels(topic, str(partition)).inc(records)

    def already_sent(self, partition: int, records: int) -> None:
        self._already_sent.labels(str(partition)).inc(records)

    def dropped(self, partition: int, records: int, reason: Dropped) -> None:
        self._dropped.labels(str(partition), reason.value).inc(records)

    def lag(self, topic: str, partition: int, records: int) -> None:
        if partition in self._owned:
            self._lag.labels(topic, str(partition)).set(records)

    def held(self, partition: int, records: int) -> None:
        if partition in self._owned:
            self._held.labels(str(partition)).set(records)

    def owned(self, partitions: Collection[int]) -> None:
        """What is known of partitions that went elsewhere would stand still here and be wrong there."""
        for partition in self._owned - set(partitions):
            self._forget(str(partition))
        self._owned, self._ready = frozenset(partitions), True
        self._partitions.set(len(partitions))

    def _forget(self, partition: str) -> None:
        self._held.remove(partition)
        for topic in self._topics:
            self._lag.remove(topic, partition)
