"""What the throughput program makes of figures, and how it reads a worker from outside."""

import argparse
from pathlib import Path

import pytest

from load.brokers.common import Broker, BrokerKind
from load.peers.driftline_worker import read_fates
from load.peers.task import Figure, Task, read_task
from load.throughput import RECORDS, RUNNERS, Plan, _names, _records, _report, _rotated

EVERYBODY = tuple(RUNNERS)


def _figure(rate: float) -> Figure:
    return Figure(records=1_000, seconds=1_000 / rate, versions={"river": "0.26.1"})


def test_the_report_gives_medians_and_how_many_times_as_fast_the_worker_is() -> None:
    plan = Plan(RECORDS, 3, 1, outcomes=False, only=EVERYBODY)
    figures = {
        "driftline": [_figure(90_000), _figure(60_000), _figure(61_000)],
        "driftline_memory": [_figure(61_000), _figure(76_250), _figure(90_000)],
        "raw_aiokafka": [_figure(100_000), _figure(122_000), _figure(200_000)],
    }
    report = _report(plan, Broker("localhost:9092", BrokerKind.JARS), figures)
    assert report["records_per_s"] == {"driftline": 61_000, "driftline_memory": 76_250, "raw_aiokafka": 122_000}
    assert report["ratios"] == {"raw_aiokafka": 0.5}
    assert report["durability_ratio"] == 0.8
    assert report["versions"]["river"] == "0.26.1"


def test_who_is_not_measured_is_named_with_a_reason() -> None:
    plan = Plan(RECORDS, 1, 1, outcomes=True, only=("driftline", "plain_faust"))
    assert plan.skipped["plain_faust"] == "has no label half to measure"
    assert plan.skipped["raw_aiokafka"] == "not asked for"
    assert "driftline" not in plan.skipped


def test_with_outcomes_twice_as_many_records_are_read_and_warmed_with() -> None:
    alone = Plan(RECORDS, 1, 1, outcomes=False, only=EVERYBODY)
    joined = Plan(RECORDS, 1, 1, outcomes=True, only=EVERYBODY)
    assert joined.events("driftline") == 2 * alone.events("driftline")
    assert joined.warm("driftline") == 2 * alone.warm("driftline")


def test_each_round_begins_with_another_program() -> None:
    assert [_rotated(["a", "b", "c"], number) for number in range(3)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
    ]


def test_a_task_survives_the_command_line() -> None:
    task = Task("localhost:9092", ("predictions", "outcomes"), "group", 10, 100, Path("result.json"))
    assert read_task(task.words()) == task


@pytest.mark.parametrize(("reads", "text"), [(_records, "100"), (_names, "driftline,flink")])
def test_a_call_that_makes_no_sense_is_refused(reads: type, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        reads(text)


def test_the_fates_of_records_are_read_from_the_metrics_endpoint_over_all_partitions() -> None:
    text = (
        "# HELP driftline_records_total Records by what became of them\n"
        'driftline_records_total{fate="applied",partition="0",topic="p"} 1200.0\n'
        'driftline_records_total{fate="applied",partition="1",topic="p"} 300.0\n'
        'driftline_records_total{fate="dead_lettered",partition="1",topic="p"} 1.0\n'
        'driftline_records_created{fate="applied",partition="1",topic="p"} 1.7e+09\n'
    )
    assert read_fates(text) == {"applied": 1_500, "dead_lettered": 1}
