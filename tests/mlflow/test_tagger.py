"""What the monitor advises stands in the registry once, whatever fails on the way."""

import pytest
from prometheus_client import CollectorRegistry

from streams.mlflow.advice import Advice, read, tags
from streams.mlflow.metrics import MlflowMetrics
from streams.mlflow.names import Names
from streams.mlflow.registry import RegistryError, Trouble
from streams.mlflow.tagger import Fate, Tagger
from streams.sections import MlflowSettings
from tests.mlflow.registry import ALIAS, NOW, MemoryRegistry, event

WANTED = {
    "driftline.retrain.at": "2026-01-01T00:00:00.001Z",
    "driftline.retrain.reason": "concept_drift",
    "driftline.retrain.version": "7",
    "driftline.retrain.incidents": "inc-1",
    "driftline.retrain.data": "driftline.predictions[3] 40..90",
    "driftline.retrain.span": "2025-12-31T23:59:59.000Z..2026-01-01T00:00:00.000Z",
    "driftline.retrain.expected_gain": "0.05 (0.01..0.09)",
    "driftline.retrain": "retrain-1",
}


def advice(kind: str = "retrain", number: int = 1, **fields: object) -> Advice:
    made = read(event(kind, number, **fields))
    assert made is not None
    return made


def rollback(number: int = 1, **fields: object) -> Advice:
    return advice("rollback", number, **{"version": "8", "to_version": "7", "incidents": ["inc-1"], **fields})


def tagger(registry: MemoryRegistry, settings: MlflowSettings = MlflowSettings(), now: float = NOW) -> Tagger:  # noqa: B008
    metrics = MlflowMetrics(CollectorRegistry())
    return Tagger(registry, Names(settings), ALIAS, metrics, lambda: now, apply_rollbacks=settings.apply_rollbacks)


@pytest.fixture
def registry() -> MemoryRegistry:
    made = MemoryRegistry()
    made.add("churn", "6", "7", "8", live="8")
    return made


async def test_a_retrain_stands_at_the_model_and_at_the_version_that_asked(registry: MemoryRegistry) -> None:
    assert await tagger(registry).take(advice()) is Fate.TAGGED
    assert (registry.tags["churn"], registry.versions["churn"]["7"]) == (WANTED, WANTED)
    assert registry.versions["churn"]["8"] == {}


async def test_without_a_version_it_stands_at_the_live_one(registry: MemoryRegistry) -> None:
    await tagger(registry).take(advice(version=None))
    assert registry.versions["churn"]["8"]["driftline.retrain"] == "retrain-1"


async def test_the_same_event_again_changes_nothing(registry: MemoryRegistry) -> None:
    await tagger(registry).take(advice())
    registry.calls.clear()
    assert await tagger(registry).take(advice()) is Fate.REPEATED
    assert registry.writes() == []


async def test_an_earlier_event_that_comes_again_does_not_hide_a_later_one(registry: MemoryRegistry) -> None:
    await tagger(registry).take(advice(number=2))
    assert await tagger(registry).take(advice(number=1)) is Fate.OVERTAKEN
    assert registry.tags["churn"]["driftline.retrain"] == "retrain-2"


async def test_wherever_it_breaks_off_the_next_try_completes_it(registry: MemoryRegistry) -> None:
    """The id is the last that stands: before, the event is taken again."""
    broken = 0
    while True:
        registry.calls.clear()
        registry.fails = lambda call: (
            RegistryError(Trouble.NETWORK, "away") if len(registry.calls) > broken else None  # noqa: B023
        )
        try:
            assert await tagger(registry).take(advice()) is Fate.TAGGED
        except RegistryError:
            assert "driftline.retrain" not in registry.tags["churn"]
            broken += 1
            continue
        break
    assert broken == 2 + 2 * len(WANTED)
    assert registry.tags["churn"] == registry.versions["churn"]["7"] == WANTED


async def test_what_is_not_known_leaves_nothing_of_the_event_before(registry: MemoryRegistry) -> None:
    await tagger(registry).take(advice())
    await tagger(registry).take(advice(number=2, data=None, incidents=None, alerts=[], reason="", expected_gain=None))
    tags = registry.tags["churn"]
    assert [tags[f"driftline.retrain.{name}"] for name in ("data", "span", "incidents", "reason", "expected_gain")] == [
        ""
    ] * 5


