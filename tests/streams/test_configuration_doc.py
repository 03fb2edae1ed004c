import re
from pathlib import Path

from streams.explain import markdown, sections
from streams.keys import SETTINGS
from streams.settings import load

DOC = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_every_section_stands_in_the_documentation_as_it_is_explained() -> None:
    text = DOC.read_text(encoding="utf-8")
    outdated = {name: table for name, rows in sections().items() if (table := markdown(rows)) not in text}
    assert outdated == {}  # put these tables in the place of the old ones


def test_every_key_that_the_documentation_lists_exists() -> None:
    listed = re.findall(r"^\| `([^`]+)` \|", DOC.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(SETTINGS)


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOC.read_text(encoding="utf-8"), flags=re.DOTALL)
    file = tmp_path / "driftline.toml"
    file.write_text(example)
    monitor = load(file).monitor
    assert (monitor.of("churn").label_horizon, monitor.of("price").label_horizon) == ("30d", "6h")
