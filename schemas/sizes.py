"""Events that are larger than their topic takes, cut to size. Whatever a record holds, what it causes can be written.

Texts and lists are shortened in steps, all alike, until the event fits: what is long goes first and what is short stays
whole. The same event and limit always give the same cut. A text that was cut ends in ``…~`` and a hash of the whole, so
that two that differ still do; the event says ``cut`` where it has a place for it.
"""

from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from schemas.codec import decode_output, encode
from schemas.events import Alert, DeadLetter, Metrics, Output, Rollback, Signal

LIMIT_MIN = 16 * 1024  # bytes that any event can be cut to: the last step leaves less
MARK = "cut"
_MORE = "…"
_HASH_BYTES = 4
_NEVER = frozenset({"type", "id", "incident", "topic"})  # what an event is known by; all of them are short
_MAPS = frozenset({"detail", "values"})  # objects whose names come from the data
_BASE64 = frozenset({"key", "value", "headers"})  # of a dead letter: cut so that it still decodes


class _Step(NamedTuple):
    characters: int  # of a text
    entries: int  # of a list or an object


_STEPS = (_Step(4_096, 1_000), _Step(1_024, 200), _Step(256, 50), _Step(64, 10))


def fit(event: Output, limit: int) -> Output:
    """The event itself where its encoding has at most so many bytes, else one that has."""
    if limit < LIMIT_MIN:
        raise ValueError(f"no event can be cut to {limit} bytes: at least {LIMIT_MIN}")
    encoded = encode(event)
    if len(encoded) <= limit:
        return event
    whole = orjson.loads(encoded)
    for step in _STEPS:
        shorter = _marked(event, _object(whole, step, is_dead_letter=isinstance(event, DeadLetter)))
        if len(encode(shorter)) <= limit:
            break
    return shorter


def _marked(event: Output, fields: dict[str, Any]) -> Output:
    if isinstance(event, Alert | Signal | Rollback):
        fields["evidence"]["detail"][MARK] = True
    elif isinstance(event, Metrics):
        fields["values"][MARK] = 1
    elif isinstance(event, DeadLetter):
        fields["truncated"] = True
    return decode_output(orjson.dumps(fields))


def _object(fields: dict[str, Any], step: _Step, *, is_dead_letter: bool = False) -> dict[str, Any]:
    return {name: _field(name, value, step, is_dead_letter=is_dead_letter) for name, value in fields.items()}


def _field(name: str, value: Any, step: _Step, *, is_dead_letter: bool) -> Any:
    if name in _NEVER:
        return value
    if is_dead_letter and name in _BASE64:
        return _base64(value, step)
    if isinstance(value, str):
        return _text(value, step)
    if isinstance(value, list):
        kept = [_text(item, step) for item in value[: step.entries]]
        return kept if len(value) <= step.entries else [*kept[:-1], _MORE]
    if isinstance(value, dict):
        return _map(value, step) if name in _MAPS else _object(value, step)
    return value


def _map(entries: dict[str, Any], step: _Step) -> dict[str, Any]:
    first = list(entries.items())[: step.entries]
    return {_text(name, step): _text(value, step) if isinstance(value, str) else value for name, value in first}


def shortened(text: str, characters: int) -> str:
    """At most so many characters of it."""
    if len(text) <= characters:
        return text
    end = f"{_MORE}~{blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()}"
    return text[: characters - len(end)] + end


def _text(text: str, step: _Step) -> str:
    return shortened(text, step.characters)


def _base64(value: Any, step: _Step) -> Any:
    if isinstance(value, str):
        return value[: step.characters // 4 * 4]  # four characters are three bytes
    if isinstance(value, list):
        return [[_text(name, step), _base64(content, step)] for name, content in value[: step.entries]]
    return value
