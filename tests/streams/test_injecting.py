"""Known drifts in a copy of history: the same seed the same bytes, and nothing changed that was not to be."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from streams import truth
from streams.cli import main
from streams.errors import SinkError, UsageError
from streams.injecting import NEW_CATEGORY
from streams.injection_spec import SORTS, Kind, Place, parse
from streams.truth import Change
from tests.streams.events import START, file_of

ROWS = 1_000
STEP = 60_000
Line = dict[str, Any]


def history(folder: Path, rows: int = ROWS) -> str:
    draw, lines = Random(1), []
    for number in range(rows):
        common = {"v": 1, "id": f"p{number}", "model": "churn", "ts": START + STEP * number}
        features = {"age": draw.gauss(40, 3), "income": draw.gauss(900, 90), "plan": draw.choice(("free", "pro"))}
        segments = {"country": draw.choice(("de", "fr"))}
        made = {"type": "prediction", **common, "features": features, "prediction": "yes", "segments": segments}
        known = {"type": "outcome", **common, "label": draw.choice(("yes", "no"))}
        lines += [json.dumps(made).encode(), json.dumps(known).encode()]
    lines.insert(7, b"broken")
    return str(file_of(folder / "june.jsonl", lines))


def inject(folder: Path, *specs: str, seed: int = 1, out: str = "drifted.jsonl") -> tuple[list[Line], list[Change]]:
    """The lines that can be read, and what is told of them."""
    source = folder / "june.jsonl"
    words = ["inject", str(source) if source.exists() else history(folder), "--out", str(folder / out)]
    assert main([*words, "--seed", str(seed), *(word for spec in specs for word in ("--spec", spec))]) == 0
    content = (folder / out).read_bytes()
    lines = (gzip.decompress(content) if out.endswith(".gz") else content).splitlines()
    told = truth.read(folder / f"{out.removesuffix('.gz').removesuffix('.jsonl')}.truth.jsonl")
    return [json.loads(line) for line in lines if line != b"broken"], told


def before(folder: Path) -> list[Line]:
    return [json.loads(line) for line in (folder / "june.jsonl").read_bytes().splitlines() if line != b"broken"]


def values(lines: Sequence[Line], feature: str) -> list[Any]:
    return [line["features"][feature] for line in lines if line["type"] == "prediction"]


def labels(lines: Sequence[Line]) -> list[Any]:
    return [line["label"] for line in lines if line["type"] == "outcome"]


def test_what_is_not_changed_stays_byte_for_byte_what_cannot_be_read_as_well(tmp_path: Path) -> None:
    inject(tmp_path, "shift:feature=age,from=600")
    was, now = ((tmp_path / name).read_bytes().splitlines() for name in ("june.jsonl", "drifted.jsonl"))
    changed = [number for number, (one, other) in enumerate(zip(was, now, strict=True)) if one != other]
    assert changed == [2 * row + 1 for row in range(600, ROWS)]
    assert was[7] == b"broken"


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    specs = ("shift", "missing", "category", "flip", "delay", "swap", "scale", "unit")
    one = inject(tmp_path, *specs, out="one.jsonl.gz")
    two = inject(tmp_path, *specs, out="two.jsonl.gz")
    three = inject(tmp_path, *specs, seed=2, out="three.jsonl.gz")
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()
    assert [change.kind for change in one[1]] == list(specs)
    assert [change.from_row for change in one[1]] == [change.from_row for change in two[1]]
    assert [change.from_row for change in three[1]] != [change.from_row for change in one[1]]


def test_a_shift_is_in_standard_deviations_from_its_row_on(tmp_path: Path) -> None:
    now, (told,) = inject(tmp_path, "shift:feature=age,size=-2,from=60%,to=80%")
    was = values(before(tmp_path), "age")
    moved = np.subtract(values(now, "age"), was)
    assert np.allclose(moved[600:800], -2 * np.std(was))
    assert not moved[:600].any()
    assert not moved[800:].any()
    assert (told.from_row, told.to_row, told.signals) == (600, 800, ["feature:age"])
    assert (told.starts, told.ends, told.history) == (START + 600 * STEP, START + 800 * STEP, "drifted.jsonl")
    assert values(now, "income") == values(before(tmp_path), "income")


def test_a_drift_may_be_placed_by_time(tmp_path: Path) -> None:
    _, (told,) = inject(tmp_path, "shift:feature=age,from=2026-01-01T10:00:00Z,to=2026-01-01T11:00:00Z")
    assert (told.from_row, told.to_row) == (600, 660)


def test_scale_keeps_the_mean_and_unit_multiplies(tmp_path: Path) -> None:
    now, _ = inject(tmp_path, "scale:feature=age,size=3,from=0", "unit:feature=income,size=0.001,from=0")
    was = before(tmp_path)
    assert np.isclose(np.mean(values(now, "age")), np.mean(values(was, "age")))
    assert np.isclose(np.std(values(now, "age")), 3 * np.std(values(was, "age")))
    assert np.allclose(values(now, "income"), np.multiply(values(was, "income"), 0.001))


def test_two_columns_change_places(tmp_path: Path) -> None:
    now, (told,) = inject(tmp_path, "swap:feature=age+income,from=500")
    was = before(tmp_path)
    assert values(now, "age")[500:] == values(was, "income")[500:]
    assert values(now, "income")[500:] == values(was, "age")[500:]
    assert told.signals == ["feature:age", "feature:income"]


def test_a_share_of_the_values_is_missing_or_a_new_category(tmp_path: Path) -> None:
    now, told = inject(tmp_path, "missing:feature=age,size=0.5,from=500", "category:feature=plan,size=0.25,from=500")
    assert 200 < values(now, "age").count(None) < 300
    assert 90 < values(now, "plan").count(NEW_CATEGORY) < 160
    assert [change.signals for change in told] == [["missing:age"], ["feature:plan"]]


def test_labels_are_other_ones_or_come_later(tmp_path: Path) -> None:
    now, (told,) = inject(tmp_path, "flip:size=1,from=500", out="flipped.jsonl")
    was = before(tmp_path)
    assert labels(now)[:500] == labels(was)[:500]
    assert all(one != other for one, other in zip(labels(now)[500:], labels(was)[500:], strict=True))
    assert told.signals == ["loss", "log_loss", "label"]
    late, _ = inject(tmp_path, "delay:size=2h,from=500", out="late.jsonl")
    assert [line["ts"] for line in late] == sorted(line["ts"] for line in late)
    moved = {line["id"]: line["ts"] for line in late if line["type"] == "outcome"}
    assert [moved[f"p{row}"] - START - STEP * row for row in (499, 500, 999)] == [0, 7_200_000, 7_200_000]


def test_a_gradual_one_takes_ever_more_of_the_rows(tmp_path: Path) -> None:
    now, _ = inject(tmp_path, "shift:feature=age,from=0,over=100%")
    moved = np.subtract(values(now, "age"), values(before(tmp_path), "age")) > 0
    assert 0.05 < moved[:250].mean() < 0.2
    assert 0.8 < moved[750:].mean() < 0.95


def test_a_recurring_one_comes_and_goes_and_each_time_is_told(tmp_path: Path) -> None:
    now, told = inject(tmp_path, "shift:feature=age,from=400,every=200")
    moved = np.subtract(values(now, "age"), values(before(tmp_path), "age")) > 0
    assert [moved[first : first + 200].mean() for first in (200, 400, 600, 800)] == [0, 1, 0, 1]
    assert [(change.from_row, change.to_row) for change in told] == [(400, 600), (800, None)]


def test_one_segment_alone_may_drift(tmp_path: Path) -> None:
    now, (told,) = inject(tmp_path, "shift:feature=age,from=0,segment=country=de")
    moved = np.subtract(values(now, "age"), values(before(tmp_path), "age")) > 0
    of_de = [line["segments"]["country"] == "de" for line in now if line["type"] == "prediction"]
    assert moved.tolist() == of_de
    assert told.segment == "country=de"


def test_tables_can_be_drifted_too(tmp_path: Path) -> None:
    (tmp_path / "june.csv").write_text(
        "ts,id,age,prediction,label\n" + "".join(f"{START + n},{n},{n % 7},1,{n % 2}\n" for n in range(100))
    )
    out = tmp_path / "drifted.jsonl"
    assert main(["inject", str(tmp_path / "june.csv"), "--out", str(out), "--spec", "shift:from=50"]) == 0
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert [line["type"] for line in lines[:4]] == ["prediction", "outcome"] * 2
    assert values(lines, "age")[:50] == [float(n % 7) for n in range(50)]
    assert min(values(lines, "age")[50:]) > 1.9


@pytest.mark.parametrize("out", ["june.jsonl/drifted.jsonl.gz", "nowhere/drifted.jsonl"])
def test_a_copy_that_cannot_be_written_is_one_line(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    history(tmp_path, 50)
    monkeypatch.chdir(tmp_path)
    assert main(["inject", "june.jsonl", "--out", out, "--spec", "shift"]) == SinkError.exit_status
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n"), "the copy cannot be written" in shown.err) == ("", 1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["june.jsonl"]


def test_every_kind_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    told = {cells[1].strip(" `"): cells[2].strip() for line in rows if len(cells := line.split("|")) == 5}
    assert {kind: told.get(kind) for kind in Kind} == {kind: SORTS[kind].means for kind in Kind}


def test_a_spec_is_read_as_it_is_typed() -> None:
    spec = parse("shift:feature=age,size=1.5,from=60%,to=70%,segment=country=de")
    assert (spec.kind, spec.size, spec.features) == (Kind.SHIFT, 1.5, ("age",))
    assert (spec.begins, spec.ends, spec.segment) == (Place(share=0.6), Place(share=0.7), ("country", "de"))
    assert parse("delay").size == 7 * 24 * 3_600_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shfit", '"shfit" is no kind of drift; did you mean shift?'),
        ("shift:age", '"age" is not one of model=…, feature=…'),
        ("shift:size=1,size=2", '"size=2" is not one of'),
        ("shift:size=much", "size: could not convert"),
        ("missing:size=2", "size is from 0 to 1"),
        ("shift:feature=a+b", "shift takes one feature"),
        ("swap:feature=a", "swap takes two features, a+b"),
        ("flip:feature=a", "flip takes no feature"),
        ("flip:segment=a=b", "flip takes no segment: labels name none"),
        ("shift:segment=de", "a segment is a name and a value"),
        ("shift:from=120%", '"120%" is no share from 0% to 100%'),
        ("shift:from=2h", '"2h" is a length of time'),
        ("shift:over=0", "over is a number of predictions or a share of them"),
        ("delay:size=-2h", "size: "),
    ],
)
def test_a_spec_that_is_wrong_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value).startswith("--spec")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--spec", "shift:model=fraud"], "the history has no prediction of fraud; there are churn"),
        (["--spec", "shift:feature=plan"], "no model has plan that can have it; it takes a feature of numbers"),
        (["--spec", "category:feature=age"], "no model has age that can have it; it takes a feature of text"),
        (["--spec", "shift", "--seed", "-1"], "--seed -1: must be 0 or more"),
        (["--spec", "shift", "--out", "june.jsonl"], "june.jsonl: is there already; name another file with --out"),
        (["-", "--spec", "shift"], "history is read twice, so it must lie in files"),
    ],
)
def test_what_cannot_be_injected_is_one_line_and_nothing_is_written(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    history(tmp_path, 50)
    monkeypatch.chdir(tmp_path)
    assert main(["inject", "--out", "out.jsonl", "june.jsonl", *words]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n"), said in shown.err) == ("", 1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["june.jsonl"]
