"""A baseline from a file is as good as a warm-up over the same rows, and begins with the first event of the stream."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.config import FeatureConfig
from detectors.recorded import LEARN_MIN
from schemas.events import Kind
from tests.detectors.events import (
    DAY,
    SECOND,
    SUSPICIOUS,
    Event,
    Run,
    balanced,
    chances,
    normal,
    of_feature,
    prediction,
    run,
    summary,
)
from tests.detectors.recordings import FROM_FILE, WARM, from_file, later, learned, recordings

ROWS = 1_200


def autocorrelated(seed: int, rows: int, mean: float = 0.0) -> list[float]:
    draw, value, values = Random(seed), 0.0, []
    for _ in range(rows):
        value = 0.6 * value + draw.gauss(0, 0.8)
        values.append(value + mean)
    return values


def categories(seed: int, rows: int, pro: int = 2) -> list[str]:
    return Random(seed).choices(("free", "pro", "team"), (6, pro, 2), k=rows)


Make = Callable[[int, int, bool], list[Event]]
STREAMS: dict[str, Make] = {
    "number": lambda seed, rows, drifted: of_feature("x", normal(seed, rows, 41.0 if drifted else 40.0)),
    "correlated": lambda seed, rows, drifted: of_feature("x", autocorrelated(seed, rows, 2.0 if drifted else 0.0)),
    "wider": lambda seed, rows, drifted: of_feature("x", normal(seed, rows, 40.0, 2.0 if drifted else 1.0)),
    "boolean": lambda seed, rows, drifted: of_feature("x", chances(seed, rows, 0.5 if drifted else 0.3)),
    "category": lambda seed, rows, drifted: of_feature("x", categories(seed, rows, 6 if drifted else 2)),
    "missing": lambda seed, rows, drifted: of_feature(
        "x", [None if gone else 1.0 for gone in chances(seed, rows, 0.3 if drifted else 0.05)]
    ),
    "loss": lambda seed, rows, drifted: balanced(chances(seed, rows, 0.3 if drifted else 0.1)),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_the_first_alarm_comes_at_the_same_row_as_after_a_warm_up_over_the_same_rows(kind: str) -> None:
    """Of so many rows that all of them teach. How far time has gone when evidence begins is off by a value or two."""
    rows, several = (600, 1) if kind == "category" else (400, 2 if kind == "loss" else 1)
    for seed in range(4):
        make = STREAMS[kind]
        base, changed = make(seed, rows, False), later(make(200 + seed, 900, True), 300 * SECOND)
        fresh = later([*make(100 + seed, 300, False), *changed], rows * SECOND)
        stream = [event | {"id": f"later{number // several}"} for number, event in enumerate(fresh)]
        warm, filed = run([*base, *stream], WARM).began[0], from_file(base, stream).opened[0]
        assert filed.signal == warm.signal, f"seed {seed}"
        assert abs(filed.ts - warm.ts) <= (10 if kind == "loss" else 1) * SECOND, f"seed {seed}"


@given(seed=st.integers(0, 1_000))
@settings(max_examples=25)
def test_right_after_the_rows_that_teach_it_is_the_same_to_the_row(seed: int) -> None:
    rows = WARM.baseline_rows
    base, fresh = normal(seed, rows), [*normal(seed + 1, 100), *normal(seed + 2, 600, 1.0)]
    stream = of_feature("x", fresh, rows)
    warm, filed = run([*of_feature("x", base), *stream], WARM), from_file(of_feature("x", base), stream)
    assert [alert.ts for alert in filed.began] == [alert.ts for alert in warm.opened]


def test_monitoring_begins_with_the_first_event() -> None:
    opened = from_file(of_feature("x", normal(1, 1_000)), of_feature("x", normal(2, 60, 3.0))).began
    assert summary(opened)[0] == ("opened", "feature:x")
    assert opened[0].position.offset < 20


def test_labels_are_scored_from_the_first_one_on_where_the_file_shows_the_task() -> None:
    (alert,) = from_file(balanced(chances(1, 1_000, 0.05)), balanced([True] * 40)).began
    assert alert.signal == "loss"
    assert alert.position.offset < 2 * 20


def test_the_time_between_file_and_stream_is_no_time_passed_and_change_points_lie_in_the_stream() -> None:
    base = of_feature("x", normal(1, 3_000))
    stream = later(of_feature("x", [*normal(2, 2_000), *normal(3, 200, 2.0)]), 400 * DAY)
    (alert,) = from_file(base, stream, msgspec.structs.replace(FROM_FILE, rows_per_false_alarm=None)).began
    assert alert.evidence.change_point is not None
    assert alert.evidence.change_point.offset == pytest.approx(2_000, abs=40)


def test_a_change_from_the_first_row_on_is_dated_in_the_stream() -> None:
    (alert, *_) = from_file(of_feature("x", normal(1, 3_000)), of_feature("x", normal(2, 100, 2.0))).began
    assert alert.evidence.change_point is not None
    assert alert.evidence.change_point.offset == 0


def test_nothing_alarms_where_the_stream_is_as_the_file_was() -> None:
    config = msgspec.structs.replace(FROM_FILE, rows_per_false_alarm=1_000_000.0)
    for seed, (kind, make) in enumerate(STREAMS.items()):
        stream = later([event | {"id": f"s{event['id']}"} for event in make(seed + 50, 3_000, False)], DAY)
        assert from_file(make(seed, 3_000, False), stream, config).began == [], kind


def together(seed: int, rows: int, *, broken: bool = False, first: int = 0) -> list[Event]:
    """Two features that go together, or are by themselves what they were, and do not."""
    draw = Random(seed)
    pairs = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(rows)]
    return [prediction(n, {"a": a, "b": b if broken else a + 0.2 * b}) for n, (a, b) in enumerate(pairs, first)]


def test_what_features_are_like_together_is_known_from_the_first_row_on() -> None:
    stream = [*together(2, 900), *together(3, 200, broken=True, first=900)]
    for start in (0, 800):
        (alert,) = from_file(together(1, 2_500), stream[start:]).began
        assert alert.signal == "features together"
        assert 900 <= alert.position.offset + start < 1_050


def test_what_features_are_like_together_is_learned_from_the_first_rows_where_the_file_is_too_short() -> None:
    short = from_file(together(1, 700), [*together(2, 900), *together(3, 400, broken=True, first=900)])
    assert [alert.signal for alert in short.began] == ["features together"]


# -- files that are short, thin or drift themselves -------------------------------------------------------------------


@pytest.mark.parametrize("kind", STREAMS)
def test_a_file_with_fewer_rows_than_a_warm_up_is_all_there_is(kind: str) -> None:
    make, config = STREAMS[kind], msgspec.structs.replace(FROM_FILE, baseline_rows=5_000)
    stream = later([event | {"id": f"s{event['id']}"} for event in make(7, 900, True)], DAY)
    assert from_file(make(3, ROWS, False), stream, config).began != []


def test_too_few_values_teach_nothing_and_the_stream_does() -> None:
    base = [prediction(n, {"x": x, "rare": 1.0 if n < LEARN_MIN - 1 else None}) for n, x in enumerate(normal(1, 1_000))]
    taught = learned(base, FROM_FILE)
    states = {portrait.name: portrait.state for portrait in taught.portraits}
    assert states["x"] == "ready"
    assert states["rare"] == "not reportable: 99 values, 100 needed; the stream teaches it"
    values = [*normal(3, 800), *normal(4, 300, 3.0)]
    stream = [
        prediction(n, {"x": x, "rare": rare}) for n, (x, rare) in enumerate(zip(normal(2, 1_100), values, strict=True))
    ]
    opened = run(stream, FROM_FILE, recordings=recordings(taught)).began
    (alert,) = [alert for alert in opened if alert.signal == "feature:rare"]
    assert 800 <= alert.position.offset < 830


def test_values_out_of_range_teach_nothing() -> None:
    base = of_feature("x", [5.0] * 950 + normal(1, 50))
    config = msgspec.structs.replace(FROM_FILE, features={"x": FeatureConfig(range=(-4.5, 4.5))})
    states = {portrait.name: portrait.state for portrait in learned(base, config).portraits}
    assert states["x"] == "not reportable: 50 values, 100 needed; the stream teaches it"


def test_a_feature_that_appears_late_in_the_file_was_missing_until_then() -> None:
    there = [n >= 20 and often for n, often in enumerate(chances(3, 300, 0.9))]
    base = [prediction(n, {"x": x} | ({"late": x} if there[n] else {})) for n, x in enumerate(normal(1, 300))]
    opened = from_file(base, of_feature("x", normal(2, 60))).began
    assert [alert.signal for alert in opened] == ["missing:late"]
    assert opened[0].evidence.baseline == pytest.approx(there.count(False) / 300, abs=0.01)


def test_too_few_values_say_nothing_of_categories_either() -> None:
    base = [prediction(n, {"x": "old" if n < LEARN_MIN - 1 else None}) for n in range(1_000)]
    learning = WARM.baseline_rows + WARM.baseline_rows // 2
    assert from_file(base, of_feature("x", ["new"] * (learning - 50) + ["newer"] * 50)).began == []
    assert from_file(base, of_feature("x", ["new"] * learning + ["newer"] * 50)).began != []


def test_what_is_missing_constant_ignored_or_drifting_in_the_file_is_said() -> None:
    base = [
        prediction(n, {"gone": None, "same": 7.0, "moves": x + (0.8 if n >= 2_000 else 0.0), "who": str(n)}, score=0.5)
        for n, x in enumerate(normal(1, 3_000))
    ]
    config = msgspec.structs.replace(FROM_FILE, features={"who": FeatureConfig("ignore")})
    states = {portrait.name: portrait.state for portrait in learned(base, config).portraits}
    assert states["gone"] == "not reportable: all values are missing; only how many are missing is watched"
    assert states["same"] == "ready; constant, so a change is measured by its size"
    assert states["who"] == "ignored, as configured"
    told, _, row = states["moves"].removesuffix(" on").rpartition(" ")
    assert told == "ready; it drifts in the baseline itself, from row"
    assert int(row.replace(",", "")) == pytest.approx(2_001, abs=10)  # it alarms some 40 rows later


def test_a_column_that_drifts_in_the_file_is_watched_against_what_came_before() -> None:
    base = of_feature("x", [*normal(1, 2_000), *normal(2, 1_000, 3.0)])
    assert from_file(base, of_feature("x", normal(3, 2_000))).began == []
    assert from_file(base, of_feature("x", normal(4, 100, 3.0))).began != []


def test_detectors_without_a_budget_compare_with_the_file_too() -> None:
    """ADWIN has seen the file. The share of a category is another from the first row on, and the rows bear it out."""
    config = msgspec.structs.replace(SUSPICIOUS, baseline="q1", baseline_rows=400)
    base = STREAMS["category"](1, 1_200, False)
    stream = STREAMS["category"](2, 600, True)
    assert {alert.signal for alert in from_file(base, stream, config).began} >= {"feature:x=pro"}
    assert from_file(base, STREAMS["category"](3, 600, False), config).began == []


def test_a_constant_is_watched_against_its_size() -> None:
    base = of_feature("x", [7.0] * 1_000)
    assert from_file(base, of_feature("x", [7.0] * 1_000)).began == []
    assert from_file(base, of_feature("x", [14.0] * 100)).began != []


def test_a_feature_that_is_not_in_the_file_warms_up_as_ever() -> None:
    stream = [
        prediction(n, {"x": x, "new": new})
        for n, (x, new) in enumerate(zip(normal(2, 900), [*normal(3, 600), *normal(4, 300, 3.0)], strict=True))
    ]
    opened = from_file(of_feature("x", normal(1, 1_000)), stream).began
    assert opened[0].signal == "feature:new"
    assert 600 <= opened[0].position.offset < 620


def test_a_mean_that_is_configured_stands_above_the_file() -> None:
    given_mean = msgspec.structs.replace(FROM_FILE, features={"x": FeatureConfig(mean=5.0, sd=1.0)})
    same = normal(1, 1_000)
    told = from_file(of_feature("x", same), of_feature("x", same), given_mean)
    assert told.began[0].evidence.baseline == 5.0


# -- segments, versions, challengers ----------------------------------------------------------------------------------


def by_country(seed: int, counts: dict[str, int], mean: float = 0.0) -> list[Event]:
    values = [country for country, count in counts.items() for _ in range(count)]
    Random(seed).shuffle(values)
    x = normal(seed, len(values), mean)
    return [prediction(n, {"x": x[n]}, segments={"country": country}) for n, country in enumerate(values)]


def test_segments_with_enough_rows_have_their_own_baseline_and_others_warm_up() -> None:
    config = msgspec.structs.replace(FROM_FILE, segments=("country",))
    base = by_country(1, {"de": 900, "fr": 900, "lu": LEARN_MIN - 1})
    told = from_file(base, by_country(2, {"de": 100, "lu": 200}, 3.0), config)
    named = {(alert.segment, alert.evidence.detail["baseline_name"]) for alert in told.began}
    assert named == {(None, "q1"), ("country=de", "q1")}
    drifts = [*by_country(3, {"lu": 500}), *later(by_country(4, {"lu": 300}, 3.0), 500 * SECOND)]
    drifts = [event | {"id": f"d{number}"} for number, event in enumerate(drifts)]
    lu = [alert for alert in from_file(base, drifts, config).began if alert.segment]
    assert {(alert.segment, alert.evidence.detail["baseline_name"]) for alert in lu} == {("country=lu", "warm-up")}


def test_each_version_begins_with_the_file_and_a_challenger_learns_from_the_stream() -> None:
    stream = [
        prediction(f"{version}{n}", {"x": x}, version=version, at=n * SECOND, role=role)
        for version, role in (("1", None), ("2", None), ("3", "challenger"))
        for n, x in enumerate(normal(2, 60, 3.0))
    ]
    opened = from_file(of_feature("x", normal(1, 1_000)), stream).began
    assert [alert.version for alert in opened] == ["1", "2"]


# -- what evidence says -----------------------------------------------------------------------------------------------


def test_alerts_and_signals_name_their_baseline_and_its_content() -> None:
    told = from_file(of_feature("x", normal(1, 1_000)), of_feature("x", normal(2, 60, 3.0)))
    details = [event.evidence.detail for event in (*told.alerts, *told.signals)]
    assert len(details) > 1
    assert {(detail["baseline_name"], detail["baseline_hash"]) for detail in details} == {("q1", "0123456789ab")}


def test_after_a_warm_up_they_say_so() -> None:
    told = run(of_feature("x", [*normal(1, 600), *normal(2, 60, 3.0)]), WARM)
    details = [event.evidence.detail for event in (*told.alerts, *told.signals)]
    assert details
    assert {(detail["baseline_name"], detail.get("baseline_hash")) for detail in details} == {("warm-up", None)}


# -- features that do not come ----------------------------------------------------------------------------------------


def mismatches(told: Run) -> list[tuple[str, int, object]]:
    found = [signal for signal in told.signals if signal.detector == "baseline"]
    assert {(signal.kind, signal.disposition) for signal in found} <= {(Kind.SYSTEM, "not_reportable")}
    return [(signal.signal, signal.position.offset, signal.evidence.detail["why"]) for signal in found]


def test_a_feature_that_never_comes_or_comes_as_another_kind_is_told_once() -> None:
    base = [prediction(n, {"x": x, "gone": x, "code": x}, score=0.5) for n, x in enumerate(normal(1, 1_000))]
    stream = [prediction(n, {"x": x, "code": "a"}) for n, x in enumerate(normal(2, 1_000))]
    told = from_file(base, stream)
    assert mismatches(told) == [
        ("score", 399, "the baseline has it, and none of the first 400 rows does"),
        ("feature:gone", 399, "the baseline has it, and none of the first 400 rows does"),
        ("feature:code", 399, "the baseline has numbers, and the first 400 rows have text"),
    ]


def test_what_the_file_says_nothing_of_is_not_missed() -> None:
    base = [prediction(n, {"x": x, "gone": None, "who": str(n)}) for n, x in enumerate(normal(1, 1_000))]
    config = msgspec.structs.replace(FROM_FILE, features={"who": FeatureConfig("ignore")})
    assert mismatches(from_file(base, of_feature("x", normal(2, 1_000)), config)) == []


def test_a_feature_that_comes_late_enough_is_not_missed() -> None:
    base = [prediction(n, {"x": x, "rare": x}) for n, x in enumerate(normal(1, 1_000))]
    stream = [prediction(n, {"x": x} | ({"rare": x} if n == 399 else {})) for n, x in enumerate(normal(2, 1_000))]
    assert mismatches(from_file(base, stream)) == []
