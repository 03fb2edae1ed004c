"""MLflow's own client against a server that answers as it is told: what its errors mean, and what is sent."""

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import orjson
import pytest
import trustme

from load.endpoint import Behaviour, Endpoint, closes, endpoint, resets_midway, says, sends
from streams.errors import UsageError
from streams.mlflow import registry
from streams.mlflow.registry import MODELS_MAX, MlflowRegistry, RegistryError, Trouble, connected
from streams.secrets import Secret
from streams.sections import MlflowSettings

CANARY = "canary-7f3a"


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@asynccontextmanager
async def server_that(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    """The client's thread has its answer before the server has closed the connection: the end waits for that."""
    async with endpoint(behaviour, tls) as server:
        yield server
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        if serving:
            await asyncio.wait(serving)
        await asyncio.sleep(0)


def client(server: Endpoint, scheme: str = "http", **settings: object) -> MlflowRegistry:
    host = "localhost" if scheme == "https" else "127.0.0.1"
    return connected(MlflowSettings(registry_uri=server.url("/", scheme, host), **settings))  # type: ignore[arg-type]


def answer(status: int, content: object) -> Behaviour:
    return says(status, orjson.dumps(content), Content_Type="application/json", Connection="close")


def error(status: int, code: str) -> Behaviour:
    return answer(status, {"error_code": code, "message": CANARY})


@pytest.mark.parametrize(
    ("behaviour", "trouble"),
    [
        (error(404, "RESOURCE_DOES_NOT_EXIST"), Trouble.MISSING),
        (error(404, "ENDPOINT_NOT_FOUND"), Trouble.SERVER_ERROR),
        (says(404, b"<html>canary-7f3a</html>"), Trouble.SERVER_ERROR),
        (error(400, "INVALID_PARAMETER_VALUE"), Trouble.REFUSED),
        (error(400, "BAD_REQUEST"), Trouble.REFUSED),
        (says(400, b"canary-7f3a"), Trouble.SERVER_ERROR),
        (error(401, "UNAUTHENTICATED"), Trouble.LOGIN),
        (says(401, b"canary-7f3a"), Trouble.LOGIN),
        (says(403, b"canary-7f3a"), Trouble.LOGIN),
        (error(429, "REQUEST_LIMIT_EXCEEDED"), Trouble.SERVER_ERROR),
        (says(503, b"canary-7f3a"), Trouble.SERVER_ERROR),
        (error(500, "INTERNAL_ERROR"), Trouble.SERVER_ERROR),
        (error(418, "canary-7f3a"), Trouble.SERVER_ERROR),
        (says(200, b"<html>canary-7f3a</html>"), Trouble.SERVER_ERROR),
        (says(302, Location="http://127.0.0.1:1/canary-7f3a"), Trouble.SERVER_ERROR),
        (closes, Trouble.NETWORK),
        (resets_midway, Trouble.NETWORK),
        (sends(b"canary-7f3a\r\n\r\n"), Trouble.NETWORK),
    ],
)
async def test_an_error_has_its_kind_and_repeats_nothing_of_what_was_answered(
    behaviour: Behaviour, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    async with server_that(behaviour) as server:
        with pytest.raises(RegistryError) as caught:
            await client(server, token=Secret(CANARY)).model("churn")
        assert (caught.value.trouble, CANARY in str(caught.value)) == (trouble, False)
        assert CANARY not in caplog.text
        assert len(server.got) == 1  # it is not tried again in silence, and no redirect is followed


async def test_what_may_pass_is_told_apart() -> None:
    passing = {trouble for trouble in Trouble if RegistryError(trouble, "").may_pass}
    assert passing == {Trouble.NETWORK, Trouble.LOGIN, Trouble.SERVER_ERROR}


async def test_an_answer_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ANSWER_S", 0.05)
    silent = MlflowRegistry(_Silent(), "champion")
    with pytest.raises(RegistryError) as caught:
        await silent.model("churn")
    assert caught.value.trouble is Trouble.NETWORK
    _Silent.enough.set()
    silent.close()


class _Silent:
    import threading

    enough = threading.Event()

    def get_registered_model(self, name: str) -> None:
        self.enough.wait()


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({"username": "me", "password": Secret(CANARY)}, "Basic " + base64.b64encode(b"me:canary-7f3a").decode()),
        ({"token": Secret(CANARY)}, "Bearer canary-7f3a"),
    ],
)
async def test_the_login_of_the_configuration_is_the_one_that_is_sent(
    login: dict[str, object], header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "another")
    async with server_that(answer(200, {"registered_model": {"name": "churn"}})) as server:
        await client(server, **login).model("churn")
        assert server.got[0].headers["authorization"] == header


async def test_certificates_are_checked_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    found = answer(200, {"registered_model": {"name": "churn"}})
    with authority.cert_pem.tempfile() as ca_file:
        async with server_that(found, tls) as server:
            with pytest.raises(RegistryError) as caught:
                await client(server, "https").model("churn")
            assert caught.value.trouble is Trouble.NETWORK
            assert (await client(server, "https", ca_file=ca_file).model("churn")).name == "churn"


async def test_a_model_is_read_with_its_alias_and_tags() -> None:
    model = {
        "name": "churn",
        "aliases": [{"alias": "champion", "version": "7"}, {"alias": "other", "version": "8"}],
        "tags": [{"key": "a", "value": "b"}],
    }
    async with server_that(answer(200, {"registered_model": model})) as server:
        assert await client(server).model("churn") == ("churn", "7", {"a": "b"})
    async with server_that(answer(200, {"registered_model": {"name": "churn"}})) as server:
        assert await client(server).model("churn") == ("churn", None, {})


async def test_pages_are_followed_up_to_a_limit() -> None:
    names = iter(range(MODELS_MAX * 2))
    page = [{"name": f"m{next(names)}"} for _ in range(600)]
    async with server_that(answer(200, {"registered_models": page, "next_page_token": "more"})) as server:
        found = await client(server).models()
        assert (len(found), len(server.got)) == (MODELS_MAX + 1, 4)
    async with server_that(answer(200, {"registered_models": page})) as server:
        assert len(await client(server).models()) == 600


def test_without_an_address_the_setting_is_named() -> None:
    with pytest.raises(UsageError, match=r"mlflow\.registry_uri: no registry of models is configured"):
        connected(MlflowSettings())
