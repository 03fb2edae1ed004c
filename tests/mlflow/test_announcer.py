"""An alias that moves is told to the monitor once, whatever fails on the way and whoever starts again."""

import pytest
from prometheus_client import CollectorRegistry

from streams.errors import BrokerError
from streams.mlflow.announcer import Announcer
from streams.mlflow.metrics import MlflowMetrics
from streams.mlflow.names import Names
from streams.mlflow.registry import MODELS_MAX, RegistryError, Trouble
from streams.sections import MlflowSettings
from tests.mlflow.registry import ALIAS, NOW, MemoryControl, MemoryRegistry


class Place:
    """A registry whose model is live as version 7, which was seen already."""

    def __init__(self, settings: MlflowSettings = MlflowSettings()) -> None:  # noqa: B008
        self.registry, self.control, self.settings = MemoryRegistry(), MemoryControl(), settings
        self.now = NOW
        self.samples = CollectorRegistry()
        self.metrics = MlflowMetrics(self.samples)
        self.registry.add("churn", "6", "7", "8", "9", live="7")

    def started(self) -> Announcer:
        names = Names(self.settings)
        return Announcer(self.registry, self.control, names, ALIAS, self.metrics, lambda: self.now)

    async def look(self) -> None:
        """As a process does that was just started."""
        self.now += 60
        await self.started().look()

    async def moved(self, version: str, name: str = "churn") -> None:
        self.registry.live[name] = version
        await self.look()


@pytest.fixture
async def place() -> Place:
    made = Place()
    await made.look()
    return made


async def test_what_is_live_at_first_sight_is_not_told(place: Place) -> None:
    await place.look()
    assert place.control.said() == []
    standing = place.registry.standing()
    assert standing is not None
    assert (standing.version, standing.said) == ("7", True)


async def test_a_move_is_a_deploy_and_a_move_back_a_rollback(place: Place) -> None:
    for version in ("8", "7", "8", "9", "6"):
        await place.moved(version)
        await place.look()
    assert place.control.said() == [
        ("deploy", "churn", "8"),
        ("rollback", "churn", "7"),
        ("deploy", "churn", "8"),
        ("deploy", "churn", "9"),
        ("deploy", "churn", "6"),  # older, but it was never live
    ]
    ids = [event.id for event in place.control.sent]
    assert len(set(ids)) == len(ids)
    event = place.control.sent[0]
    assert (event.by, event.reason) == (
        "driftline mlflow",
        "the alias champion moved from version 7 to version 8",
    )


async def test_the_same_moves_have_the_same_ids() -> None:
    told = []
    for _ in range(2):
        place = Place()
        await place.look()
        await place.moved("8")
        await place.moved("7")
        told.append([event.id for event in place.control.sent])
    assert told[0] == told[1]


CALLS = ["models", "version", "tag_model", "tag_version", "tag_model"]
BREAKS = [("fails", index) for index in range(len(CALLS))]
BREAKS += [("loses", index) for index, call in enumerate(CALLS) if call.startswith("tag_")]


@pytest.mark.parametrize(("how", "index"), BREAKS)
async def test_wherever_it_breaks_off_it_is_told_once(place: Place, how: str, index: int) -> None:
    """One call to the registry fails, or is done and its answer lost, and another process goes on."""
    place.registry.calls.clear()

    def away(call: str) -> RegistryError | None:
        return RegistryError(Trouble.NETWORK, "away") if len(place.registry.calls) == index + 1 else None

    setattr(place.registry, how, away)
    with pytest.raises(RegistryError):
        await place.moved("8")
    assert [call.partition(" ")[0] for call in place.registry.calls] == CALLS[: index + 1]
    setattr(place.registry, how, lambda call: None)
    await place.look()
    await place.look()
    assert place.control.said() == [("deploy", "churn", "8")]


async def test_an_event_that_was_not_acknowledged_is_looked_for_before_it_is_sent_again(place: Place) -> None:
    place.control.lost = True
    with pytest.raises(BrokerError):
        await place.moved("8")
    place.control.lost = False
    place.registry.live["churn"] = "9"  # it has moved on meanwhile
    await place.look()
    await place.look()
    assert place.control.said() == [("deploy", "churn", "8"), ("deploy", "churn", "9")]
    ((asked, since),) = place.control.asked
    assert (asked, since) == (place.control.sent[0].id, place.control.sent[0].ts)


