"""How loud an alarm is: what the configuration says of its kind, or how large it is; and how much the model matters."""

from typing import NamedTuple

from detectors.config import ModelConfig
from detectors.reports import Told
from schemas.events import Kind, Severity

_ORDER = tuple(Severity)
RANKS = {severity: rank for rank, severity in enumerate(_ORDER)}
_WEIGHT = {"low": -1, "normal": 0, "high": 1}


class Graded(NamedTuple):
    severity: Severity
    because: str


def graded(config: ModelConfig, told: Told, found: Severity) -> Graded:
    """``found``: by the kind and size of the change alone."""
    if told.key.challenger:
        return Graded(Severity.INFO, "nobody is served by a challenger")
    asked = config.severity.get(told.kind)
    severity, because = (
        (found, _found(told.kind)) if asked is None else (Severity(asked), f"configured for {told.kind}")
    )
    rank = min(max(RANKS[severity] + _WEIGHT[config.importance], 0), len(_ORDER) - 1)
    if rank != RANKS[severity]:
        because += f"; the model's importance is {config.importance}"
    return Graded(_ORDER[rank], because)


def _found(kind: str) -> str:
    return "labels show harm" if kind == Kind.CONCEPT_DRIFT else "kind and size of the change"
