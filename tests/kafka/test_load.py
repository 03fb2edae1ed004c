"""The measuring programs on a real broker, as they are called: one JSON object is the last line on standard output."""

import json
import os
import subprocess
import sys

import pytest

from load.throughput import RECORDS_MIN, WARM_MIN

pytestmark = pytest.mark.broker


RUNNERS = {"driftline", "driftline_memory", "plain_faust", "quixstreams", "raw_aiokafka"}


@pytest.mark.parametrize("runner", ["raw_aiokafka", "driftline", "driftline_memory"])
def test_throughput_measures_who_is_asked_for_and_names_whom_it_left_out(bootstrap: str, runner: str) -> None:
    words = ["throughput", "--json", "--rounds", "1", "--records", str(RECORDS_MIN), "--only", runner]
    environment = {**os.environ, "KAFKA_BOOTSTRAP": bootstrap}
    done = subprocess.run(
        [sys.executable, "-m", "load", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["measured_records"][runner] <= RECORDS_MIN - WARM_MIN
    assert report["records_per_s"][runner] > 0
    assert set(report["skipped"]) == RUNNERS - {runner}
