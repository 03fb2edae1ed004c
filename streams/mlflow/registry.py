"""MLflow's registry of models, as much of it as is needed here, through MLflow's own client.

The client is synchronous, so its calls are made one after another in a thread. It would try again by itself, for
minutes and without a word; that is left to whoever calls. Addresses and logins come from the configuration. Nothing
that a server answers is shown: it may repeat what it was sent.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from streams.errors import DriftlineError, UsageError
from streams.sections import MlflowSettings

READ_S = 10  # between two pieces of an answer
ANSWER_S = 30.0
PAGE = 200  # models of one answer
MODELS_MAX = 2_000  # of a registry; more are not looked at, which is told
VERSIONS_MAX = 200  # of a model that are looked through for a name: the newest

T = TypeVar("T")


class Trouble(StrEnum):
    NETWORK = "network"
    LOGIN = "login"
    SERVER_ERROR = "server_error"
    MISSING = "missing"  # there is no such model or version
    REFUSED = "refused"


class RegistryError(DriftlineError):
    """What went wrong with one call. ``may_pass``: whether the same call may fare better later."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble

    @property
    def may_pass(self) -> bool:
        return self.trouble in (Trouble.NETWORK, Trouble.LOGIN, Trouble.SERVER_ERROR)


class Registered(NamedTuple):
    """A model of the registry."""

    name: str
    live: str | None  # the number of the version that the alias names
    tags: Mapping[str, str]


class Version(NamedTuple):
    number: str
    tags: Mapping[str, str]


class Registry(Protocol):
    """Every method may raise ``RegistryError``."""

    async def models(self) -> Sequence[Registered]: ...

    async def model(self, name: str) -> Registered: ...

    async def version(self, name: str, number: str) -> Version: ...

    async def newest_versions(self, name: str) -> Sequence[Version]: ...

    async def tag_model(self, name: str, key: str, value: str) -> None: ...

    async def tag_version(self, name: str, number: str, key: str, value: str) -> None: ...

    async def move_alias(self, name: str, number: str) -> None: ...


class MlflowRegistry:
    def __init__(self, client: Any, alias: str) -> None:
        self._client, self._alias = client, alias
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def models(self) -> Sequence[Registered]:
        """By name. One more than ``MODELS_MAX`` where there are more."""
        found: list[Registered] = []
        token = None
        while len(found) <= MODELS_MAX:
            page = await self._call(
                lambda token=token: self._client.search_registered_models(  # type: ignore[misc]
                    max_results=PAGE, order_by=["name ASC"], page_token=token
                )
            )
            found += map(self._registered, page)
            token = page.token
            if not token:
                break
        return found[: MODELS_MAX + 1]

    async def model(self, name: str) -> Registered:
        return self._registered(await self._call(lambda: self._client.get_registered_model(name)))

    async def version(self, name: str, number: str) -> Version:
        return _version(await self._call(lambda: self._client.get_model_version(name, number)))

    async def newest_versions(self, name: str) -> Sequence[Version]:
        def search() -> Any:
            return self._client.search_model_versions(
                f"name = '{name}'", max_results=VERSIONS_MAX, order_by=["version_number DESC"]
            )

        return [_version(found) for found in await self._call(search)]

    async def tag_model(self, name: str, key: str, value: str) -> None:
        await self._call(lambda: self._client.set_registered_model_tag(name, key, value))

    async def tag_version(self, name: str, number: str, key: str, value: str) -> None:
        await self._call(lambda: self._client.set_model_version_tag(name, number, key, value))

    async def move_alias(self, name: str, number: str) -> None:
        await self._call(lambda: self._client.set_registered_model_alias(name, self._alias, number))

    def _registered(self, model: Any) -> Registered:
        live = dict(model.aliases or {}).get(self._alias)
        return Registered(str(model.name), None if live is None else str(live), dict(model.tags or {}))

    async def _call(self, call: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except TimeoutError as error:
            raise RegistryError(Trouble.NETWORK, f"no answer within {ANSWER_S:.0f} s") from error
        except Exception as error:  # the client's own kinds of error have no base of their own
            raise _meant(error) from error


def _version(version: Any) -> Version:
    return Version(str(version.version), dict(version.tags or {}))


def _meant(error: Exception) -> RegistryError:
    """By the words of the client alone, never by what the server wrote."""
    if not hasattr(error, "get_http_status_code"):
        return RegistryError(Trouble.SERVER_ERROR, f"an answer that cannot be read: {type(error).__name__}")
    status, code = error.get_http_status_code(), str(getattr(error, "error_code", ""))
    answered = type(error).__name__ == "RestException"  # as an MLflow server does: in JSON, with a code
    cause = type(error.__context__).__name__ if error.__context__ and not answered else None
    said = f"status {status}, {code}"
    kinds = (
        (Trouble.REFUSED, said, code == "INVALID_PARAMETER_VALUE"),
        (Trouble.SERVER_ERROR, "it answers with an error", cause == "RetryError"),
        (Trouble.NETWORK, str(cause), cause is not None),
        (Trouble.LOGIN, f"the login was refused: status {status}", status in (401, 403)),
        (Trouble.MISSING, "there is no such model or version", answered and code == "RESOURCE_DOES_NOT_EXIST"),
        (Trouble.REFUSED, said, answered and 400 <= status < 500 and status not in (404, 429)),
        (Trouble.SERVER_ERROR, said, True),
    )
    return next(RegistryError(trouble, detail) for trouble, detail, holds in kinds if holds)


def connected(settings: MlflowSettings, env: MutableMapping[str, str] = os.environ) -> MlflowRegistry:
    """The client reads much of what it needs from the environment of its process, so that is set first."""
    if settings.registry_uri is None:
        advice = "set it to the address of the MLflow server; docs/retraining.md shows how"
        raise UsageError("no registry of models is configured", where="mlflow.registry_uri", advice=advice)
    _set_environment(settings, env)
    try:
        from mlflow import MlflowClient  # noqa: PLC0415 - large, and not there without the extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "mlflow":
            raise
        advice = "install it with: pip install 'driftline[mlflow]'"
        raise UsageError("needs MLflow's client, which is not installed", where="[mlflow]", advice=advice) from error
    logging.getLogger("mlflow").setLevel(logging.CRITICAL + 1)  # it would repeat words of the server
    uri = settings.registry_uri.rstrip("/")
    return MlflowRegistry(MlflowClient(tracking_uri=uri, registry_uri=uri), settings.alias)


def _set_environment(settings: MlflowSettings, env: MutableMapping[str, str]) -> None:
    for name in ("INSECURE_TLS", *(("USERNAME", "PASSWORD", "TOKEN") if settings.password or settings.token else ())):
        env.pop(f"MLFLOW_TRACKING_{name}", None)
    given = {
        "MLFLOW_TRACKING_USERNAME": settings.username,
        "MLFLOW_TRACKING_PASSWORD": settings.password.reveal() if settings.password else None,
        "MLFLOW_TRACKING_TOKEN": settings.token.reveal() if settings.token else None,
        "MLFLOW_TRACKING_SERVER_CERT_PATH": settings.ca_file,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(READ_S),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",  # else it tells MLflow's makers how it is used
        "MLFLOW_CONFIGURE_LOGGING": "false",
    }
    env.update({name: value for name, value in given.items() if value is not None})
