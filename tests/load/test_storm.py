"""A storm in small: what the engine says of it reaches people as a few pages, and nothing of it is hidden."""

from pathlib import Path

import msgspec
import pytest

from load.paging import paged
from load.storm import BASELINE_ROWS, UPSTREAMS, Broken, Heard, flaps, heard, most_in_a_minute, storm
from schemas.events import Alert, AlertEvent
from schemas.topics import TopicNames

SMALL = Broken(models=4, features=10, seed=1)


@pytest.fixture(scope="module")
def said() -> Heard:
    return heard(SMALL.records(TopicNames().predictions))


def of_each_model(said: Heard, severity: str = "warning") -> list[tuple[Alert, bytes]]:
    """One incident a model, whatever the engine makes of a cause within one."""
    firsts = {alert.model: alert for alert, _ in reversed(said.alerts) if alert.event is AlertEvent.OPENED}
    alerts = [msgspec.structs.replace(alert, severity=severity) for alert in firsts.values()]
    return [(alert, msgspec.json.encode(alert)) for alert in sorted(alerts, key=lambda one: one.ts)]


def test_one_cause_for_all_is_a_few_pages_and_hides_nothing(tmp_path: Path) -> None:
    figures = storm(tmp_path, SMALL)
    assert (figures["hidden_signals"], figures["models_untold"]) == (0, 0)
    assert (figures["pages_per_model_max"], figures["pages_total_without_upstream"]) == (1, SMALL.models)
    assert 1 <= figures["pages_total"] <= 3
    assert figures["findings_a_minute"] >= SMALL.models * SMALL.features
    assert figures["pages_total_without_upstream"] >= SMALL.models


async def test_incidents_of_several_models_are_one_page_where_their_upstream_is_known(
    tmp_path: Path, said: Heard
) -> None:
    alerts = of_each_model(said)
    plain = await paged(tmp_path / "plain", alerts, {})
    inhibited = await paged(tmp_path / "inhibited", alerts, UPSTREAMS)
    assert sorted(page.model for page in plain.pages) == list(SMALL.names)
    assert [page.model for page in inhibited.pages] == [alerts[0][0].model]
    assert (inhibited.models_told, inhibited.withheld) == (set(SMALL.names), {"upstream": SMALL.models - 1})
    assert plain.withheld == {}


def test_what_breaks_is_known_by_the_signals_that_are_to_be_there(said: Heard) -> None:
    found = {(signal.model, signal.signal) for signal in said.signals}
    assert found >= SMALL.features_broken
    assert all(signal.ts >= SMALL.at_ms for signal in said.signals)


def test_a_statistic_that_flaps_is_one_incident(tmp_path: Path) -> None:
    figures = flaps(tmp_path, seed=1, count=20)
    assert figures["flapping_incidents"] == 1
    assert 1 <= figures["flapping_pages"] <= 2


def test_the_minute_with_most_in_it_is_found() -> None:
    assert most_in_a_minute([]) == 0
    assert most_in_a_minute([0, 59_999, 60_000, 60_001, 119_998, 500_000]) == 4


def test_the_baseline_is_learned_before_anything_breaks() -> None:
    broken = Broken(1, 1, 1)
    before = sum(record.timestamp < broken.at_ms for record in broken.records("predictions"))
    assert before > BASELINE_ROWS
