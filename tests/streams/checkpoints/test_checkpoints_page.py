"""The commands that docs/state.md shows do what it says, run as they stand there."""

import re
import subprocess
from pathlib import Path

import pytest

from streams.blobs_places import open_blobs
from streams.checkpoints import Checkpoints
from tests.streams.checkpoints.rocks import State, content, grown

PAGE = Path(__file__).parents[3] / "docs" / "state.md"


def checkpoints() -> Checkpoints:
    return Checkpoints(open_blobs("state/checkpoints"), group="driftline", kept=3)


def run(heading: str) -> None:
    commands = re.search(rf"^\*\*{heading}\*\*.*?^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-e", "-c", commands[1]], check=True)


@pytest.fixture
def state(tmp_path, monkeypatch) -> State:
    """A worker's directory as it stands after a checkpoint."""
    monkeypatch.chdir(tmp_path)
    Path("state/partitions/0").mkdir(parents=True)
    state = grown(tmp_path / "running", 1)
    checkpoints().save(0, state.checkpoint(), state.positions)
    return state


def test_a_backup_brings_a_state_back(state):
    saved, before = checkpoints().newest(0), state.content()
    run("Backup")
    state.step()
    checkpoints().save(0, state.checkpoint(), state.positions)
    run("Back to a backup")
    assert not Path("state/partitions").exists()
    assert checkpoints().candidates(0) == [saved]
    checkpoints().fetch(saved, Path("fetched"))
    assert content(Path("fetched")) == before


def test_afresh_leaves_nothing_to_go_on_from(state):
    run("Afresh")
    assert not Path("state/partitions").exists()
    assert checkpoints().newest(0) is None
