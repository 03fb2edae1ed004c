"""The undisturbed run: one engine in memory, one record a batch. And whether the oracle agrees with it."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from detectors.config import MonitorConfig
from detectors.effects import Effect
from detectors.engine import Engine, EngineStats
from detectors.signing import Keys
from schemas.codec import decode_output
from schemas.events import Alert, AlertEvent, DeadLetter, Metrics, Retrain
from schemas.topics import TopicNames
from tests.simulation.oracle import Place, Told, Truth
from tests.simulation.oracle_audit import differing_entries
from tests.simulation.traffic import Lying

TOPICS = TopicNames()


class Undisturbed(NamedTuple):
    effects: dict[str, list[Effect]]  # by output topic, in order
    fates: dict[Place, str]
    windows: list[Told]
    stats: EngineStats


class Foreseen(NamedTuple):
    """What people would have to answer to."""

    opened: list[tuple[int, str, str]]  # incidents: time, model and name
    asked: list[tuple[int, str]]  # retrains: time and model


def foreseen(partition: int, ordered: Sequence[Lying], config: MonitorConfig, keys: Keys) -> Foreseen:
    """All in one batch, which takes far less than one by one."""
    applied = Engine(partition, config, TOPICS, keys=keys).apply([one.record for one in ordered])
    events = [decode_output(effect.value) for effect in applied.effects]
    return Foreseen(
        [
            (event.ts, event.model, event.incident)
            for event in events
            if isinstance(event, Alert) and event.event is AlertEvent.OPENED
        ],
        [(event.ts, event.model) for event in events if isinstance(event, Retrain)],
    )


def undisturbed(partition: int, ordered: Sequence[Lying], config: MonitorConfig, keys: Keys) -> Undisturbed:
    engine = Engine(partition, config, TOPICS, keys=keys)
    effects: dict[str, list[Effect]] = {topic: [] for topic in TOPICS.outputs}
    fates: dict[Place, str] = {}
    windows: list[Told] = []
    for one in ordered:
        applied = engine.apply([one.record])
        refused = None
        for effect in applied.effects:
            effects[TOPICS.of(effect.stream)].append(effect)
            event = decode_output(effect.value)
            if isinstance(event, DeadLetter):
                refused = str(event.reason)
            elif isinstance(event, Metrics):
                windows.append(_told(event))
        fates[one.record.topic, one.record.offset] = refused or _fate(applied.counts)
    return Undisturbed(effects, fates, windows, engine.stats)


def _fate(counts: Mapping[str, object]) -> str:
    (count,) = counts.values()
    ends = {name: getattr(count, name) for name in ("applied", "duplicate", "late", "dead_lettered")}
    if sum(ends.values()) != 1 or getattr(count, "consumed") != 1:  # noqa: B009 - counts have many forms
        return f"not one fate but {ends}"
    (fate,) = (name for name, number in ends.items() if number)
    return "conflict" if fate == "duplicate" and getattr(count, "conflicts") else fate  # noqa: B009


def _told(event: Metrics) -> Told:
    return Told(
        event.model,
        event.version,
        event.segment,
        event.window_start,
        event.window_end,
        event.revision,
        event.values,
    )


def disagreements(truth: Truth, run: Undisturbed) -> list[str]:
    """Where the run is not what the contract says, said briefly."""
    said = [
        f"V1/V3 {topic}[{offset}]: {run.fates.get((topic, offset))}, must be {fate}"
        for (topic, offset), fate in truth.fates.items()
        if run.fates.get((topic, offset)) != fate
    ]
    stats = run.stats
    stands = {name: getattr(stats, name) for name in truth.standing._fields}
    if stands != truth.standing._asdict():
        said.append(f"V3 at the end: {stands}, must be {truth.standing._asdict()}")
    said += differing_entries(truth.entries, [effect.value for effect in run.effects[TOPICS.audit]])
    return said + _differing_windows(truth.windows, run.windows)


def _differing_windows(must: Sequence[Told], told: Sequence[Told]) -> list[str]:
    must, told = sorted(must, key=_place), sorted(told, key=_place)  # stable: what shares a place stays in order
    said: list[str] = []
    for expected, found in zip(must, told, strict=False):
        if _place(expected) != _place(found):
            return [*said, f"V3 window {found[:6]} is told, {expected[:6]} must be"]
        wrong = {
            name: (found.values.get(name), value)
            for name, value in expected.values.items()
            if not _close(found.values.get(name), value)
        }
        wrong |= {name: (value, None) for name, value in found.values.items() if name not in expected.values}
        if wrong:
            said.append(f"V3 window {found[:6]}: is, must be: {wrong}")
    if len(must) != len(told):
        said.append(f"V3 {len(told)} windows are told, {len(must)} must be")
    return said


def _place(told: Told) -> tuple[object, ...]:
    return told.model, told.start, told.version or "", told.segment or "", told.revision or 0


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
