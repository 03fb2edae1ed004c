"""The same work for every peer: River's ADWIN and Page-Hinkley on each feature of each model, record by record."""

from collections.abc import Mapping

from river.drift import ADWIN, PageHinkley


class Detectors:
    """A pair of detectors for each model and feature, made when first seen."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, tuple[ADWIN, PageHinkley]]] = {}

    def update(self, model: str, features: Mapping[str, float]) -> None:
        detectors = self._models.get(model)
        if detectors is None:
            detectors = self._models[model] = {name: (ADWIN(), PageHinkley()) for name in features}
        for name, value in features.items():
            adwin, page_hinkley = detectors[name]
            adwin.update(value)
            page_hinkley.update(value)
