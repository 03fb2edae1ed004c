"""The contract for machines: JSON Schema of every event, AsyncAPI of every topic, both made from the events."""

from typing import Any

import msgspec

from schemas.codec import DEAD_VALUE_BYTES_MAX
from schemas.events import INPUTS, OUTPUTS, Event, Evidence, event_type
from schemas.signatures import HEADER
from schemas.topics import CATALOGUE, Direction, Stream, Topic, TopicNames

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_VERSION = "3.0.0"
KAFKA_BINDING_VERSION = "0.5.0"
CONTRACT_VERSION = "1.0.0"  # of events and topics, not of the program

_EVENTS: tuple[type[Event], ...] = (*INPUTS, *OUTPUTS)
_BY_WORD = {event_type(cls): cls for cls in _EVENTS}


def json_schema() -> dict[str, Any]:
    """One schema that any record on any topic fits, with each event under its name in ``$defs``."""
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "title": "Driftline events, version 1",
        "oneOf": [{"$ref": f"#/$defs/{cls.__name__}"} for cls in _EVENTS],
        "$defs": _definitions("#/$defs/{name}"),
    }


def asyncapi(names: TopicNames | None = None) -> dict[str, Any]:
    """All topics, from Driftline's side: it receives what comes in and sends what goes out."""
    names = names or TopicNames()
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Driftline",
            "version": CONTRACT_VERSION,
            "description": "Watches machine-learning models in production. All topics have equally many partitions.",
        },
        "defaultContentType": "application/json",
        "channels": {stream.value: _channel(topic, names.of(stream)) for stream, topic in CATALOGUE.items()},
        "operations": {_operation_name(topic): _operation(topic) for topic in CATALOGUE.values()},
        "components": {
            "messages": {word: _message(topic, word) for topic in CATALOGUE.values() for word in topic.events},
            "schemas": _definitions("#/components/schemas/{name}"),
        },
    }


def cloud_event_headers(word: str) -> dict[str, Any]:
    """CloudEvents in binary mode: the attributes of an output stand in the record's headers."""
    text = {"type": "string"}
    properties = {
        "ce_specversion": text | {"const": "1.0"},
        "ce_id": text | {"description": "The event's id."},
        "ce_type": text | {"const": f"driftline.{word}.v1"},
        "ce_source": text | {"pattern": "^driftline/[0-9]+$", "description": "driftline/ and the input partition."},
        "content-type": text | {"const": "application/json"},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def signature_header() -> dict[str, Any]:
    """Of a control event, where keys are configured."""
    about = "Name of the key, and HMAC-SHA256 over driftline-control-v1, the key and the value of the record."
    given = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,200}:[0-9a-f]{64}$", "description": about}
    return {"type": "object", "properties": {HEADER: given}}


def _definitions(template: str) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components(_EVENTS, ref_template=template)
    for cls in INPUTS:
        # Extra fields are left aside and counted, not refused: the strictness is the decoder's, not the contract's.
        del definitions[cls.__name__]["additionalProperties"]
    for sent in OUTPUTS:
        definitions[sent.__name__]["required"] = ["type", *_always_written(sent)]
    definitions["Evidence"]["required"] = _always_written(Evidence)
    letter = definitions["DeadLetter"]["properties"]
    letter["value"]["description"] += f" At most {DEAD_VALUE_BYTES_MAX} bytes of the original."
    # Pairs said in the words that older dialects share: AsyncAPI tools read draft 7.
    letter["headers"]["items"] = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
    return dict(sorted(definitions.items()))


def _always_written(cls: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(cls) if field.default is not None]


def _channel(topic: Topic, name: str) -> dict[str, Any]:
    config = {
        "cleanup.policy": [topic.cleanup.value],
        "retention.ms": topic.retention_ms,
        "max.message.bytes": topic.max_message_bytes,
    }
    return {
        "address": name,
        "description": f"{topic.about} Key: {topic.key}. Timestamps: {topic.timestamp_type.value}.",
        "messages": {word: {"$ref": f"#/components/messages/{word}"} for word in topic.events},
        "bindings": {
            "kafka": {"topic": name, "topicConfiguration": config, "bindingVersion": KAFKA_BINDING_VERSION},
        },
    }


def _operation_name(topic: Topic) -> str:
    verb = "receive" if topic.direction is Direction.IN else "send"
    return f"{verb}_{topic.stream.value}"


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{topic.stream.value}"
    return {
        "action": "receive" if topic.direction is Direction.IN else "send",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{word}"} for word in topic.events],
    }


def _message(topic: Topic, word: str) -> dict[str, Any]:
    key = {"type": "string", "description": topic.key}
    message: dict[str, Any] = {
        "name": word,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{_BY_WORD[word].__name__}"},
        "bindings": {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING_VERSION}},
    }
    if topic.direction is Direction.OUT:
        message["headers"] = cloud_event_headers(word)
    elif topic.stream is Stream.CONTROL:
        message["headers"] = signature_header()
    return message
