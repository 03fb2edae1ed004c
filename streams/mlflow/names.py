"""What models and versions are called: here, and in the registry."""

from collections.abc import Mapping

from streams.keys import MODEL_NAME
from streams.mlflow.registry import Registered, Registry, RegistryError, Trouble, Version
from streams.pager.routes import fits
from streams.sections import MlflowSettings


class Names:
    def __init__(self, settings: MlflowSettings) -> None:
        self._there: Mapping[str, str] = settings.models
        self._here = {name: model for model, name in settings.models.items()}
        self._watch, self._tag = settings.watch, settings.version_tag

    def in_registry(self, model: str) -> str:
        return self._there.get(model, model)

    def watched(self, name: str) -> str | None:
        """The model that a registered one is here, where its alias is to be watched."""
        model = self._here.get(name, name)
        mine = self.in_registry(model) == name and MODEL_NAME.accepts(model)
        return model if mine and fits(model, self._watch) else None

    def of_version(self, version: Version) -> str | None:
        """How predictions call it; ``None`` where it does not say so yet."""
        return version.number if self._tag is None else version.tags.get(self._tag) or None

    async def number_of(self, registry: Registry, model: Registered, version: str | None) -> str | None:
        """The number of the version that predictions call so, or of the live one where they call it nothing."""
        if version is None:
            return model.live
        if self._tag is not None:
            newest = await registry.newest_versions(model.name)
            return next((one.number for one in newest if one.tags.get(self._tag) == version), None)
        if not version.isdecimal():
            return None
        try:
            return (await registry.version(model.name, version)).number
        except RegistryError as error:
            if error.trouble is not Trouble.MISSING:
                raise
            return None
