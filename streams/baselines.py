"""Baselines from files: found where the configuration names them, read, and taught to the detectors before the start.

What is wrong with a file is said in one line, with the row and the column, and nothing starts.
"""

from collections.abc import Iterator, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from detectors.config import WARM_UP, ModelConfig
from detectors.learning import Learned, Recordings, Row, learn
from detectors.recorded import LEARN_MIN
from detectors.reports import Origin
from streams.baseline_events import read_events
from streams.baseline_tables import Limits, read_table, rows_of
from streams.errors import MistakesError, UsageError
from streams.sections import Settings

if TYPE_CHECKING:
    from streams.loops import Say

# More teach nothing new: a column stops learning at 25,000 values. What is read is held in memory while it teaches,
# some 150 bytes a cell: 150 MB at most.
LIMITS = Limits(rows=100_000, cells=1_000_000)
_DIGITS = 12  # of the content's hash: two of a thousand files are alike once in 500 million times


class BaselineError(MistakesError, UsageError):
    """Files that cannot be what they are to be, a line each."""


class Baseline(NamedTuple):
    """For whoever wants to see it."""

    model: str | None  # ``None``: of all that nobody configured
    learned: Learned
    path: Path
    left: str  # what was not read; empty where all was


def load(settings: Settings, say: "Say | None" = None) -> Recordings:
    """All that the configuration names; raises ``BaselineError`` with every file that is wrong."""
    models: dict[str, dict[str, Learned]] = {name: {} for name in settings.monitor.models}
    defaults: dict[str, Learned] = {}
    for baseline in loaded(settings, say):
        own = defaults if baseline.model is None else models[baseline.model]
        own[baseline.learned.origin.name] = baseline.learned
    return Recordings(defaults, models)


def require_files(settings: Settings) -> None:
    """Raises ``BaselineError`` where one cannot be opened: that is told before anything that takes long."""
    mistakes = []
    for _, _, name, _ in _named(settings):
        path = Path(settings.folder) / name
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            mistakes.append(f"{path}: cannot be read: {error.strerror}")
    if mistakes:
        raise BaselineError(list(dict.fromkeys(mistakes)))


def loaded(settings: Settings, say: "Say | None" = None) -> list[Baseline]:
    found: list[Baseline] = []
    mistakes: list[UsageError] = []
    folder = Path(settings.folder)
    # Many models may share the defaults' file: what is the same is learned once.
    known: dict[tuple[str, Path, bytes, str | None], Baseline] = {}
    for model, name, path, config in _named(settings):
        same_config = msgspec.msgpack.encode(config, order="deterministic")
        key = (name, folder / path, same_config, model if _says_whose(path) else "")
        try:
            if key not in known:
                known[key] = _learned(model, name, folder / path, config, say)
            found.append(known[key]._replace(model=model))
        except UsageError as error:
            mistakes.append(error)
    if mistakes:
        raise BaselineError(list(dict.fromkeys(map(str, mistakes))))
    return found


def files_of(config: ModelConfig) -> Mapping[str, str]:
    """Paths by the names that events give."""
    named = dict(config.baselines)
    if config.baseline != WARM_UP and config.baseline not in named:
        named[config.baseline] = config.baseline
    return named


def _named(settings: Settings) -> Iterator[tuple[str | None, str, str, ModelConfig]]:
    everyone: list[tuple[str | None, ModelConfig]] = [(None, settings.monitor.defaults)]
    everyone += settings.monitor.models.items()
    for model, config in everyone:
        for name, path in files_of(config).items():
            yield model, name, path, config


def _says_whose(path: str) -> bool:
    """Only events name their model."""
    return not path.lower().endswith((".csv", ".parquet"))


def _learned(model: str | None, name: str, path: Path, config: ModelConfig, say: "Say | None") -> Baseline:
    rows, left = _read(path, model, config)
    least = min(LEARN_MIN, config.baseline_rows)
    if len(rows) < least:
        what = f"has {len(rows):,} rows, and a baseline needs {least}"
        raise UsageError(what, where=str(path), advice='record more, or leave it to baseline = "warm-up"')
    from streams import loops  # noqa: PLC0415 - with all that is compiled

    loops.load(say or loops.on_terminal)
    return Baseline(model, learn(config, Origin(name, _digest(path)), rows), path, left)


def _read(path: Path, model: str | None, config: ModelConfig) -> tuple[list[Row], str]:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".parquet"):
        table = read_table(path, LIMITS)
        rows = rows_of(table, config.segments, str(path))
        return rows, f"only its first {len(rows):,} rows teach" if table.more else ""
    return read_events(path, model, LIMITS)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()[:_DIGITS]
