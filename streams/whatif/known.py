"""All that is known of a history in hindsight: its facts, its stretches of one loss each, and when it truly changed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams.truth import Change
from streams.whatif import stretches
from streams.whatif.facts import Facts
from streams.whatif.stretches import Plateau


class Known(NamedTuple):
    """By model."""

    facts: Mapping[str, Facts]
    stretches: Mapping[str, Sequence[Plateau]]
    changes: Mapping[str, Sequence[int]]  # when it is known to have changed


def known_of(models: Mapping[str, Facts], changes: Sequence[Change] | None) -> Known:
    """Stretches begin where changes are known to; where none are, they are found."""
    of_model: dict[str, list[int]] = {}
    found = {}
    for model, own in models.items():
        losses = own.columns["losses"]
        mine = [change for change in changes or () if change.is_of(model)]
        of_model[model] = sorted({change.starts_ms for change in mine})
        edges = sorted({*of_model[model], *(change.ends_ms for change in mine if change.ends_ms is not None)})
        if changes is None:
            begins = stretches.changes(losses, rate=own.rule is not None and own.rule.is_rate)
        else:
            begins = [int(row) for row in own.columns["made"].searchsorted(edges)]
        found[model] = stretches.stretches(losses, begins)
    return Known(models, found, of_model)
