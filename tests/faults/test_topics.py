"""Topics that vanish, come back otherwise, or lose records before they were read: told exactly, never passed over."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic

from load.brokers.secure import SecureBroker
from load.site.offsets import end_of
from load.site.site import PARTITIONS, Site
from load.site.workers import wait_until_read
from schemas.topics import CATALOGUE, Stream
from tests.faults.trial import PER_SECOND, Subject, site_on, traffic_on

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
ENDS_WITHIN_S = 60.0
ADMIN_WITHIN_S = 20.0


def delete(site: Site, topic: str) -> None:
    site.admin.delete_topics([topic], operation_timeout=ADMIN_WITHIN_S)[topic].result(ADMIN_WITHIN_S)


def make(site: Site, stream: Stream, partitions: int = PARTITIONS) -> None:
    new = NewTopic(site.topic(stream), partitions, 1, config=CATALOGUE[stream].config())
    site.admin.create_topics([new])[new.topic].result(ADMIN_WITHIN_S)


def delete_records(site: Site, stream: Stream, before: dict[int, int]) -> None:
    """As retention does, now."""
    places = [TopicPartition(site.topic(stream), number, offset) for number, offset in before.items()]
    for done in site.admin.delete_records(places).values():
        done.result(ADMIN_WITHIN_S)


def ends(site: Site, stream: Stream) -> dict[int, int]:
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": site.bootstrap, "group.id": "verifier"})
    try:
        places = [TopicPartition(site.topic(stream), number) for number in range(PARTITIONS)]
        return {place.partition: end_of(consumer, place) for place in places}
    finally:
        consumer.close()


def system_alerts(site: Site) -> list[dict[str, Any]]:
    alerts = [json.loads(value) for events in site.read(Stream.ALERTS).values() for _, value in events]
    return [alert for alert in alerts if alert["kind"] == "system"]


def a_site_that_was_read(broker: SecureBroker, folder: Path, start: Start) -> Site:
    site = site_on(broker.bootstrap, folder, worker__tick_interval="0s")
    worker = start(site)
    traffic_on(site).send(3_000, PER_SECOND)
    wait_until_read([worker])
    assert worker.stop() == 0
    return site


def test_records_that_retention_took_unread_are_told_with_their_exact_range_and_once(
    broker: SecureBroker, tmp_path: Path, start: Start
):
    site = a_site_that_was_read(broker, tmp_path, start)
    applied = ends(site, Stream.PREDICTIONS)
    traffic = traffic_on(site)
    traffic.send(3_000, PER_SECOND)
    left = ends(site, Stream.PREDICTIONS)
    delete_records(site, Stream.PREDICTIONS, left)
    traffic.send(3_000, PER_SECOND)

    worker = start(site)
    wait_until_read([worker])
    worker.kill()
    again = start(site)
    wait_until_read([again])
    assert again.stop() == 0
    topic = site.topic(Stream.PREDICTIONS)
    told = {
        alert["position"]["partition"]: (
            alert["severity"],
            alert["event"],
            alert["evidence"]["detail"][f"{topic}.from"],
            alert["evidence"]["detail"][f"{topic}.to"],
        )
        for alert in system_alerts(site)
    }
    taken = {number: end for number, end in left.items() if end > applied[number]}
    assert told == {number: ("critical", "opened", applied[number], end - 1) for number, end in taken.items()}
    assert len(system_alerts(site)) == len(taken)


def test_a_topic_made_anew_while_the_worker_was_away_is_refused(broker: SecureBroker, tmp_path: Path, start: Start):
    site = a_site_that_was_read(broker, tmp_path, start)
    delete(site, site.topic(Stream.PREDICTIONS))
    make(site, Stream.PREDICTIONS)
    traffic_on(site).send(6_000, PER_SECOND)  # further than the old one went
    said = start(site).ended(ENDS_WITHIN_S)
    assert site.topic(Stream.PREDICTIONS) in said
    assert "not the topic" in said


OTHERS = [pytest.param(stream, marks=pytest.mark.long_fault) for stream in (Stream.PREDICTIONS, Stream.ALERTS)]


@pytest.mark.parametrize("stream", [Stream.CONTROL, *OTHERS])
def test_a_topic_made_anew_under_a_running_worker_ends_it(
    stream: Stream, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, worker__tick_interval="0s")
    worker = start(site)
    traffic = traffic_on(site)
    traffic.send(3_000, PER_SECOND)
    wait_for_read_and_life(worker)
    delete(site, site.topic(stream))
    make(site, stream)
    traffic.send(3_000, PER_SECOND)
    assert site.topic(stream) in worker.ended(ENDS_WITHIN_S)


def wait_for_read_and_life(worker: Subject) -> None:
    wait_until_read([worker])
    worker.require_alive()


@pytest.mark.long_fault
@pytest.mark.parametrize("stream", [Stream.CONTROL, Stream.OUTCOMES, Stream.ALERTS])
def test_a_topic_that_vanishes_under_a_running_worker_ends_it(
    stream: Stream, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, worker__tick_interval="0s")
    worker = start(site)
    traffic = traffic_on(site)
    traffic.send(3_000, PER_SECOND)
    wait_for_read_and_life(worker)
    delete(site, site.topic(stream))
    traffic.send(0 if stream is Stream.OUTCOMES else 8_000, PER_SECOND)
    assert site.topic(stream) in worker.ended(ENDS_WITHIN_S)


@pytest.mark.parametrize("partitions", [pytest.param(1, marks=pytest.mark.long_fault), 8])
def test_topics_that_no_longer_have_one_number_of_partitions_are_refused(
    partitions: int, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = a_site_that_was_read(broker, tmp_path, start)
    outcomes = site.topic(Stream.OUTCOMES)
    if partitions > PARTITIONS:
        grown = NewPartitions(outcomes, partitions)
        site.admin.create_partitions([grown])[outcomes].result(ADMIN_WITHIN_S)
    else:
        delete(site, outcomes)
        make(site, Stream.OUTCOMES, partitions)
    worker = start(site)
    worker.ended(ENDS_WITHIN_S)
    assert f"{partitions} in {outcomes}" in worker.said


def test_partitions_added_to_every_topic_under_a_running_worker_end_it_and_the_next_one_is_refused(
    broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    worker = start(site)
    traffic_on(site).send(3_000, PER_SECOND)
    wait_for_read_and_life(worker)
    grown = [NewPartitions(site.topic(stream), 2 * PARTITIONS) for stream in Stream]
    for done in site.admin.create_partitions(grown).values():
        done.result(ADMIN_WITHIN_S)
    for ending in (worker, start(site)):
        assert f"had {PARTITIONS} partitions and has {2 * PARTITIONS}" in ending.ended(ENDS_WITHIN_S)


def test_an_output_topic_made_anew_while_the_worker_was_away_gets_what_comes_from_now_on_once(
    broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, worker__tick_interval="0s")
    traffic = traffic_on(site)
    first = start(site)
    traffic.send(6_000, PER_SECOND)
    wait_until_read([first])
    assert first.stop() == 0
    before = ids(site, Stream.METRICS)
    delete(site, site.topic(Stream.METRICS))
    make(site, Stream.METRICS)
    for _ in range(2):
        worker = start(site)
        traffic.send(6_000, PER_SECOND)
        wait_until_read([worker])
        worker.kill()
    last = start(site)
    wait_until_read([last])
    assert last.stop() == 0
    written = ids(site, Stream.METRICS)
    decided = [event_id for event_id, _ in site.replay()[Stream.METRICS]]
    assert sorted(written) == sorted(set(decided) - set(before))


def ids(site: Site, stream: Stream) -> list[str]:
    return [event_id for events in site.read(stream).values() for event_id, _ in events]


@pytest.mark.long_fault
def test_group_offsets_that_are_gone_change_nothing(broker: SecureBroker, tmp_path: Path, start: Start):
    site = a_site_that_was_read(broker, tmp_path, start)
    site.admin.delete_consumer_groups([site.prefix])[site.prefix].result(ADMIN_WITHIN_S)
    traffic_on(site).send(3_000, PER_SECOND)
    worker = start(site)
    wait_until_read([worker])
    assert worker.stop() == 0
    assert system_alerts(site) == []
    written = ids(site, Stream.METRICS)
    assert len(written) == len(set(written))
