"""JSON Schema and AsyncAPI agree with the codec and with the golden examples."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import orjson
import pytest

from schemas.signatures import HEADER, signature
from schemas.spec import asyncapi, json_schema
from schemas.topics import CATALOGUE, Stream, TopicNames
from tests.schemas.examples import PREDICTION
from tests.schemas.golden import GOLDEN

EVENTS = jsonschema.Draft202012Validator(json_schema())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from references(part)


def resolve(document: Any, reference: str) -> Any:
    root, *names = reference.split("/")
    assert root == "#"
    for name in names:
        document = document[name]
    return document


def payload_validator(word: str) -> jsonschema.Draft7Validator:
    """As an AsyncAPI tool sees one message: draft 7, references into the whole document."""
    document = asyncapi()
    return jsonschema.Draft7Validator(
        document["components"]["messages"][word]["payload"] | {"components": document["components"]}
    )


@pytest.mark.parametrize("document", [json_schema(), asyncapi()], ids=["json_schema", "asyncapi"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert len(found) > 10
    assert all(resolve(document, reference) for reference in found)


def test_the_json_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_example_fits_the_json_schema(name: str) -> None:
    EVENTS.validate(orjson.loads(GOLDEN[name]))


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_example_fits_its_asyncapi_message(name: str) -> None:
    fields = orjson.loads(GOLDEN[name])
    payload_validator(fields["type"]).validate(fields)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"id": ""},
        {"model": "../etc"},
        {"ts": 1.5},
        {"ts": -1},
        {"features": {"": 1}},
        {"features": {"a": []}},
        {"prediction": None},
        {"score": 1.5},
        {"role": "spare"},
    ],
)
def test_what_the_codec_refuses_does_not_fit_the_json_schema(change: dict[str, Any]) -> None:
    assert EVENTS.is_valid(PREDICTION)
    assert not EVENTS.is_valid(PREDICTION | change)


def test_an_extra_field_fits_the_json_schema() -> None:
    assert EVENTS.is_valid(PREDICTION | {"extra": [1, 2]})


@pytest.mark.parametrize("name", ["v", "incident", "evidence", "position", "summary"])
def test_what_an_alert_always_has_is_required_of_it(name: str) -> None:
    alert = orjson.loads(GOLDEN["alert-opened"])
    del alert[name]
    assert not EVENTS.is_valid(alert)


@pytest.mark.parametrize("name", ["value", "threshold", "threshold_origin", "n", "baseline", "effect", "detail"])
def test_what_evidence_always_has_is_required_of_it(name: str) -> None:
    alert = orjson.loads(GOLDEN["alert-opened"])
    del alert["evidence"][name]
    assert not EVENTS.is_valid(alert)


def test_every_event_says_what_it_is() -> None:
    definitions = json_schema()["$defs"]
    assert [name for name, found in definitions.items() if "description" not in found] == ["Severity", "Verdict"]


def test_each_topic_is_a_channel_with_one_operation_from_driftlines_side() -> None:
    document = asyncapi()
    assert set(document["channels"]) == {str(stream) for stream in CATALOGUE}
    actions = {name: operation["action"] for name, operation in document["operations"].items()}
    assert actions == {
        "receive_predictions": "receive",
        "receive_outcomes": "receive",
        "receive_control": "receive",
        "send_alerts": "send",
        "send_retrain": "send",
        "send_signals": "send",
        "send_metrics": "send",
        "send_dead_letters": "send",
        "send_audit": "send",
    }


def test_the_signature_of_a_control_event_is_part_of_the_contract() -> None:
    messages = asyncapi()["components"]["messages"]
    pattern = messages["control"]["headers"]["properties"][HEADER]["pattern"]
    assert re.fullmatch(pattern, signature("ops-2026", b"secret", b"churn", b"{}").decode())
    assert "headers" not in messages["prediction"]


def test_channels_have_the_users_names() -> None:
    channels = asyncapi(TopicNames(alerts="ml.alerts"))["channels"]
    assert channels[Stream.ALERTS]["address"] == "ml.alerts"
    assert channels[Stream.ALERTS]["bindings"]["kafka"]["topic"] == "ml.alerts"
    assert channels[Stream.RETRAIN]["address"] == "driftline.retrain"


def test_both_are_plain_json_and_the_same_each_time() -> None:
    assert orjson.dumps(json_schema()) == orjson.dumps(json_schema())
    assert orjson.dumps(asyncapi()) == orjson.dumps(asyncapi())
