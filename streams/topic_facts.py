"""What the brokers know of a topic beyond what aiokafka asks: its id, and what this user may do with it.

A topic that was deleted and made again has the same name and another id. aiokafka's own question is of an older version
(5); this one is version 10, which every broker since Kafka 2.8 answers. It never makes a topic. Of a group
aiokafka asks what this user may do with it, and does not read the answer.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from streams.errors import BrokerError

_NAMED = CompactString("utf-8")
_NO_ID = UUID(int=0)
_NOT_TOLD = -(2**31)  # of operations: the broker was not asked, or does not say


class Operation(IntEnum):
    """What Kafka lets a user do, by its place in the brokers' bit field."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


Allowed = Mapping[str, frozenset[Operation] | None]  # by topic: what this user may do; None where it is not told


class TopicFacts(NamedTuple):
    """A topic as the brokers have it; ``error`` where they do not show it."""

    error: type[KafkaError] | None
    id: str
    partitions: int
    operations: frozenset[Operation] | None  # None: not told


class _Uuid(AbstractType[UUID]):  # type: ignore[misc] # aiokafka is not typed
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: Any) -> UUID:
        return UUID(bytes=data.read(16))


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", _NAMED), ("port", Int32), ("rack", _NAMED), ("tags", TaggedFields)
            ),
        ),
        ("cluster_id", _NAMED),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _NAMED),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("in_sync", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_operations", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION: ClassVar[bool] = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _NAMED), ("tags", TaggedFields))),
        ("make_them", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Ask(Request[_Question]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_Question]) -> _Question:
        topics: list[tuple[UUID, str, dict[int, bytes]]] = [(_NO_ID, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, True, {})


class _GroupQuestion(DescribeGroupsRequest_v3):  # type: ignore[misc]
    RESPONSE_TYPE = DescribeGroupsResponse_v3


class _AskGroup(Request[_GroupQuestion]):  # type: ignore[misc]
    API_KEY = 15

    def __init__(self, name: str) -> None:
        self._name = name

    def build(self, request_struct_class: type[_GroupQuestion]) -> _GroupQuestion:
        return request_struct_class([self._name], True)


async def group_operations(client: AIOKafkaClient, coordinator: int, name: str) -> frozenset[Operation] | None:
    """What this user may do with a consumer group, be it there or not; raises what the broker answers."""
    answer = await client.send(coordinator, _AskGroup(name))
    (group,) = answer.to_object()["groups"]
    if group["error_code"]:
        raise for_code(group["error_code"])(name)
    return operations_of(group["authorized_operations"])


async def topic_facts(client: AIOKafkaClient, names: Collection[str]) -> Mapping[str, TopicFacts]:
    """By name, in the order asked for; from the first broker that answers, for one that is away may still be listed."""
    *others, last = (broker.nodeId for broker in client.cluster.brokers())
    for node in others:
        with suppress(KafkaError):
            return await _facts_of(client, node, names)
    return await _facts_of(client, last, names)


async def everywhere(client: AIOKafkaClient, names: Collection[str]) -> bool:
    """Whether every broker that answers shows all of them."""
    for broker in client.cluster.brokers():
        with suppress(KafkaError):
            if any(facts.error for facts in (await _facts_of(client, broker.nodeId, names)).values()):
                return False
    return True


async def _facts_of(client: AIOKafkaClient, node: int, names: Collection[str]) -> Mapping[str, TopicFacts]:
    try:
        answer = await client.send(node, _Ask(names))
    except (IncompatibleBrokerVersion, NotImplementedError) as error:
        advice = "use Kafka 2.8 or newer"
        raise BrokerError(
            "is too old: it does not tell the ids of topics", where="the broker", advice=advice
        ) from error
    topics = {topic["name"]: topic for topic in answer.to_object()["topics"]}
    return {name: _facts(topics[name]) for name in names}


def _facts(topic: Mapping[str, Any]) -> TopicFacts:
    code = topic["error_code"]
    return TopicFacts(
        for_code(code) if code else None,
        str(topic["topic_id"]),
        len(topic["partitions"] or ()),
        operations_of(topic["operations"]),
    )


def operations_of(bits: int) -> frozenset[Operation] | None:
    if bits == _NOT_TOLD:
        return None
    return frozenset(operation for operation in Operation if bits & (1 << operation))
