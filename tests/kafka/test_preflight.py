"""What is told before a worker runs: every mistake at once, on real brokers, with and without permissions."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import codec
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)
from confluent_kafka.admin import AclOperation, AdminClient, ResourceType

from load.brokers.secure import PASSWORD, USER, Door, SecureBroker, secure_broker
from schemas.topics import Stream
from streams.preflight import PreflightError, _group, check
from streams.secrets import Secret
from streams.sections import StateSettings, WorkerSettings
from streams.settings import Settings
from tests.transport.workers import make_topics, settings_for

pytestmark = pytest.mark.broker

PATIENCE_S = 20.0


def settings_in(bootstrap: str, folder: Path, **state: str) -> Settings:
    places = {"dir": str(folder / "state"), "checkpoints": str(folder / "checkpoints"), "disk_free_min": "1MiB"}
    return msgspec.structs.replace(settings_for(bootstrap), state=StateSettings(**{**places, **state}))


def told(settings: Settings) -> list[str]:
    try:
        asyncio.run(check(settings))
    except PreflightError as error:
        return list(error.lines)
    return []


def told_at_last(settings: Settings, lines: int) -> list[str]:
    """What is told once the broker has taken in what the test granted."""
    until = time.monotonic() + PATIENCE_S
    while len(told(settings)) != lines and time.monotonic() < until:
        pass
    return told(settings)


def test_a_worker_that_has_all_it_needs_is_told_nothing_and_nothing_is_made(bootstrap: str, tmp_path: Path):
    settings = settings_in(bootstrap, tmp_path)
    make_topics(settings)
    assert told(settings) == []
    assert list(tmp_path.iterdir()) == []


def test_mistakes_of_all_kinds_are_told_at_once(bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    settings = settings_in(bootstrap, tmp_path, checkpoints=str(tmp_path / "file" / "c"), disk_free_min="1024TiB")
    make_topics(settings)
    control = settings.kafka.topics.of(Stream.CONTROL)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([control])[control].result(20)
    monkeypatch.setattr(codec, "zstd_decode", lambda _: b"")
    lines = told_at_last(settings, 4)
    assert "compressed with zstd" in lines[0]
    assert f"{tmp_path / 'file'} is no directory" in lines[1]
    assert "less than state.disk_free_min, 1024TiB" in lines[2]
    assert lines[3].startswith(f"{control}: is not there")
    assert len(lines) == 4


def test_topics_that_are_asked_about_are_never_made_by_the_question(bootstrap: str, tmp_path: Path):
    settings = settings_in(bootstrap, tmp_path)
    assert len(told(settings)) == len(Stream)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = admin.list_topics(timeout=20).topics
    assert [name for name in names if name.startswith(settings.kafka.group)] == []


def test_brokers_that_do_not_answer_do_not_hide_the_other_mistakes(tmp_path: Path):
    (tmp_path / "file").touch()
    lines = told(settings_in("127.0.0.1:9", tmp_path, dir=str(tmp_path / "file")))
    assert [line.partition(":")[0] for line in lines] == [f"state.dir = {tmp_path / 'file'}", "127.0.0.1"]


def test_a_group_whose_coordinator_is_still_loading_is_asked_again():
    answers: list[type[KafkaError]] = [GroupLoadInProgressError, NotCoordinatorForGroupError]

    class Moving:
        _client = None

        async def find_coordinator(self, _group: str) -> int:
            raise answers.pop(0) if answers else GroupAuthorizationFailedError

    kafka = settings_for("127.0.0.1:9").kafka
    (line,) = asyncio.run(_group(Moving(), kafka))
    assert (answers, line) == ([], f"kafka.group = {kafka.group}: this user lacks Read on the consumer group; allow it")


def test_state_in_memory_needs_no_directory(bootstrap: str, tmp_path: Path):
    (tmp_path / "file").touch()
    state = StateSettings(dir=str(tmp_path / "file"), memory=True)
    settings = msgspec.structs.replace(settings_for(bootstrap), state=state)
    make_topics(settings)
    assert told(settings) == []


@pytest.fixture(scope="module")
def secure() -> Iterator[SecureBroker]:
    with secure_broker() as broker:
        yield broker


def as_user(broker: SecureBroker, tmp_path: Path, **worker: str) -> Settings:
    """Topics that the plain door made, and a user who may do nothing with them yet."""
    settings = settings_in(broker.bootstrap, tmp_path)
    make_topics(settings)
    authority = tmp_path / "authority.pem"
    authority.write_text(broker.certificates.authority)
    kafka = msgspec.structs.replace(
        settings.kafka,
        bootstrap=broker.at(Door.LOGIN),
        protocol="sasl_ssl",
        sasl_mechanism="scram-sha-256",
        username=USER,
        password=Secret(PASSWORD),
        ca_file=str(authority),
    )
    return msgspec.structs.replace(settings, kafka=kafka, worker=WorkerSettings(**worker))


def test_a_user_with_every_permission_that_a_worker_needs_is_told_nothing(secure: SecureBroker, tmp_path: Path):
    settings = as_user(secure, tmp_path)
    secure.acls().grant_a_worker(settings.kafka.group)
    assert told_at_last(settings, 0) == []


def test_every_permission_that_is_missing_is_named(secure: SecureBroker, tmp_path: Path):
    settings = as_user(secure, tmp_path)
    names = settings.kafka.topics
    describe = (AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
    for stream in Stream:
        if stream not in (Stream.SIGNALS, Stream.METRICS):
            secure.acls().grant(ResourceType.TOPIC, names.of(stream), *describe, AclOperation.READ, AclOperation.WRITE)
    secure.acls().grant(ResourceType.TOPIC, names.metrics, AclOperation.DESCRIBE)
    for name, operation in ((names.alerts, AclOperation.READ), (names.control, AclOperation.WRITE)):
        secure.acls().revoke(ResourceType.TOPIC, name, operation)
    lines = told_at_last(settings, 6)
    assert f"{names.alerts}: this user lacks Read on the topic; allow it" in lines
    assert f"{names.control}: this user lacks Write on the topic; allow it, or set worker.tick_interval to 0s" in lines
    assert f"{names.metrics}: this user lacks Read and Write on the topic; allow it" in lines
    assert any(line.startswith(f"{names.metrics}: its settings cannot be read") for line in lines)
    assert any(line.startswith(f"{names.signals}: cannot be looked at") for line in lines)
    group = settings.kafka.group
    assert f"kafka.group = {group}: this user lacks Read on the consumer group; allow it" in lines
    assert len(lines) == 6


def test_who_writes_no_ticks_need_not_write_to_the_control_topic(secure: SecureBroker, tmp_path: Path):
    settings = as_user(secure, tmp_path, tick_interval="0s")
    for stream in Stream:
        read_only = (AclOperation.READ, AclOperation.DESCRIBE_CONFIGS)
        write = () if stream is Stream.CONTROL else (AclOperation.WRITE,)
        secure.acls().grant(ResourceType.TOPIC, settings.kafka.topics.of(stream), *read_only, *write)
    secure.acls().grant(ResourceType.GROUP, settings.kafka.group, AclOperation.READ)
    assert told_at_last(settings, 0) == []
