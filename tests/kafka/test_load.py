"""The measuring programs on a real broker, as they are called: one JSON object is the last line on standard output."""

import json
import os
import subprocess
import sys

import pytest

from load.throughput import RECORDS_MIN, WARM_MIN

pytestmark = pytest.mark.broker


def test_throughput_measures_a_bare_reader_and_names_whom_it_left_out(bootstrap: str) -> None:
    words = ["throughput", "--json", "--rounds", "1", "--records", str(RECORDS_MIN), "--only", "raw_aiokafka"]
    environment = {**os.environ, "KAFKA_BOOTSTRAP": bootstrap}
    done = subprocess.run(
        [sys.executable, "-m", "load", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["measured_records"]["raw_aiokafka"] <= RECORDS_MIN - WARM_MIN
    assert report["records_per_s"]["raw_aiokafka"] > 0
    assert set(report["skipped"]) == {"driftline", "driftline_memory", "plain_faust", "quixstreams"}
