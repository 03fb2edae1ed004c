"""docs/events.md says what the code does: names, reasons and needs are compared, and its examples at least compile."""

import re
from pathlib import Path

import msgspec
import pytest

import schemas
from schemas.codec import ACTION_NEEDS
from schemas.events import (
    INPUTS,
    AlertEvent,
    Audit,
    ControlAction,
    Evidence,
    ExpectedGain,
    Kind,
    LabelCounts,
    Position,
    Retrain,
    Rollback,
    Severity,
    TrainingData,
)
from schemas.reasons import AuditResult, DeadLetterReason
from schemas.spec import cloud_event_headers
from schemas.times import UNIT_MS
from schemas.topics import CATALOGUE, Stream

PAGE = (Path(schemas.__file__).parents[1] / "docs" / "events.md").read_text()
WORDS = set(re.findall(r"`([^`\n]+)`", PAGE))


def table(title: str) -> list[list[str]]:
    """The rows of the first table whose head begins with a word; code marks aside."""
    lines = iter(PAGE.splitlines())
    while not next(lines).startswith(f"| {title} |"):
        pass
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return rows


def test_every_dead_letter_reason_stands_in_the_page() -> None:
    rows = table("reason")
    assert [row[0] for row in rows] == [str(reason) for reason in DeadLetterReason]
    assert all(row[1] for row in rows)


def test_every_result_of_a_control_event_stands_in_the_page() -> None:
    rows = table("result")
    assert [row[0] for row in rows] == [str(result) for result in AuditResult]
    assert all(row[1] for row in rows)


def test_the_topics_are_those_of_the_catalogue() -> None:
    rows = [
        [
            topic.name,
            str(topic.direction),
            ", ".join(topic.events),
            topic.key,
            f"{topic.retention_ms // UNIT_MS['d']} days",
        ]
        for topic in CATALOGUE.values()
    ]
    assert table("topic") == rows


def test_what_an_action_needs_is_what_the_codec_asks_for() -> None:
    needs = {action: ", ".join(("model", *ACTION_NEEDS.get(action, ()))) for action in ControlAction}
    needs[ControlAction.TICK] = "nothing"
    assert table("action") == [[str(action), said] for action, said in needs.items()]


@pytest.mark.parametrize(
    "cls", [*INPUTS, Evidence, Position, Retrain, ExpectedGain, Rollback, TrainingData, LabelCounts, Audit]
)
def test_every_field_stands_in_the_page(cls: type[msgspec.Struct]) -> None:
    assert set(cls.__struct_fields__) - WORDS == set()


@pytest.mark.parametrize("words", [Kind, Severity, AlertEvent], ids=lambda cls: str(cls.__name__))
def test_every_word_of_an_alert_stands_in_the_page(words: type[Kind] | type[Severity] | type[AlertEvent]) -> None:
    assert {str(word) for word in words} - WORDS == set()


def test_the_headers_are_those_of_the_published_contract() -> None:
    assert [row[0] for row in table("header")] == list(cloud_event_headers("alert")["properties"])
    types = {cloud_event_headers(word)["properties"]["ce_type"]["const"] for word in _output_words()}
    assert types <= WORDS


def test_the_examples_compile_and_ask_for_the_bootstrap_address() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "events.md", "exec")
        assert 'os.environ["BOOTSTRAP"]' in block
        assert sum(bool(line.strip()) for line in block.splitlines()) <= 12


def _output_words() -> set[str]:
    inputs = {Stream.PREDICTIONS, Stream.OUTCOMES, Stream.CONTROL}
    return {word for stream, topic in CATALOGUE.items() if stream not in inputs for word in topic.events}
