"""``[mlflow]``: every mistake at once, logins from the environment and from files, and none of them ever shown."""

from pathlib import Path

import pytest
import structlog

from streams import cli
from streams.errors import SettingsError
from streams.keys import MODEL_NAME
from streams.settings import load

CANARY = "canary-7f3a"


def mistakes(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "driftline.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert CANARY not in str(caught.value)
    return [line.replace(f"{file}: ", "") for line in caught.value.lines]


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = f"""
        [mlflow]
        registry_uri = "http://me:{CANARY}@mlflow.example/"
        group = "driftline-pager"
        alias = "latest"
        username = "me"
        watch = []
        poll_interval = "10ms"
        [mlflow.models]
        churn = "prod"
        price = "prod"
        "a model" = "x"
        eta = "it's"
        intent = " "
    """
    assert mistakes(tmp_path, text) == [
        'mlflow.alias = "latest": must be letters, digits, underscores or dashes, and none of MLflow\'s own',
        'mlflow.poll_interval = "10ms": must be a duration such as "90s", "15m", "6h" or "30d", from 1s to 1d',
        'mlflow.group = "driftline-pager": must differ from kafka.group and pager.group',
        "mlflow.registry_uri: must not hold a user or a password: say secrets under their own keys",
        "mlflow.password: must be set: username and password belong together",
        'mlflow.models.churn = "prod": must differ from the name of every other model there',
        'mlflow.models.price = "prod": must differ from the name of every other model there',
        f'mlflow.models."a model": is no model name: {MODEL_NAME.allowed}',
        "mlflow.models.eta = \"it's\": must be a registered model's name, without quotes, slashes and colons",
        'mlflow.models.intent = " ": must be a registered model\'s name, without quotes, slashes and colons',
        'mlflow.watch: must name at least one, such as "*"',
    ]


@pytest.mark.parametrize("login", ['token = "canary-7f3a"', 'username = "me"\npassword = "canary-7f3a"'])
def test_a_login_needs_tls(tmp_path: Path, login: str) -> None:
    text = f'[mlflow]\nregistry_uri = "http://mlflow.example"\n{login}'
    assert mistakes(tmp_path, text) == ["mlflow.registry_uri: would send the login without TLS: say https://"]


def test_one_login_is_enough(tmp_path: Path) -> None:
    text = f'[mlflow]\ntoken = "{CANARY}"\nusername = "me"\npassword = "{CANARY}"'
    assert mistakes(tmp_path, text) == ["mlflow.token: stands beside mlflow.password; keep one of them"]


def test_a_login_comes_from_the_environment_or_a_file_and_is_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"{CANARY}\n")
    file = tmp_path / "driftline.toml"
    file.write_text(f'[mlflow]\ntoken_file = "{secret}"')
    from_file = load(file).mlflow
    from_environment = load(None, {"DRIFTLINE_MLFLOW__TOKEN": CANARY}).mlflow
    for found in (from_file, from_environment):
        assert found.token is not None
        assert (found.token.reveal(), CANARY in repr(found)) == (CANARY, False)


def test_the_command_says_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_METRICS__ENABLED", "false")
    status = cli.main(["mlflow"])
    structlog.reset_defaults()  # the command sets logging up for its process, which is this one
    assert status == 2
    assert "mlflow.registry_uri: no registry of models is configured" in capsys.readouterr().err
