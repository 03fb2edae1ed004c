"""Features of a recorded baseline that the stream may never show: nothing can be said of them, and that is said."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from detectors.cells import fits, kind_of, score_of
from detectors.config import ModelConfig
from detectors.feature import PREDICTION, SCORE
from detectors.moment import Item
from detectors.rows import Rows
from schemas.events import Prediction

AwaitedState = dict[str, tuple[str, str]]  # of each that has not come: what it is to be, and as what it came instead

_SIGNALS = {PREDICTION: "prediction", SCORE: "score"}
_WORDS = {"numeric": "numbers", "categorical": "text", "text-length": "text", "boolean": "booleans"}


class Missed(NamedTuple):
    item: Item
    signal: str
    why: str


class Awaited:
    """Looks at the first ``baseline_rows`` rows, and at no more once all have come."""

    def __init__(self, config: ModelConfig) -> None:
        self.state: AwaitedState = {}
        self._config = config

    def start(self, kinds: Mapping[str, str]) -> None:
        self.state = {name: (kind, "") for name, kind in kinds.items()}

    def look(self, parts: Sequence[Rows], first: int) -> Iterator[Missed]:
        """``first`` is the number of the first row. Those that have not come by the last one are told with it."""
        if not self.state:
            return
        items = (rows.item(row) for rows in parts for row in range(len(rows)))
        for number, item in enumerate(islice(items, max(0, self._config.baseline_rows - first)), first + 1):
            self._look(item[3])
            if not self.state:
                return
            if number == self._config.baseline_rows:
                missing, self.state = self.state, {}
                for name, (kind, came) in missing.items():
                    signal = _SIGNALS.get(name, f"feature:{name}")
                    yield Missed(item, signal, _why(kind, came, self._config.baseline_rows))

    def _look(self, event: Prediction) -> None:
        for name, (kind, _) in list(self.state.items()):
            cell = event.features.get(name)
            if name in _SIGNALS:
                cell = event.prediction if name == PREDICTION else score_of(event)
            if cell is None:
                continue
            given = self._config.features.get(name)
            if fits(cell, kind, forced=given is not None and given.kind == "categorical"):
                del self.state[name]
            else:
                self.state[name] = (kind, kind_of(cell))


def _why(kind: str, came: str, rows: int) -> str:
    if came:
        return f"the baseline has {_WORDS[kind]}, and the first {rows:,} rows have {_WORDS[came]}"
    return f"the baseline has it, and none of the first {rows:,} rows does"