async def test_a_version_that_is_not_in_the_registry_leaves_the_models_tags(registry: MemoryRegistry) -> None:
    assert await tagger(registry).take(advice(version="2026.02.1")) is Fate.TAGGED
    assert await tagger(registry).take(advice(number=2, version="99")) is Fate.TAGGED
    assert registry.tags["churn"]["driftline.retrain.version"] == "99"
    assert registry.versions["churn"] == {"6": {}, "7": {}, "8": {}}


async def test_a_versions_name_in_predictions_may_be_a_tag(registry: MemoryRegistry) -> None:
    registry.versions["churn"]["6"]["release"] = "2026.02.1"
    settings = MlflowSettings(version_tag="release")
    await tagger(registry, settings).take(advice(version="2026.02.1"))
    assert registry.versions["churn"]["6"]["driftline.retrain"] == "retrain-1"


async def test_a_model_may_have_another_name_in_the_registry(registry: MemoryRegistry) -> None:
    registry.add("prod-churn", "7")
    await tagger(registry, MlflowSettings(models={"churn": "prod-churn"})).take(advice())
    assert ("driftline.retrain" in registry.tags["prod-churn"], registry.tags["churn"]) == (True, {})


async def test_an_unknown_model_is_told_once_and_holds_nothing_up(
    registry: MemoryRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tagger(registry)
    fates = [await mine.take(advice(number=number, model="price")) for number in (1, 2)]
    assert fates == [Fate.UNKNOWN_MODEL, Fate.UNKNOWN_MODEL]
    assert capsys.readouterr().out.count("was not taken") == 1


async def test_what_the_registry_refuses_for_good_is_left(registry: MemoryRegistry) -> None:
    registry.fails = lambda call: RegistryError(Trouble.REFUSED, "status 400") if "tag_" in call else None
    assert await tagger(registry).take(advice()) is Fate.REFUSED


async def test_a_rollback_sets_tags_and_moves_nothing_unless_allowed(registry: MemoryRegistry) -> None:
    assert await tagger(registry).take(rollback()) is Fate.TAGGED
    assert registry.live["churn"] == "8"
    assert registry.tags["churn"] == {
        "driftline.rollback.at": "2026-01-01T00:00:00.001Z",
        "driftline.rollback.reason": "concept_drift",
        "driftline.rollback.version": "8",
        "driftline.rollback.incidents": "inc-1",
        "driftline.rollback.to": "7",
        "driftline.rollback": "rollback-1",
    }


ALLOWED = MlflowSettings(apply_rollbacks=True)


async def test_a_rollback_moves_the_alias_where_it_is_allowed(registry: MemoryRegistry) -> None:
    await tagger(registry, ALLOWED).take(rollback())
    assert registry.live["churn"] == "7"
    registry.live["churn"] = "8"  # somebody knows better
    assert await tagger(registry, ALLOWED).take(rollback()) is Fate.REPEATED
    assert registry.live["churn"] == "8"


@pytest.mark.parametrize(
    ("fields", "now"),
    [
        ({"version": "6"}, NOW),  # the alias is elsewhere by now
        ({"to_version": "5"}, NOW),  # there is no such version
        ({"to_version": None}, NOW),
        ({}, NOW + 2 * 86_400),  # it is history
    ],
)
async def test_a_rollback_is_not_applied_where_it_would_surprise(
    registry: MemoryRegistry, fields: dict[str, str | None], now: float
) -> None:
    assert await tagger(registry, ALLOWED, now).take(rollback(**fields)) is Fate.TAGGED
    assert registry.live["churn"] == "8"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        event("retrain", id=""),
        event("retrain", id="x" * 129),
        event("recalibrate"),
        event("retrain", ts="yesterday"),
        event()[:-1] + b',"later":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_what_is_no_advice_is_left_aside(value: bytes | None) -> None:
    assert read(value) is None


def test_what_a_tag_holds_is_one_line_and_bounded() -> None:
    made = advice(
        reason="a\nb\x1b[31m" + "x" * 5_000,
        incidents=None,
        alerts=[f"al-{number}" for number in range(1_000)],
        ts=10**18,
    )
    held = dict(tags(made))
    assert max(map(len, held.values())) <= 1_000
    assert all(value.isprintable() for value in held.values())
    assert held["driftline.retrain.incidents"].count("al-") == 20
