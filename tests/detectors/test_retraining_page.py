"""docs/retraining.md says what the code does: reasons, answers and the example of a policy are compared."""

import re
from pathlib import Path

import msgspec

import schemas
from detectors.config import RetrainConfig
from detectors.cure import LOOKS, Answer
from detectors.retrain import DataWindow, Held, RetrainReason
from streams.settings import load
from tests.detectors.events import run
from tests.detectors.test_checks import STREAMS, WORSE, deployed

PAGE = (Path(schemas.__file__).parents[1] / "docs" / "retraining.md").read_text()
EVENTS = (Path(schemas.__file__).parents[1] / "docs" / "events.md").read_text()
WORDS = set(re.findall(r"`([^`\n]+)`", PAGE))


def column(title: str) -> list[str]:
    """The first cells of the table whose head begins with a word."""
    _, _, after = PAGE.partition(f"| {title} |")
    rows = after.partition("\n\n")[0].splitlines()[2:]
    return [row.strip("|").split("|")[0].strip().strip("`") for row in rows]


def test_every_reason_that_holds_a_retrain_back_and_every_answer_has_its_row() -> None:
    assert column("disposition") == [str(held) for held in Held]
    assert column("answer") == [str(answer) for answer in Answer]


def test_every_reason_and_window_of_a_retrain_stands_in_the_page() -> None:
    assert {*map(str, RetrainReason), *map(str, DataWindow)} <= WORDS


def test_the_example_of_a_policy_is_the_default_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(\[defaults.retrain\].*?)```", PAGE, re.DOTALL)
    file = tmp_path / "driftline.toml"
    file.write_text(example)
    assert load(file).monitor.defaults.retrain == RetrainConfig()
    assert all(f"\n{field.name} = " in example for field in msgspec.structs.fields(RetrainConfig))


def test_the_looks_are_those_that_are_told() -> None:
    told = ", ".join(f"{look:,}" for look in LOOKS[:-1]) + f" and {LOOKS[-1]:,}"
    assert told in PAGE


def test_every_detail_of_a_trial_stands_in_the_page_of_events() -> None:
    for events in (STREAMS["cured"], STREAMS["not cured"], deployed(WORSE, 300)):
        told = run(events)
        named = {name for event in (*told.alerts, *told.signals) for name in event.evidence.detail}
        assert "loss_now_high" in named
        assert named <= set(re.findall(r"`([^`\n]+)`", EVENTS))
