"""What is known of one feature of a model, and where its columns are."""

import msgspec

from detectors.config import FeatureConfig
from schemas.events import NAME_CHARACTERS_MAX, Kind

# No feature can be called so: a name in an event has at most NAME_CHARACTERS_MAX characters.
SCORE, PREDICTION = "score".ljust(NAME_CHARACTERS_MAX + 1), "prediction".ljust(NAME_CHARACTERS_MAX + 1)
_NOTHING_GIVEN = FeatureConfig()


class Feature(msgspec.Struct, array_like=True):
    """What is known of one feature. Columns are -1 where there is none."""

    name: str
    kind: str  # "auto" until a value has been seen
    given: FeatureConfig | None = None  # where something was said of it
    value: int = -1
    missing: int = -1
    rest: int = -1
    categories: dict[str, int] = {}
    counted: dict[str, int] = {}  # warm-up of a categorical feature
    seen: int = 0
    learned: bool = False
    learns: int = 0  # values that teach it, where that is another number than usual

    @property
    def config(self) -> FeatureConfig:
        return self.given or _NOTHING_GIVEN

    @property
    def signal(self) -> str:
        return {SCORE: "score", PREDICTION: "prediction"}.get(self.name, f"feature:{self.name}")

    @property
    def drift_kind(self) -> Kind:
        return Kind.PREDICTION_DRIFT if self.name in (SCORE, PREDICTION) else Kind.FEATURE_DRIFT
