"""The project's own text files, found by walking: what was made or installed is not among them."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("schemas", "detectors", "streams", "load")
FOLDERS = (*CODE, "tests", "docs", "requirements", "deploy", ".ci")
SUFFIXES = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".yaml", ""}


@cache
def text_files() -> dict[str, str]:
    """Path from the root → text, of every file that people write."""
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(_paths())}


def python_files(*folders: str) -> dict[str, str]:
    """The same, of Python files in some of the folders."""
    return {
        name: text for name, text in text_files().items() if name.endswith(".py") and name.startswith(_slashed(folders))
    }


def _slashed(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/" for folder in folders)


def _paths() -> Iterator[Path]:
    top = (path for path in ROOT.iterdir() if path.name != ".git")
    below = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    for path in (*top, *below):
        if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts:
            yield path
