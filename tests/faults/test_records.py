"""Records that no monitor can want: larger than any limit, or small on the wire and huge in memory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from load.brokers.secure import SecureBroker
from load.site.site import Site
from schemas.topics import Stream
from tests.faults.trial import PER_SECOND, Subject, settle, site_on, traffic_on

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
MIB = 1024 * 1024


def take_records_of(site: Site, stream: Stream, most: int) -> None:
    """Somebody has raised the topic's limit; the broker's own holds for a compressed batch as it is sent."""
    site.set_topics((stream,), {"max.message.bytes": str(most)})


def send_one(site: Site, value: bytes, compression: str) -> None:
    producer = Producer(
        {
            "bootstrap.servers": site.bootstrap,
            "message.max.bytes": 1_000_000_000,
            "queue.buffering.max.kbytes": 2_097_151,
            "compression.type": compression,
            "partitioner": "murmur2_random",
        }
    )
    refused: list[object] = []
    producer.produce(
        site.topic(Stream.PREDICTIONS), value, key="amber", on_delivery=lambda error, _: error and refused.append(error)
    )
    assert (producer.flush(60), refused) == (0, [])


def reasons(site: Site) -> list[str]:
    letters = [json.loads(value) for events in site.read(Stream.DEAD_LETTERS).values() for _, value in events]
    return [letter["reason"] for letter in letters]


@pytest.mark.parametrize("mebibytes", [2, pytest.param(10, marks=pytest.mark.long_fault)])
def test_a_record_larger_than_the_limit_is_a_dead_letter_with_the_beginning_of_it(
    mebibytes: int, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    take_records_of(site, Stream.PREDICTIONS, 16 * MIB)
    traffic = traffic_on(site)
    traffic.send(4_000, PER_SECOND)
    send_one(site, b'{"type":"prediction","pad":"' + b"a" * mebibytes * MIB + b'"}', "none")
    traffic.send(4_000, PER_SECOND)
    settle(site, [start(site)])
    largest = max(len(value) for events in site.read(Stream.DEAD_LETTERS).values() for _, value in events)
    assert largest < MIB
    assert "too_large" in reasons(site)


OTHERS = [pytest.param(name, marks=pytest.mark.long_fault) for name in ("gzip", "lz4", "snappy")]


@pytest.mark.parametrize("compression", ["zstd", *OTHERS])
def test_a_batch_that_is_far_larger_in_memory_than_on_the_wire_is_survived(
    compression: str, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    take_records_of(site, Stream.PREDICTIONS, 16 * MIB)  # snappy does not come below a twentieth
    traffic = traffic_on(site)
    traffic.send(4_000, PER_SECOND)
    send_one(site, b" " * (128 * MIB), compression)
    traffic.send(4_000, PER_SECOND)
    settle(site, [start(site)], 120.0)
