"""The oracle's join: one model's predictions of one role, and the outcomes that wait for one."""

from dataclasses import dataclass, field
from typing import Any

from tests.simulation.traffic import Event


@dataclass(eq=False)
class Label:
    value: Any
    revision: int
    weight: float
    provisional: bool


@dataclass(eq=False)
class Waiting:
    key: str
    since: int
    event: Event
    value: bytes
    scopes: list[Any]  # those that count it, see ``oracle_windows``
    label: Label | None = None  # the newest
    scored: tuple[Label, int] | None = None  # the label that counts, and the window that counts it
    unscored: Label | None = None  # final, while the task is not known


@dataclass(eq=False)
class Early:
    key: str
    since: int
    label: Label


@dataclass(eq=False)
class Room:
    """One model's predictions of one role, and the outcomes that wait for one."""

    horizon: int
    pending_max: int
    early_max: int
    waiting: list[Waiting] = field(default_factory=list)
    past: list[Waiting] = field(default_factory=list)
    early: list[Early] = field(default_factory=list)
    unlabelled: int = 0
    orphans: int = 0
    evicted: int = 0
    early_evicted: int = 0

    def look(self, now: int) -> None:
        for one in [one for one in self.waiting if now - one.since > self.horizon]:
            self.end(one)
        self.past = [one for one in self.past if now - one.since <= 2 * self.horizon]
        self.orphans += sum(now - one.since > self.horizon for one in self.early)
        self.early = [one for one in self.early if now - one.since <= self.horizon]

    def end(self, one: Waiting) -> None:
        self.waiting.remove(one)
        self.unlabelled += one.label is None
        self.past = [*self.past, one][-self.pending_max :]

    def evict(self) -> None:
        self.evicted += 1
        self.end(self.waiting[0])

    def predict(self, one: Waiting) -> str:
        for known in (*self.waiting, *self.past):
            if known.key == one.key:
                return "duplicate" if known.value == one.value else "conflict"
        if len(self.waiting) == self.pending_max:
            self.evict()
        self.waiting.append(one)
        return "applied"

    def meet_early(self, one: Waiting) -> Label | None:
        for early in self.early:
            if early.key == one.key:
                self.early.remove(early)
                one.label = early.label
                return early.label
        return None

    def label(self, key: str, label: Label, now: int) -> tuple[str, Waiting | None]:
        for one in self.waiting:
            if one.key == key:
                if one.label is not None and label.revision <= one.label.revision:
                    return "duplicate", None
                one.label = label
                return "applied", one
        if any(one.key == key for one in self.past):
            return "late", None
        for early in self.early:
            if early.key == key:
                if label.revision <= early.label.revision:
                    return "duplicate", None
                early.label = label
                return "applied", None
        if len(self.early) == self.early_max:
            self.early_evicted += 1
            self.early = self.early[1:]
        self.early.append(Early(key, now, label))
        return "applied", None
