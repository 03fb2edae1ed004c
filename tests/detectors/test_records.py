"""A monitor's record is written when the monitor has changed, and then only: one that was missed is a wrong state."""

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec
import pytest

from detectors import versions
from detectors.config import MonitorConfig
from detectors.engine import Engine
from detectors.late import Late
from detectors.scope import Scope
from detectors.sealing import open_sealed
from detectors.usual_loss import About
from schemas.codec import decode_output
from schemas.events import Alert
from tests.detectors.events import (
    SECOND,
    Event,
    balanced,
    chances,
    control,
    engine,
    labelled,
    normal,
    of_feature,
    outcome,
    prediction,
    records,
    tick,
)
from tests.detectors.kept import Memory
from tests.detectors.traffic import CONFIG, HANDS, SMALL, TURNS, traffic


def held_of(working: Engine) -> dict[bytes, bytes]:
    """What the records of its monitors would be, were all of them written now."""
    return {
        monitor._scopes._records.key(number): msgspec.msgpack.encode(scope.state())
        for monitor in working._monitors.values()
        for number, scope in monitor._scopes._by_number.items()
    }


def kept_in(kept: Memory, working: Engine) -> dict[bytes, bytes]:
    """But for what a configuration before has left, of models that nothing has happened to since."""
    own = [monitor._scopes._records for monitor in working._monitors.values()]
    gone = {each.key(number) for each in own for number in each.gone}
    return {key: open_sealed(kept.records[key]) for key in kept.records.keys() - gone if key[:1] == b"S"}


