import re
import socket
import struct
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from detectors.counts import Counts
from streams.endpoint import serving
from streams.errors import UsageError
from streams.metrics import FATES, WorkerMetrics
from streams.mlflow.metrics import MlflowMetrics
from streams.pager.metrics import PagerMetrics
from streams.sections import MetricsSettings
from streams.telemetry import Dropped, Stage, Telemetry

INPUTS = ["control", "predictions", "outcomes"]
ANY_PORT = MetricsSettings(port=0)


def worker() -> tuple[CollectorRegistry, WorkerMetrics]:
    registry = CollectorRegistry()
    return registry, WorkerMetrics(registry, INPUTS)


def get(port: int | None, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    connection = HTTPConnection(host, port or 0, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def scraped(registry: CollectorRegistry) -> list[tuple[str, Mapping[str, str], float]]:
    with serving(ANY_PORT, registry, ready=lambda: True) as port:
        _, text = get(port, "/metrics")
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def test_scraped_fates_add_up_to_what_was_consumed() -> None:
    registry, metrics = worker()
    metrics.counts("predictions", 0, Counts(consumed=10, applied=6, duplicate=2, late=0, dead_lettered=2, conflicts=1))
    metrics.counts("predictions", 0, Counts(consumed=5, applied=5))
    metrics.counts("outcomes", 3, Counts(consumed=4, applied=1, late=3))
    samples = scraped(registry)
    consumed = {_place(labels): value for name, labels, value in samples if name == "driftline_consumed_total"}
    fates: dict[tuple[str, str], float] = {}
    for name, labels, value in samples:
        if name == "driftline_records_total":
            assert labels["fate"] in FATES
            fates[_place(labels)] = fates.get(_place(labels), 0) + value
    assert consumed == fates == {("predictions", "0"): 15, ("outcomes", "3"): 4}


def _place(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels["topic"], labels["partition"]


def test_what_a_worker_tells_can_be_scraped() -> None:
    registry, metrics = worker()
    telemetry: Telemetry = metrics
    telemetry.owned([0, 1])
    telemetry.batch(0, 300, {Stage.DETECT: 0.5, Stage.SEND: 0.25})
    telemetry.batch(1, 40, {Stage.DETECT: 0.5})
    telemetry.sent("alerts", 0, 2)
    telemetry.already_sent(0, 7)
    telemetry.decided({("alert", "opened"): 3})
    telemetry.dropped(1, 40, Dropped.GENERATION_PASSED)
    telemetry.lag("predictions", 1, 12)
    telemetry.held(1, 3)
    telemetry.cut(1)
    telemetry.tick(1)
    telemetry.committed(0, 340, 0.25)
    telemetry.outbox(0, 4)
    telemetry.checkpointed(1, 2_000, 1.5)
    telemetry.checkpointed(1, 500, 0.5)
    telemetry.state_size(0, 9_000)
    telemetry.engine(0, {"pending": 5, "evicted": 2})
    values = {(name, *(labels[key] for key in sorted(labels))): value for name, labels, value in scraped(registry)}
    expected = {
        ("driftline_batch_records_count",): 2,
        ("driftline_batch_records_sum",): 340,
        ("driftline_stage_seconds_total", "detect"): 1.0,
        ("driftline_stage_seconds_total", "send"): 0.25,
        ("driftline_sent_total", "0", "alerts"): 2,
        ("driftline_already_sent_total", "0"): 7,
        ("driftline_decisions_total", "opened", "alert"): 3,
        ("driftline_dropped_total", "1", "generation_passed"): 40,
        ("driftline_lag_records", "1", "predictions"): 12,
        ("driftline_held_records", "1"): 3,
        ("driftline_owned_partitions",): 2,
        ("driftline_order_cuts_total", "1"): 1,
        ("driftline_ticks_total", "1"): 1,
        ("driftline_commit_seconds_sum", "0"): 0.25,
        ("driftline_committed_records_total", "0"): 340,
        ("driftline_outbox_events", "0"): 4,
        ("driftline_checkpoint_seconds_count", "1"): 2,
        ("driftline_checkpoint_bytes_total", "1"): 2_500,
        ("driftline_state_bytes", "0"): 9_000,
        ("driftline_engine", "0", "pending"): 5,
        ("driftline_engine", "0", "evicted"): 2,
    }
    assert {key: values.get(key) for key in expected} == expected


def test_the_lag_of_a_partition_that_went_elsewhere_is_not_told_any_more() -> None:
    registry, metrics = worker()
    metrics.owned([0, 1])
    metrics.lag("predictions", 0, 5)
    metrics.lag("predictions", 1, 6)
    metrics.owned([1])
    metrics.lag("predictions", 0, 9)
    lags = [(labels["partition"], value) for name, labels, value in scraped(registry) if name.endswith("lag_records")]
    assert lags == [("1", 6)]


def test_what_a_partition_holds_is_not_told_any_more_when_it_went_elsewhere() -> None:
    registry, metrics = worker()
    metrics.owned([0, 1])
    for number in (0, 1):
        metrics.engine(number, {"pending": number})
        metrics.outbox(number, number)
        metrics.checkpointed(number, 1, 1.0)
    metrics.owned([1])
    metrics.engine(0, {"pending": 9})
    metrics.state_size(0, 9)
    gauges = {"driftline_engine", "driftline_outbox_events", "driftline_checkpoint_timestamp_seconds"}
    told = {(name, labels["partition"]) for name, labels, _ in scraped(registry) if name in gauges}
    assert told == {(name, "1") for name in gauges}
    assert "driftline_state_bytes" not in {name for name, _, _ in scraped(registry)}


def test_health_follows_the_worker() -> None:
    registry, metrics = worker()
    with serving(ANY_PORT, registry, ready=metrics.is_ready) as port:
        before = get(port, "/health")
        metrics.owned([])
        assert (before, get(port, "/health")) == ((503, "not ready\n"), (200, "ready\n"))
        assert get(port, "/")[0] == 404


def test_a_client_that_says_nothing_keeps_nobody_out() -> None:
    registry, _ = worker()
    with serving(ANY_PORT, registry, ready=lambda: True) as port, socket.create_connection(("127.0.0.1", port or 0)):
        assert get(port, "/health")[0] == 200


def test_a_client_that_hangs_up_or_says_nothing_leaves_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    registry, _ = worker()
    with serving(ANY_PORT, registry, ready=lambda: True) as port:
        with socket.create_connection(("127.0.0.1", port or 0)) as silent:
            silent.settimeout(10)
            assert silent.recv(1) == b""  # it is let go
        for _ in range(5):
            client = socket.create_connection(("127.0.0.1", port or 0))
            client.send(b"GET /")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        assert get(port, "/health")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = MetricsSettings(port=taken.getsockname()[1])
        said = "metrics cannot be served there: Address already in use; set metrics.port"
        with pytest.raises(UsageError, match=said), serving(settings, CollectorRegistry(), ready=lambda: True):
            pass
        place = serving(settings, CollectorRegistry(), ready=lambda: True, setting="pager.metrics_port")
        with pytest.raises(UsageError, match=r"set pager\.metrics_port"), place:
            pass


def test_metrics_can_be_served_by_ipv6_alone() -> None:
    """Without an IPv6 loopback on this machine it fails: a way that was not tried is not one that works."""
    registry, _ = worker()
    with serving(MetricsSettings(host="::1", port=0), registry, ready=lambda: True) as port:
        assert get(port, "/health", "::1") == (200, "ready\n")


def test_metrics_can_be_off() -> None:
    with serving(MetricsSettings(enabled=False), CollectorRegistry(), ready=lambda: True) as port:
        assert port is None


def test_the_documentation_lists_every_metric() -> None:
    registry, _ = worker()
    PagerMetrics(registry)
    MlflowMetrics(registry)
    suffix = {"counter": "_total"}
    measured = [family.name + suffix.get(family.type, "") for family in registry.collect()]
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(driftline_\w+)` \|", text, flags=re.MULTILINE)) == sorted(measured)
