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
from streams.connection import Permissions, client_settings
from streams.errors import BrokerError, DriftlineError
from streams.sections import KafkaSettings

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


class TopicsError(DriftlineError):
    """Every way in which the topics are not as a worker needs them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))

    @property
    def lines(self) -> Sequence[str]:
        return self.problems


async def create(kafka: KafkaSettings) -> dict[str, Made]:
    """Makes every topic that is not there, as the catalogue says, and leaves the others as they are."""
    async with _admin(kafka) as admin:
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
            while any(topic["error_code"] for topic in await admin.describe_topics(list(names))):  # noqa: ASYNC110
                await asyncio.sleep(VISIBLE_POLL_S)
    except TimeoutError as error:
        raise BrokerError(f"made the topics but does not show them within {VISIBLE_WITHIN_S:g} s") from error


async def verify(kafka: KafkaSettings, permissions: Permissions = Permissions()) -> None:  # noqa: B008 - it refuses all
    """Raises ``TopicsError`` where the topics that are there would make a worker fail, lose or reorder."""
    async with _admin(kafka) as admin:
        found, refused = await _look(admin, [kafka.topics.of(stream) for stream in Stream])
    problems = refused + list(differences(kafka, found, permissions, unknown={line.split(":")[0] for line in refused}))
    if problems:
        raise TopicsError(problems)


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
            f"{name}: {_STAMPS} is {stamps}: producers' clocks would order the records, and a replay could disagree "
            f"with what live decided; {_alter(name, _STAMPS, TimestampType.LOG_APPEND_TIME)}, "
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


async def _look(admin: AIOKafkaAdminClient, names: Sequence[str]) -> tuple[dict[str, Found], list[str]]:
    """What is there, and what cannot be seen."""
    partitions, refused = {}, []
    for topic in await admin.describe_topics(list(names)):
        name, error = topic["topic"], for_code(topic["error_code"])
        if not topic["error_code"]:
            partitions[name] = len(topic["partitions"])
        elif error is not UnknownTopicOrPartitionError:
            refused.append(f"{name}: cannot be looked at: {error.description}; allow this user to describe it")
    configs = await _configs(admin, list(partitions)) if partitions else {}
    return {name: Found(count, configs.get(name, {})) for name, count in partitions.items()}, refused


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    keys = dict.fromkeys((_STAMPS, _SIZE, _CLEANUP))
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs=keys) for name in names]
    configs: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in response.resources:
            if code:
                raise BrokerError(
                    f"its settings cannot be read: {message or for_code(code).description}",
                    where=name,
                    advice="allow this user to describe the topic's configuration",
                )
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


@asynccontextmanager
async def _admin(kafka: KafkaSettings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**client_settings(kafka))
    try:
        await admin.start()
        yield admin
    except KafkaError as error:
        advice = "see whether kafka.bootstrap is right and the brokers run"
        raise BrokerError(f"does not answer as it should: {error}", where=kafka.bootstrap, advice=advice) from error
    finally:
        await admin.close()
