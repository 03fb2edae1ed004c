"""Every Prometheus metric of a worker.

Labels are topics, partition numbers, stages and reasons: all bounded by the set-up, none by the data.
"""

from collections.abc import Collection, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.telemetry import CountsLike, Decisions, Dropped, Stage

FATES = ("applied", "duplicate", "late", "dead_lettered")
# A commit is a write into memory and a log file; one that takes a second holds up the alerts.
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_CHECKPOINT_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
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
        self._decisions = Counter(
            "driftline_decisions",
            "Steps of incidents, and what became of findings, by their named reason",
            ("type", "reason"),
            registry=registry,
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
        self._lag_time = Gauge(
            "driftline_lag_timestamp_seconds",
            "When the brokers were last asked for the lag and told",
            registry=registry,
        )
        self._held = Gauge(
            "driftline_held_records", "Records read that wait for their turn", ("partition",), registry=registry
        )
        self._ticks = Counter(
            "driftline_ticks", "Ticks written into the control topic", ("partition",), registry=registry
        )
        self._cuts = Counter(
            "driftline_order_cuts",
            "Records that came after what they should precede",
            ("partition",),
            registry=registry,
        )
        self._pager_starts = Counter(
            "driftline_worker_pager_starts", "Starts of the pager beside this worker", registry=registry
        )
        self._state = _StateMetrics(registry)
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

    def decided(self, decisions: Decisions) -> None:
        for labels, number in decisions.items():
            self._decisions.labels(*labels).inc(number)

    def already_sent(self, partition: int, records: int) -> None:
        self._already_sent.labels(str(partition)).inc(records)

    def dropped(self, partition: int, records: int, reason: Dropped) -> None:
        self._dropped.labels(str(partition), reason.value).inc(records)

    def lag(self, topic: str, partition: int, records: int) -> None:
        if partition in self._owned:
            self._lag.labels(topic, str(partition)).set(records)

    def lag_known(self, at: float) -> None:
        self._lag_time.set(at)

    def held(self, partition: int, records: int) -> None:
        if partition in self._owned:
            self._held.labels(str(partition)).set(records)

    def cut(self, partition: int) -> None:
        self._cuts.labels(str(partition)).inc()

    def owned(self, partitions: Collection[int]) -> None:
        """What is known of partitions that went elsewhere would stand still here and be wrong there."""
        for partition in self._owned - set(partitions):
            self._forget(str(partition))
        self._owned, self._ready = frozenset(partitions), True
        self._partitions.set(len(partitions))

    def tick(self, partition: int) -> None:
        self._ticks.labels(str(partition)).inc()

    def pager_started(self) -> None:
        self._pager_starts.inc()

    def committed(self, partition: int, records: int, seconds: float) -> None:
        self._state.commit.labels(str(partition)).observe(seconds)
        self._state.committed.labels(str(partition)).inc(records)

    def outbox(self, partition: int, effects: int) -> None:
        if partition in self._owned:
            self._state.outbox.labels(str(partition)).set(effects)

    def checkpointed(self, partition: int, written: int, seconds: float) -> None:
        self._state.checkpoint.labels(str(partition)).observe(seconds)
        self._state.checkpoint_bytes.labels(str(partition)).inc(written)
        if partition in self._owned:  # the last one is made when the partition is already leaving
            self._state.checkpoint_time.labels(str(partition)).set_to_current_time()

    def state_size(self, partition: int, size: int) -> None:
        if partition in self._owned:
            self._state.size.labels(str(partition)).set(size)

    def engine(self, partition: int, stats: Mapping[str, int]) -> None:
        if partition not in self._owned:
            return
        for what, count in stats.items():
            self._state.engine.labels(str(partition), what).set(count)
            self._state.of_engine.add(what)

    def _forget(self, partition: str) -> None:
        self._held.remove(partition)
        self._state.forget(partition)
        for topic in self._topics:
            self._lag.remove(topic, partition)


class _StateMetrics:
    """What a partition remembers: how it is written, and how much it is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        label = ("partition",)
        self.commit = Histogram(
            "driftline_commit_seconds", "Time of one commit", label, buckets=_COMMIT_BUCKETS, registry=registry
        )
        self.committed = Counter(
            "driftline_committed_records", "Records whose effect is in the state", label, registry=registry
        )
        self.outbox = Gauge(
            "driftline_outbox_events", "Events committed and not known to be on their topics", label, registry=registry
        )
        self.checkpoint = Histogram(
            "driftline_checkpoint_seconds",
            "Time of one checkpoint",
            label,
            buckets=_CHECKPOINT_BUCKETS,
            registry=registry,
        )
        self.checkpoint_bytes = Counter(
            "driftline_checkpoint_bytes", "Bytes copied by checkpoints", label, registry=registry
        )
        self.checkpoint_time = Gauge(
            "driftline_checkpoint_timestamp_seconds", "When the last checkpoint was complete", label, registry=registry
        )
        self.size = Gauge("driftline_state_bytes", "State on disk", label, registry=registry)
        self.engine = Gauge(
            "driftline_engine",
            "What the engine holds, and how often a limit was met",
            (*label, "what"),
            registry=registry,
        )
        self.of_engine: set[str] = set()

    def forget(self, partition: str) -> None:
        for gauge in (self.outbox, self.checkpoint_time, self.size):
            gauge.remove(partition)
        for what in self.of_engine:
            self.engine.remove(partition, what)
