"""A permission that is taken away ends a worker; an answer that is behind, or none, does not."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.topics import CATALOGUE, Stream, TopicNames
from streams import grants
from streams.sections import KafkaSettings
from streams.topic_facts import Operation

NAMES = TopicNames()
ALL = dict.fromkeys([NAMES.of(stream) for stream in CATALOGUE], frozenset({Operation.READ, Operation.WRITE}))
ALERTS_LOST: Mapping[str, frozenset[Operation]] = {**ALL, NAMES.of(Stream.ALERTS): frozenset({Operation.READ})}


class AllAnsweredError(Exception):
    """All that was to be answered is."""


async def look(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
    monkeypatch.setattr(grants, "LOOK_EVERY_S", 0.0)
    left = list(answers)

    async def operations(_: Any) -> Any:
        if not left:
            raise AllAnsweredError
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    await grants.keep_looking(KafkaSettings(topics=NAMES), SimpleNamespace(operations=operations), ticks=True)  # type: ignore[arg-type]


async def test_two_looks_in_a_row_must_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        grants.PermissionTakenError, match=f"{NAMES.of(Stream.ALERTS)}: this user lacks Write on the topic"
    ):
        await look(monkeypatch, ALL, ALERTS_LOST, ALERTS_LOST)
    with pytest.raises(AllAnsweredError):
        await look(monkeypatch, ALERTS_LOST, ALL, ALERTS_LOST, ALL)


async def test_brokers_that_are_away_or_do_not_tell_take_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AllAnsweredError):
        await look(monkeypatch, KafkaConnectionError("away"), dict.fromkeys(ALL), ALL, KafkaConnectionError("away"))


async def test_between_two_looks_brokers_may_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(grants.PermissionTakenError):
        await look(monkeypatch, ALERTS_LOST, KafkaConnectionError("away"), ALERTS_LOST)
