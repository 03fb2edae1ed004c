"""The measurement of the engine takes what it says it takes."""

import json

import pytest

from load.__main__ import main
from load.engine import FETCH_RECORDS


def test_both_ways_are_measured_over_all_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "--json", "--records", str(2 * FETCH_RECORDS)]) == 0
    figures = json.loads(capsys.readouterr().out)
    for workload in ("numbers_8", "words_2_of_8", "numbers_100"):
        for way in ("as_they_lie", "one_by_one"):
            assert all(figures[workload][way][part] > 0 for part in ("unpack_us", "engine_us"))
    assert figures["numbers_100"]["bytes"] > 5 * figures["numbers_8"]["bytes"]
