"""The measuring programs on a real broker, as they are called: one JSON object is the last line on standard output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from load.breaks import REHEARSED, Plan
from load.latency import SETTINGS, measured
from load.site.site import Site
from load.throughput import RECORDS_MIN, WARM_MIN

pytestmark = pytest.mark.broker


RECORDS = 2 * RECORDS_MIN  # so that even a reading of counters that comes late leaves something to measure
RUNNERS = {"driftline", "driftline_memory", "plain_faust", "quixstreams", "raw_aiokafka"}


@pytest.mark.parametrize("runner", ["raw_aiokafka", "driftline", "driftline_memory"])
def test_throughput_measures_who_is_asked_for_and_names_whom_it_left_out(bootstrap: str, runner: str) -> None:
    words = ["throughput", "--json", "--rounds", "1", "--records", str(RECORDS), "--only", runner]
    environment = {**os.environ, "KAFKA_BOOTSTRAP": bootstrap}
    done = subprocess.run(
        [sys.executable, "-m", "load", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["measured_records"][runner] <= RECORDS - WARM_MIN
    assert report["records_per_s"][runner] > 0
    assert set(report["skipped"]) == RUNNERS - {runner}


def test_latency_sees_every_alarm_and_its_page_and_nothing_else(bootstrap: str, tmp_path: Path) -> None:
    plan = Plan(per_second=400, models=REHEARSED + 8, alarms=6, seconds=3, seed=1, settle_s=3, tail_s=12)
    report = measured(Site(bootstrap, tmp_path, SETTINGS).create_topics(), plan)
    counts = ("n", "alarms_expected", "alarms_seen", "alarms_missing", "pages_missing", "false_alarms")
    assert [report[name] for name in counts] == [6, REHEARSED + 6, REHEARSED + 6, 0, 0, 0]
    assert 0 < report["alert_p50_ms"] <= report["page_p50_ms"]
    assert report["since_due_max_ms"] >= report["alert_max_ms"]
