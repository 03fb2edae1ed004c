"""Predictions and labels that have met: what was lost by them, told to the monitors of the prediction."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat

import msgspec

from detectors.checks import Checks
from detectors.config import ModelConfig
from detectors.corrections import NO_ROW
from detectors.join import Fate, Join, Labelled
from detectors.late import Scored
from detectors.loss import EVIDENCE, LossRule, Pair, configured, counted, found_out, losses
from detectors.moment import Item
from detectors.shelf import Pending
from detectors.versions import Scopes
from detectors.window_end import WindowEnds
from schemas.events import Outcome


class Held(msgspec.Struct, array_like=True, frozen=True):
    """A joined pair that waits for the task to be known."""

    key: str
    challenger: bool
    entry: Pending
    label: Labelled


def _said_of(item: Item) -> Labelled:
    event: Outcome = item[3]
    return Labelled(item[1], event.label, event.revision, event.weight, event.provisional)


class Pairs:
    """Of one model."""

    def __init__(
        self, config: ModelConfig, joins: Sequence[Join], scopes: Scopes, checks: Checks, windows: WindowEnds
    ) -> None:
        self._config = config
        self._joins, self._scopes, self._checks = joins, scopes, checks
        self.rule: LossRule | None = configured(config) or scopes.rule
        self.held: list[Held] = []
        self._windows = windows

    def labelled(self, item: Item, *, challenged: bool) -> Fate:
        """Takes in an outcome, for the challengers too where there are any."""
        key, label = item[3].id, _said_of(item)
        fate, entry = self._joins[0].label(key, label)
        if challenged:
            _, shadow = self._joins[1].label(key, label)
            if shadow is not None:
                self.met(item, key, True, shadow, label)
                fate = Fate.APPLIED  # whatever the champion's join says of it
        if entry is not None:
            self.met(item, key, False, entry, label)
        return fate

    def labelled_all(self, items: Sequence[Item]) -> tuple[Counter[Fate], list[int]]:
        """The same of many, where losses are scored and nothing is on trial, no challenger either.

        Also how many wait after each.
        """
        assert self.rule is not None
        join, pairs = self._joins[0], list[Scored]()
        fates, waiting = list[Fate](), list[int]()
        for item in items:
            key, label = item[3].id, _said_of(item)
            fate, entry = join.label(key, label)
            fates.append(fate)
            waiting.append(join.unanswered)
            if entry is None or label.provisional:
                continue
            if entry.scored:
                self._lose(pairs, self.rule)  # what is corrected may be among them
                pairs = []
                self._correct(key, False, entry, label)
            else:
                entry.scored = True
                pairs.append(Scored(item, losses(self.rule, entry, label.label), label, entry))
        self._lose(pairs, self.rule)
        return Counter(fates), waiting

    def met(self, item: Item, key: str, challenger: bool, entry: Pending, label: Labelled) -> None:
        """The first final label is scored; a later one corrects the counts."""
        if label.provisional:
            return
        if entry.scored:
            self._correct(key, challenger, entry, label)
            return
        entry.scored = True
        if self.rule is not None:
            self._lose_one(item, key, entry, label, self.rule)
            return
        self.held.append(Held(key, challenger, entry, label))
        if len(self.held) == EVIDENCE:
            self._settle_rule(item)

    def _settle_rule(self, item: Item) -> None:
        """Enough pairs have been held back to tell what the task is: they are scored now."""
        held, self.held = self.held, []
        rule = self.rule = found_out(self._config, [Pair(pair.entry, pair.label.label) for pair in held])
        for pair in held:
            shelf = self._joins[pair.challenger].shelf
            entry = shelf.fetched(pair.key)  # what is held may be a copy
            if isinstance(entry, Pending) and entry.place == pair.entry.place:  # not a later one of the same id
                self._lose_one(item, pair.key, entry, pair.label, rule)
                shelf.put(pair.key, entry)
            else:
                self._lose_one(item, pair.key, pair.entry, pair.label, rule)

    def _lose_one(self, item: Item, key: str, entry: Pending, label: Labelled, rule: LossRule) -> None:
        scored = losses(rule, entry, label.label)
        self._lose([Scored(item, scored, label, entry)], rule)
        if label.weight > 0:
            self._checks.lost(key, entry, scored, item[1])

    def _lose(self, pairs: Sequence[Scored], rule: LossRule) -> None:
        """Each monitor gets those of its predictions."""
        of, window = dict[int, list[Scored]](), self._windows.start
        for pair in pairs:
            _, _, label, entry = pair
            entry.label, entry.weight, entry.window = label.label, label.weight, window
            for number in entry.monitors:
                of.setdefault(number, []).append(pair)
        rows = {number: iter(self._lost_by(number, own, rule)) for number, own in of.items()}
        for _, _, _, entry in pairs:
            entry.losses = tuple([next(rows[number]) for number in entry.monitors])

    def _lost_by(self, number: int, pairs: Sequence[Scored], rule: LossRule) -> Iterable[int]:
        scope = self._scopes.numbered(number)
        return repeat(NO_ROW) if scope is None else scope.joined(pairs, rule.is_rate)

    def _correct(self, key: str, challenger: bool, entry: Pending, label: Labelled) -> None:
        """The window that counted the label before is amended; detectors cannot take back what they saw."""
        if self.rule is None:  # it is scored as it stands when the rule is found
            same = (key, challenger, entry.place)
            self.held = [
                Held(key, challenger, h.entry, label) if (h.key, h.challenger, h.entry.place) == same else h
                for h in self.held
            ]
            return
        if entry.label is None:
            return  # it was held back under another configuration
        before = counted(self.rule, entry, entry.label, entry.weight)
        after = counted(self.rule, entry, label.label, label.weight)
        rows = entry.losses or [None] * len(entry.monitors)
        for scope, row in zip(map(self._scopes.numbered, entry.monitors), rows, strict=True):
            if scope is not None:
                scope.corrected(entry.time, row, entry.window, self._windows.start, before, after)
        entry.label, entry.weight = label.label, label.weight
