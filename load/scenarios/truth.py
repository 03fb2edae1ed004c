"""What was put into the traffic on purpose: the truth that alerts are held against."""

from enum import StrEnum

import msgspec


class DriftKind(StrEnum):
    """The ways a model's world can change, as the demo shows them."""

    ABRUPT = "abrupt feature drift"
    CATEGORY_MIX = "abrupt category drift"
    GRADUAL = "gradual feature drift"
    RECURRING = "recurring feature drift"
    NEW_CATEGORY = "upstream: new category"
    NULLS = "upstream: nulls"
    WRONG_TYPE = "upstream: wrong type"
    PREDICTION = "prediction drift"
    CONCEPT = "concept drift, late labels"


class InjectedDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One change, where it shows, and from when to when.

    An alert on any of ``signals`` finds it. ``consequences`` are signals that move because of it: an alert there is
    right, but does not count as found. ``echo_ms`` says how long after ``ends_ms`` labels of the changed time still
    come in; a change without an end has no echo.
    """

    model: str
    kind: DriftKind
    signals: tuple[str, ...]
    consequences: tuple[str, ...] = ()
    starts_ms: int
    ends_ms: int | None = None
    echo_ms: int = 0
    description: str

    @property
    def seen_by_labels_only(self) -> bool:
        """Whether nothing shows before outcomes come in."""
        return all(signal in LOSS_SIGNALS for signal in self.signals)


class Deployment(msgspec.Struct, frozen=True):
    """Another version is put in place of the one that answered until then."""

    version: str
    at_ms: int
    description: str


LOSS_SIGNALS = frozenset({"loss", "log_loss"})
