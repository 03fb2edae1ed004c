"""Predictions and labels that have met: what was lost by them, told to the monitors of the prediction."""

from collections.abc import Sequence

import msgspec

from detectors.checks import Checks
from detectors.config import ModelConfig
from detectors.corrections import NO_ROW
from detectors.join import Join, Labelled
from detectors.loss import EVIDENCE, LossRule, Pair, configured, counted, found_out, losses
from detectors.moment import Item
from detectors.shelf import Pending
from detectors.versions import Scopes


class Held(msgspec.Struct, array_like=True, frozen=True):
    """A joined pair that waits for the task to be known."""

    key: str
    challenger: bool
    entry: Pending
    label: Labelled


class Pairs:
    """Of one model. ``window``: the start of the window that is open."""

    def __init__(self, config: ModelConfig, joins: Sequence[Join], scopes: Scopes, checks: Checks) -> None:
        self._config = config
        self._joins, self._scopes, self._checks = joins, scopes, checks
        self.rule: LossRule | None = configured(config) or scopes.rule
        self.held: list[Held] = []
        self.window = 0

    def met(self, item: Item, key: str, challenger: bool, entry: Pending, label: Labelled) -> None:
        """The first final label is scored; a later one corrects the counts."""
        if label.provisional:
            return
        if entry.scored:
            self._correct(key, challenger, entry, label)
            return
        entry.scored = True
        if self.rule is not None:
            self._lose(item, key, entry, label, self.rule)
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
                self._lose(item, pair.key, entry, pair.label, rule)
                shelf.put(pair.key, entry)
            else:
                self._lose(item, pair.key, pair.entry, pair.label, rule)

    def _lose(self, item: Item, key: str, entry: Pending, label: Labelled, rule: LossRule) -> None:
        scored = losses(rule, Pair(entry, label.label))
        entry.label, entry.weight, entry.window = label.label, label.weight, self.window
        entry.losses = tuple(
            NO_ROW if scope is None else scope.joined(item, scored, rule.is_rate, label, entry)
            for scope in map(self._scopes.numbered, entry.monitors)
        )
        if label.weight > 0:
            self._checks.lost(key, entry, scored, item[1])

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
                scope.corrected(entry.time, row, entry.window, self.window, before, after)
        entry.label, entry.weight = label.label, label.weight
