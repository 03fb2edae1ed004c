"""TLS, logins and permissions, right and wrong: what is wrong ends a worker with one line and without the password."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from load.brokers.secure import PASSWORD, USER, Door, SecureBroker
from load.site.site import Keys, Site
from schemas.topics import Stream
from tests.faults.trial import PER_SECOND, Subject, flow, settle, site_on, traffic_on, wait_for_traffic, wait_for_work

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
ENDS_WITHIN_S = 60.0  # for a fault that no waiting mends
MECHANISMS = ("plain", "scram-sha-256", "scram-sha-512")


@pytest.fixture
def authority(broker: SecureBroker, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    path.write_text(broker.certificates.authority)
    return str(path)


def through(broker: SecureBroker, door: Door, authority: str) -> Keys:
    return {"kafka.bootstrap": broker.at(door), "kafka.protocol": "ssl", "kafka.ca_file": authority}


def login(broker: SecureBroker, authority: str, mechanism: str = "scram-sha-512", password: str = PASSWORD) -> Keys:
    return {
        **through(broker, Door.LOGIN, authority),
        "kafka.protocol": "sasl_ssl",
        "kafka.sasl_mechanism": mechanism,
        "kafka.username": USER,
        "kafka.password": password,
    }


def test_every_way_to_log_in_and_a_certificate_of_ones_own_work(
    broker: SecureBroker, authority: str, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    broker.acls().grant_a_worker(site.prefix)
    certificate, key = tmp_path / "worker.pem", tmp_path / "worker.key"
    certificate.write_text(broker.certificates.client)
    key.write_text(broker.certificates.client_key)
    ways: dict[str, Keys] = {mechanism: login(broker, authority, mechanism) for mechanism in MECHANISMS}
    ways["tls"] = through(broker, Door.TLS, authority)
    ways["mutual"] = {
        **through(broker, Door.MUTUAL, authority),
        "kafka.certificate_file": str(certificate),
        "kafka.key_file": str(key),
    }
    traffic_on(site).send(8_000, PER_SECOND)
    workers = [start(site, name, settings) for name, settings in ways.items()]
    settle(site, workers)


def test_what_is_wrong_with_a_certificate_or_a_login_ends_the_worker_before_it_reads(
    broker: SecureBroker, authority: str, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    broker.acls().grant_a_worker(site.prefix)
    wrong: Mapping[str, tuple[Keys, str]] = {
        "self-signed": (through(broker, Door.SELF_SIGNED, authority), "certificate verify failed"),
        "another-host": (through(broker, Door.WRONG_HOST, authority), "certificate verify failed"),
        "expired": (through(broker, Door.EXPIRED, authority), "certificate verify failed"),
        "no-certificate": (through(broker, Door.MUTUAL, authority), "does not answer"),
        "plain-to-tls": ({"kafka.bootstrap": broker.at(Door.TLS)}, "does not answer"),
        "tls-to-plain": (through(broker, Door.PLAIN, authority), "does not answer"),
        "password": (login(broker, authority, password=PASSWORD + "x"), "uthentication"),
        "password-plain": (login(broker, authority, "plain", password=PASSWORD + "x"), "uthentication"),
        "no-login": (through(broker, Door.LOGIN, authority), "does not answer"),
    }
    workers = {name: start(site, name, settings) for name, (settings, _) in wrong.items()}
    until = time.monotonic() + ENDS_WITHIN_S
    for name, worker in workers.items():
        settings, reason = wrong[name]
        assert str(settings["kafka.bootstrap"]) in worker.ended(until - time.monotonic()), name
        assert reason in worker.said, name


def test_a_login_without_tls_is_refused_before_anything_is_sent(broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path)
    settings = {**login(broker, "any"), "kafka.protocol": "sasl_plaintext", "kafka.bootstrap": broker.bootstrap}
    del settings["kafka.ca_file"]
    assert "without TLS" in start(site, "open", settings).ended(ENDS_WITHIN_S)


DENIED = {
    "read-a-source": (Stream.OUTCOMES, AclOperation.READ),
    "write-alerts": (Stream.ALERTS, AclOperation.WRITE),
    "describe-a-source": (Stream.PREDICTIONS, AclOperation.DESCRIBE),
    "the-group": (None, AclOperation.READ),
}
LONG = pytest.mark.long_fault
REVOKED = ["write-alerts", *(pytest.param(name, marks=LONG) for name in DENIED if name != "write-alerts")]


def grant_each(broker: SecureBroker, site: Site) -> None:
    """One grant for every topic, so that each can be taken away alone."""
    acls = broker.acls()
    for stream in Stream:
        acls.grant(
            ResourceType.TOPIC,
            site.topic(stream),
            AclOperation.READ,
            AclOperation.WRITE,
            AclOperation.DESCRIBE_CONFIGS,
            AclOperation.DESCRIBE,
        )
    acls.grant(ResourceType.GROUP, site.prefix, AclOperation.READ)


def revoke(broker: SecureBroker, site: Site, name: str) -> None:
    stream, operation = DENIED[name]
    if stream is None:
        broker.acls().revoke(ResourceType.GROUP, site.prefix, operation)
    else:
        for each in (operation,) if operation is not AclOperation.DESCRIBE else PERMITS_DESCRIBE:
            broker.acls().revoke(ResourceType.TOPIC, site.topic(stream), each)


PERMITS_DESCRIBE = (AclOperation.DESCRIBE, AclOperation.READ, AclOperation.WRITE)  # each of them lets one describe


@pytest.mark.parametrize("name", REVOKED)
def test_a_permission_taken_away_ends_the_worker_and_given_back_lets_it_go_on(
    name: str, broker: SecureBroker, authority: str, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    grant_each(broker, site)
    settings = login(broker, authority)
    worker = start(site, "worker", settings)
    with flow(site, 1_000.0):
        wait_for_work(worker)
        revoke(broker, site, name)
        said = worker.ended(ENDS_WITHIN_S)
    stream, _ = DENIED[name]
    assert (site.topic(stream) if stream else site.prefix) in said
    grant_each(broker, site)
    settle(site, [start(site, "worker", settings)])


def test_a_permission_to_page_that_is_taken_away_is_noticed_before_there_is_anything_to_page(
    broker: SecureBroker, authority: str, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    grant_each(broker, site)
    worker = start(site, "worker", login(broker, authority))
    traffic_on(site).send(100, PER_SECOND)  # far too few for an alert
    wait_for_traffic([worker])
    revoke(broker, site, "write-alerts")
    assert f"{site.topic(Stream.ALERTS)}: this user lacks Write" in worker.ended(ENDS_WITHIN_S)


def test_a_permission_that_is_missing_is_said_before_the_worker_reads(
    broker: SecureBroker, authority: str, tmp_path: Path, start: Start
):
    sites = {}
    for name in DENIED:
        folder = tmp_path / name
        folder.mkdir()
        site = sites[name] = site_on(broker.bootstrap, folder)
        grant_each(broker, site)
        revoke(broker, site, name)
    workers = {name: start(site, "worker", login(broker, authority)) for name, site in sites.items()}
    until = time.monotonic() + ENDS_WITHIN_S
    said = {name: worker.ended(until - time.monotonic()) for name, worker in workers.items()}
    named = {name: sites[name].topic(stream) if stream else sites[name].prefix for name, (stream, _) in DENIED.items()}
    assert {name: line for name, line in said.items() if named[name] not in line} == {}


@pytest.mark.long_fault
def test_another_authority_is_refused_until_it_is_trusted(
    broker: SecureBroker, authority: str, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    worker = start(site, "worker", through(broker, Door.TLS, authority))
    traffic = traffic_on(site)
    traffic.send(8_000, PER_SECOND)
    wait_for_traffic([worker])
    assert worker.stop() == 0
    changed = through(broker, Door.SELF_SIGNED, authority)
    refused = start(site, "worker", changed)
    refused.ended(ENDS_WITHIN_S)
    assert "certificate verify failed" in refused.said
    with Path(authority).open("a") as trusted:
        trusted.write(broker.certificates.stranger)
    traffic.send(4_000, PER_SECOND)
    settle(site, [start(site, "worker", changed)])