async def test_an_event_that_did_not_arrive_is_sent_again_as_it_was(place: Place) -> None:
    place.control.away = True
    with pytest.raises(BrokerError):
        await place.moved("8")
    pending = place.registry.standing()
    assert pending is not None
    place.control.away = False
    await place.look()
    assert [(event.id, event.ts) for event in place.control.sent] == [(pending.event, pending.at)]


async def test_an_alias_that_is_taken_away_and_set_again_is_no_move(place: Place) -> None:
    del place.registry.live["churn"]
    await place.look()
    await place.moved("7")
    assert place.control.said() == []


@pytest.mark.parametrize("spoilt", ["{", '{"version": "7", "said": false}'])
async def test_a_tag_that_somebody_spoilt_is_first_sight_again(place: Place, spoilt: str) -> None:
    place.registry.tags["churn"][f"driftline.alias.{ALIAS}"] = spoilt
    await place.moved("8")
    await place.moved("9")
    assert place.control.said() == [("deploy", "churn", "9")]


async def test_a_version_that_was_deleted_does_not_hold_it_up(place: Place) -> None:
    place.control.away = True
    with pytest.raises(BrokerError):
        await place.moved("8")
    place.control.away = False
    del place.registry.versions["churn"]["8"]
    await place.moved("9")
    await place.look()
    assert place.control.said() == [("deploy", "churn", "8"), ("deploy", "churn", "9")]


async def test_a_version_goes_by_the_name_that_its_tag_holds() -> None:
    place = Place(MlflowSettings(version_tag="release"))
    await place.look()
    await place.moved("8")
    assert place.control.said() == []  # it has no name yet
    place.registry.versions["churn"]["8"]["release"] = "2026.02.1"
    await place.look()
    assert place.control.said() == [("deploy", "churn", "2026.02.1")]


async def test_only_models_that_are_watched_are_told_and_by_their_own_name() -> None:
    place = Place(MlflowSettings(models={"price": "prod-price", "churn": "prod-churn"}, watch=("p*", "churn")))
    for name in ("prod-price", "price", "prod-churn", "pay", "a model", "other"):
        place.registry.add(name, "1", "2", live="1")
    await place.look()
    for name in place.registry.tags:
        place.registry.live[name] = "2"
    place.registry.versions["churn"]["2"] = {}
    await place.look()
    assert sorted(place.control.said()) == [("deploy", model, "2") for model in ("churn", "pay", "price")]
    assert place.registry.tags["other"] == place.registry.tags["churn"] == {}


async def test_one_model_that_is_refused_keeps_no_other_from_it(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.registry.add("a-model", "1", live="1")
    place.registry.fails = lambda call: RegistryError(Trouble.REFUSED, "status 400") if "a-model" in call else None
    announcer = place.started()
    place.registry.live["churn"] = "8"
    await announcer.look()
    await announcer.look()
    assert place.control.said() == [("deploy", "churn", "8")]
    assert capsys.readouterr().out.count("cannot be followed") == 1


async def test_a_name_that_no_event_may_have_keeps_no_other_model_from_it_and_may_be_mended() -> None:
    """A tag in the registry may be far longer than the version of a prediction."""
    place = Place(MlflowSettings(version_tag="release"))
    place.registry.add("other", "1", "2", live="1")
    place.registry.versions["other"]["2"]["release"] = "two"
    await place.look()
    place.registry.versions["churn"]["8"]["release"] = "x" * 300
    place.registry.live |= {"churn": "8", "other": "2"}
    await place.look()
    assert place.control.said() == [("deploy", "other", "two")]
    place.registry.versions["churn"]["8"]["release"] = "eight"
    await place.look()
    assert place.control.said()[1:] == [("deploy", "churn", "eight")]


async def test_a_registry_with_too_many_models_is_looked_at_in_part_and_that_is_told() -> None:
    place = Place()
    for number in range(MODELS_MAX):
        place.registry.add(f"m{number:05}", "1")
    await place.look()
    values = {sample.name: sample.value for family in place.samples.collect() for sample in family.samples}
    assert values["driftline_mlflow_models"] == MODELS_MAX
    assert values["driftline_mlflow_models_left_out"] == 1
    assert values["driftline_mlflow_looked_timestamp_seconds"] == place.now
