"""Lives of workers from seeds: they write what an undisturbed run writes, and the oracle says that this is right."""

import os

import pytest

from tests.simulation.__main__ import main, verdicts
from tests.simulation.mutants import MUTANTS
from tests.simulation.simulate import simulate

SEEDS = range(100)


def test_no_seed_shows_a_violation() -> None:
    print(f"seeds {SEEDS.start} to {SEEDS.stop - 1}")  # noqa: T201 - so that a failure says what was run
    violations, happened = (
        {},
        dict.fromkeys(("crashes", "writes_lost", "zombie_sends", "checkpoints_used", "alerts"), 0),
    )
    for verdict in verdicts(SEEDS, os.cpu_count() or 1):
        for name in happened:
            happened[name] += verdict.counts.get(name, 0)
        if verdict.violations:
            violations[f"python -m tests.simulation --seed {verdict.seed}"] = verdict.violations
    assert violations == {}
    assert all(happened.values()), happened  # else the seeds have become harmless


def test_a_seed_is_always_the_same_life() -> None:
    one, again = simulate(3), simulate(3)
    assert (one.violations, one.counts) == (again.violations, again.counts)


def test_a_seed_that_fails_is_told_in_one_line_that_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    with MUTANTS["late_labels_are_duplicates"]():
        assert main(["--seeds", "1", "--start", "9000", "--processes", "1"]) == 1
        (told,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("python"))
        replay = told.partition("#")[0].split()
        assert replay[:3] == ["python", "-m", "tests.simulation"]
        assert main(replay[3:]) == 1
    assert main(replay[3:]) == 0
