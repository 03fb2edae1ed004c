"""The topics on the brokers against the catalogue: made as it says, every difference told before a worker starts."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from schemas.topics import CATALOGUE, Cleanup, Direction, Stream, TimestampType, Topic
from streams.connection import Permissions, client_settings, start_client
from streams.errors import BrokerError, MistakesError
from streams.sections import KafkaSettings
from streams.topic_facts import Allowed, Operation, everywhere, topic_facts

VISIBLE_WITHIN_S = 20.0  # a busy cluster's controller tells its brokers within a second or two
VISIBLE_POLL_S = 0.1

_STAMPS, _SIZE, _CLEANUP = "message.timestamp.type", "max.message.bytes", "cleanup.policy"
_CREATE = "make it with `driftline topics create`"


class Made(StrEnum):
    """What became of one topic."""

    CREATED = "created"
    EXISTS = "exists"


class Found(NamedTuple):
    """A topic as the brokers have it."""

    partitions: int
    config: Mapping[str, str]  # empty where the brokers do not tell
    operations: frozenset[Operation] | None = None  # what this user may do with it; None where they do not tell


class Seen(NamedTuple):
    """The topics that are there, and of those that do not show themselves the line that says so."""

    found: Mapping[str, Found]
    refused: Mapping[str, str]

    @property
    def allowed(self) -> Allowed:
        return {name: topic.operations for name, topic in self.found.items()}


class TopicsError(MistakesError):
    """Every way in which the topics are not as a worker needs them."""


async def create(kafka: KafkaSettings) -> dict[str, Made]:
    """Makes every topic that is not there, as the catalogue says, and leaves the others as they are."""
    async with admin_of(kafka) as admin:
        response = await admin.create_topics([_new(topic, kafka) for topic in CATALOGUE.values()])
        outcomes, problems = {}, []
        for name, code, message in response.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                problems.append(f"{name}: could not be made: {message or error.description}; {_advice(error, kafka)}")
            outcomes[name] = Made.EXISTS if code else Made.CREATED
        if problems:
            raise TopicsError(problems)
        await _until_visible(admin, list(outcomes))
    return outcomes


async def _until_visible(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    """A topic is made before every broker has heard of it; who asks at once would be told that it is not there."""
    try:
        async with asyncio.timeout(VISIBLE_WITHIN_S):
            while not await everywhere(admin._client, names):  # noqa: ASYNC110
                await asyncio.sleep(VISIBLE_POLL_S)
    except TimeoutError as error:
        raise BrokerError(f"made the topics but does not show them within {VISIBLE_WITHIN_S:g} s") from error


async def verify(kafka: KafkaSettings, permissions: Permissions = Permissions()) -> None:  # noqa: B008 - it refuses all
    """Raises ``TopicsError`` where the topics that are there would make a worker fail, lose or reorder."""
    async with admin_of(kafka) as admin:
        seen = await look(admin, kafka)
    if problems := wrong(kafka, seen, permissions):
        raise TopicsError(problems)


def wrong(kafka: KafkaSettings, seen: Seen, permissions: Permissions) -> list[str]:
    """Everything that is wrong with the topics, a line each."""
    return [*seen.refused.values(), *differences(kafka, seen.found, permissions, unknown=seen.refused)]


def differences(
    kafka: KafkaSettings,
    found: Mapping[str, Found],
    permissions: Permissions = Permissions(),  # noqa: B008
    unknown: Collection[str] = (),
) -> Iterator[str]:
    """One line each: what is wrong with which topic, and what to do."""
    by_count = _partition_counts(found)
    for stream, topic in CATALOGUE.items():
        name = kafka.topics.of(stream)
        if name in unknown:
            continue
        if name not in found:
            yield f"{name}: is not there; {_CREATE}"
            continue
        yield from _config_differences(name, topic, found[name].config, permissions)
    if len(by_count) > 1:
        counts = "; ".join(f"{count} in {', '.join(sorted(names))}" for count, names in sorted(by_count.items()))
        yield (
            f"kafka.topics: the topics have different numbers of partitions: {counts}; records that belong together "
            "would not meet: make the smaller ones anew with the number of the largest"
        )


def _config_differences(name: str, topic: Topic, config: Mapping[str, str], permissions: Permissions) -> Iterator[str]:
    is_input = topic.direction is Direction.IN
    stamps = config.get(_STAMPS, TimestampType.LOG_APPEND_TIME)
    if is_input and stamps != TimestampType.LOG_APPEND_TIME and not permissions.create_time:
        yield (
            f"{name}: {_STAMPS} is {stamps}: producers' clocks would order the records, and each that comes late "
            f"by them would be told as a signal; {_alter(name, _STAMPS, TimestampType.LOG_APPEND_TIME)}, "
            "or accept it with kafka.allow_create_time = true"
        )
    if Cleanup.COMPACT in config.get(_CLEANUP, topic.cleanup):
        lost = "records that a rebuild needs" if is_input else "events, and they would be sent again"
        yield f"{name}: {_CLEANUP} is {config[_CLEANUP]}: it drops {lost}; {_alter(name, _CLEANUP, Cleanup.DELETE)}"
    size = int(config.get(_SIZE, topic.max_message_bytes))
    if not is_input and size < topic.max_message_bytes:
        yield (
            f"{name}: {_SIZE} is {size:,}: an event may have {topic.max_message_bytes:,} bytes; "
            f"{_alter(name, _SIZE, str(topic.max_message_bytes))}"
        )


def _partition_counts(found: Mapping[str, Found]) -> dict[int, list[str]]:
    by_count: dict[int, list[str]] = {}
    for name, topic in found.items():
        by_count.setdefault(topic.partitions, []).append(name)
    return by_count


def _alter(name: str, key: str, value: str) -> str:
    what = f"--entity-type topics --entity-name {name} --add-config {key}={value}"
    return f"kafka-configs.sh --bootstrap-server HOST:PORT --alter {what}"


def _new(topic: Topic, kafka: KafkaSettings) -> NewTopic:
    return NewTopic(kafka.topics.of(topic.stream), kafka.partitions, kafka.replication, topic_configs=topic.config())


def _advice(error: type[KafkaError], kafka: KafkaSettings) -> str:
    if error.__name__.endswith("AuthorizationFailedError"):
        return "allow this user to create topics, or have somebody make them"
    return f"see kafka.partitions = {kafka.partitions} and kafka.replication = {kafka.replication}"


async def look(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> Seen:
    names = [kafka.topics.of(stream) for stream in Stream]
    found, refused = {}, {}
    for name, facts in (await topic_facts(admin._client, names)).items():
        if facts.error is None:
            found[name] = Found(facts.partitions, {}, facts.operations)
        elif facts.error is not UnknownTopicOrPartitionError:
            refused[name] = f"{name}: cannot be looked at: {facts.error.description}; allow this user to describe it"
    configs = await _configs(admin, list(found)) if found else {}
    for name, config in configs.items():
        if isinstance(config, str):
            refused[name] = f"{name}: its settings cannot be read: {config}; allow this user to describe them"
        else:
            found[name] = found[name]._replace(config=config)
    return Seen(found, refused)


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str] | str]:
    """By topic its settings, or why they cannot be read."""
    keys = dict.fromkeys((_STAMPS, _SIZE, _CLEANUP))
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs=keys) for name in names]
    return {
        name: (message or for_code(code).description) if code else {entry[0]: entry[1] for entry in entries}
        for response in await admin.describe_configs(resources)
        for code, message, _, name, entries in response.resources
    }


@asynccontextmanager
async def admin_of(kafka: KafkaSettings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**client_settings(kafka))
    try:
        await start_client(admin)
        yield admin
    except KafkaError as error:
        advice = "see whether kafka.bootstrap is right and the brokers run"
        raise BrokerError(f"does not answer as it should: {error}", where=kafka.bootstrap, advice=advice) from error
    finally:
        await admin.close()
