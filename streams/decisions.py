"""What the monitor has decided, for whoever watches the worker: counted by its named reason, alerts in the log too.

Only names go into the log: a summary or a segment may show what values look like.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec
import structlog

from schemas.topics import Stream
from streams.state import EffectLike
from streams.telemetry import Decisions

log = structlog.get_logger()


class _Decision(msgspec.Struct, frozen=True):
    type: str
    model: str
    kind: str = ""
    event: str = ""
    disposition: str = ""
    reason: str = ""
    incident: str = ""
    severity: str = ""


_decoded = msgspec.json.Decoder(_Decision).decode


def decisions(effects: Iterable[EffectLike]) -> Decisions:
    """Steps of incidents, what became of findings, and what was asked for."""
    counted: Counter[tuple[str, str]] = Counter()
    for effect in effects:
        if effect.stream not in (Stream.ALERTS, Stream.SIGNALS, Stream.RETRAIN):
            continue
        try:
            told = _decoded(effect.value)
        except msgspec.MsgspecError:
            continue  # of another engine than the monitor
        counted[told.type, told.event or told.disposition or told.reason] += 1
        if effect.stream == Stream.ALERTS:
            log.info(
                "incident",
                step=told.event,
                incident=told.incident,
                model=told.model,
                kind=told.kind,
                severity=told.severity,
            )
    return counted