def restless(seed: int) -> list[Event | bytes | None]:
    """Traffic in which versions come and go all the time."""
    draw, events = Random(seed), traffic(seed, 1_200)
    for number, event in enumerate(events):
        if isinstance(event, dict) and event.get("score") is not None and draw.random() < 0.5:
            event["version"] = str(max(0, number // 90 - draw.choice((0, 0, 0, 1, 2))))
    return events


def harmed(seed: int) -> list[Event | bytes | None]:
    """Versions that are deployed because the one before did harm, and do no better; labels that are corrected."""
    draw = Random(seed)
    events: list[Event | bytes | None] = []
    for turn in range(5):
        version, first = (None, "1", "2")[turn % 3], 600 * turn
        wrong = [*chances(seed, 0 if turn else 200, 0.05), *chances(seed + turn, 400, 0.6)]
        events += balanced(wrong, first, version=version)
        for number in draw.sample(range(first + 300, first + 600), 20):
            events.append(outcome(number, 1.0, revision=draw.randint(1, 3), at=(first + 600) * SECOND))
        events.append(control("deploy", f"d{turn}", version=str(turn + 1), at=(first + 600) * SECOND))
    return events


def answer(draw: Random, known: list[str], at: int) -> Event:
    """What people say of incidents that there are, what pipelines deploy, and the clock."""
    if known and draw.random() < 0.05:
        verdict = draw.choice(("false_alarm", "true_alarm"))
        return control(draw.choice(HANDS), draw.random().hex(), at=at, incident=draw.choice(known), verdict=verdict)
    if draw.random() < 0.02:
        return control(draw.choice(TURNS), draw.random().hex(), at=at, version=str(draw.randrange(12)))
    return tick(at)


OTHERS = MonitorConfig(defaults=msgspec.structs.replace(SMALL, features_max=6), models_max=5)


@pytest.mark.parametrize("seed", [3, 6])
@pytest.mark.parametrize("made", [restless, harmed])
def test_after_every_batch_of_hostile_traffic_the_disk_holds_what_is_known(
    made: Callable[[int], list[Event | bytes | None]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "VERSIONS_MAX", 4)
    monkeypatch.setattr(versions, "RETIRED_MAX", 9)
    draw, kept, lying = Random(seed), Memory(), made(seed)
    working = engine(CONFIG, kept)
    start, known, met = 0, [], Counter[str]()
    while start < len(lying):
        size = draw.choice((1, 5, 30, 80))
        batch, start = lying[start : start + size], start + size
        last = next((event["at"] for event in reversed(batch) if isinstance(event, dict)), 0)
        applied = working.apply(records([*batch, answer(draw, known, last)]))
        if not start % 7:  # a commit that is begun, and other records before it
            working.make_ready(start % 3)
            working.apply(records([tick(last)]))
        kept.take(working.changes())
        told = [decode_output(effect.value) for effect in applied.effects]
        known = [*known, *(event.incident for event in told if isinstance(event, Alert))][-5:]
        met.update(str(event.event) for event in told if isinstance(event, Alert))
        scopes = working._monitors["churn"]._scopes if "churn" in working._monitors else ()
        met["retired"] = max(met["retired"], sum(scope.retired for scope in scopes))
        met["retired with alarms"] += any(scope.retired and scope.alarms for scope in scopes)
        held = held_of(working)
        assert kept_in(kept, working) == held
        if draw.random() < 0.2:
            met["restored"] += 1
            other = met["restored"] == 10
            working = engine(OTHERS if other else CONFIG, kept)
            assert other or met["restored"] == 11 or held_of(working) == held
    assert met["restored"] > 11
    assert met["opened"]
    assert met["retired"] >= 9 if made is restless else met["retired with alarms"]


def kept_after(first: list[Event], then: list[Event]) -> tuple[Engine, Memory]:
    kept = Memory()
    working = engine(SMALL, kept)
    for events in (first, then):
        working.apply(records(events))
        kept.take(working.changes())
    return working, kept


def test_a_prediction_that_comes_again_is_remembered_by_its_monitor() -> None:
    working, kept = kept_after([prediction(1, {"age": 1.0})], [prediction(1, {"age": 1.0})])
    assert working._monitors["churn"]._scopes.usual(None, False).collected.repeats  # type: ignore[union-attr]
    assert kept_in(kept, working) == held_of(working)


def test_a_verdict_changes_what_every_monitor_of_the_model_may_spend() -> None:
    drifting = of_feature("age", [*normal(1, 150), *normal(2, 200, 3.0)])
    of_another = [prediction(number, {"age": 1.0}, version="2") for number in range(400, 420)]
    working, kept = kept_after([*drifting, *of_another], [])
    (incident,) = working._monitors["churn"]._desk.incidents
    working.apply(records([control("verdict", 430, incident=incident, verdict="false_alarm")]))
    kept.take(working.changes())
    assert kept_in(kept, working) == held_of(working)


def test_single_losses_are_cut_where_blocks_of_them_are_whatever_had_become_usual() -> None:
    scored = [event | {"score": 0.1 + 0.001 * (row % 700)} for row, event in enumerate(labelled(chances(1, 600, 0.3)))]
    working, _ = kept_after(scored, [])
    late = working._monitors["churn"]._scopes.numbered(0)
    assert late is not None
    known = [late.losses_known(About("log_loss", base)) for base in (0.0, 2.0)]
    first, better = (one.unit.cut for one in known if one is not None)
    assert first == better


def test_what_is_known_of_the_losses_of_a_replaced_monitor_stays_as_it_was() -> None:
    working, _ = kept_after(labelled(chances(1, 300, 0.3)), [])
    scopes, about = working._monitors["churn"]._scopes, About("loss")
    known = scopes.numbered(0).losses_known(about)  # type: ignore[union-attr]
    working.apply(records([control("deploy", 301, version="2"), *labelled(chances(2, 50, 0.9), 302), outcome(7, 3.0)]))
    late = scopes.numbered(0)
    assert isinstance(late, Late)
    assert not isinstance(late, Scope)
    tried = late.losses_known(about)
    assert tried is not None
    assert tried == known
    tried.lately.add(1.0)
    assert late.losses_known(about) == known


def test_a_record_meets_one_version_and_no_other_is_written() -> None:
    kept = Memory()
    working = engine(SMALL, kept)
    working.apply(records([prediction(number, {"age": 1.0}, version=str(number % 9)) for number in range(90)]))
    kept.take(working.changes())
    assert len(kept_in(kept, working)) == 9
    working.apply(records([prediction(100, {"age": 1.0}, version="3")]))
    written = [key for key, _ in working.changes().puts]
    assert len([key for key in written if key[:1] == b"S"]) == 1


def test_the_record_of_a_monitor_that_is_let_go_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "VERSIONS_MAX", 2)
    monkeypatch.setattr(versions, "RETIRED_MAX", 3)
    kept = Memory()
    working = engine(SMALL, kept)
    for number in range(20):
        working.apply(records([prediction(number, {"age": 1.0}, version=str(number))]))
        kept.take(working.changes())
    assert len(kept_in(kept, working)) == 2 + 3
    assert kept_in(kept, working) == held_of(engine(SMALL, kept))
