"""Three files as NannyML publishes them, replayed as they are: production, and its labels in a file of their own.

Always tried on files made here, of the same columns. Where ``DRIFTLINE_DATA`` names a folder that holds ``car_loan``,
on the real ones too.
"""

import csv
import gzip
import io
import json
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from streams.cli import main

PRODUCTION, LABELS = "synthetic_car_loan_analysis.csv.gz", "synthetic_car_loan_analysis_target.csv.gz"
SIGNALS = ("feature:car_value", "feature:loan_length")
TOLD = {"opened", "updated", "escalated", "reopened"}


class Files(NamedTuple):
    folder: Path
    rows: int
    changes_at: int


def made(folder: Path) -> Files:
    draw, rows, changes_at = Random(1), 6_000, 4_000
    begins = datetime.fromisoformat("2018-10-30 18:00:00.000")
    production, labels = [], []
    for number in range(rows):
        after = number >= changes_at
        score = round(draw.random(), 2)
        production.append(
            {
                "id": 50_000 + number,
                "car_value": round(draw.gauss(45_000 if after else 30_000, 12_000), 0),
                "salary_range": draw.choice(("0 - 20K €", "20K - 40K €")),
                "debt_to_income_ratio": draw.random(),
                "loan_length": float(round(draw.gauss(17.5 if after else 14.5, 4.0))),
                "repaid_loan_on_prev_car": draw.random() < 0.5,
                "timestamp": str(begins + timedelta(milliseconds=523_152 * number)),
                "y_pred_proba": score,
                "y_pred": int(score > 0.5),
            }
        )
        labels.append({"id": 50_000 + number, "repaid": int(draw.random() < score)})
    _write(folder / PRODUCTION, production)
    _write(folder / LABELS, labels)
    return Files(folder, rows, changes_at)


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode()))


GIVEN = [Path(os.environ["DRIFTLINE_DATA"]) / "car_loan"] if "DRIFTLINE_DATA" in os.environ else []


@pytest.mark.parametrize("given", [None, *GIVEN], ids=["made", *map(str, GIVEN)])
def test_the_change_is_found_in_value_and_length_and_nothing_of_either_before_it(
    given: Path | None, tmp_path: Path
) -> None:
    files = made(tmp_path) if given is None else Files(given, 50_000, 25_000)
    out = tmp_path / "out"
    words = [str(files.folder / PRODUCTION), "--labels", str(files.folder / LABELS), "--out", str(out)]
    assert main(["replay", *words]) == 0
    counted = json.loads((out / "summary.json").read_bytes())["partitions"]
    assert {topic: counts["0"]["applied"] for topic, counts in counted.items()} == {
        PRODUCTION: files.rows,
        LABELS: files.rows,
    }
    alarms = {signal: rows_of_alarms(out, signal) for signal in SIGNALS}
    assert all(alarms.values())
    assert [row for rows in alarms.values() for row in rows if row < files.changes_at] == []
    assert all(min(rows) < files.changes_at + 1_000 for rows in alarms.values())


def rows_of_alarms(out: Path, signal: str) -> list[int]:
    """Where alarms of it began: those that people were told of, and those that joined an incident."""
    alerts = [json.loads(line) for line in (out / "alerts.jsonl").read_bytes().splitlines()]
    signals = [json.loads(line) for line in (out / "signals.jsonl").read_bytes().splitlines()]
    told = [alert for alert in alerts if alert["event"] in TOLD]
    joined = [finding for finding in signals if finding["disposition"] == "grouped"]
    return [event["position"]["offset"] for event in (*told, *joined) if event["signal"] == signal]
