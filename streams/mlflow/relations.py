"""What must hold within ``[mlflow]``."""

from collections import Counter
from collections.abc import Iterator

from streams.keys import MODEL_NAME
from streams.pager.address import mistake_in
from streams.problems import Problem, shown
from streams.sections import KafkaSettings, MlflowSettings, PagerSettings

_UNSEARCHABLE = (
    "'\"/:`\\"  # a registered model's name has none of "/" and ":", and MLflow's searches cannot escape the rest
)


def mistakes_in_mlflow(mlflow: MlflowSettings, kafka: KafkaSettings, pager: PagerSettings) -> Iterator[Problem]:
    if mlflow.group in (kafka.group, pager.group):
        yield Problem(("mlflow", "group"), "must differ from kafka.group and pager.group", shown(mlflow.group))
    if mlflow.registry_uri and (mistake := mistake_in(mlflow.registry_uri)):
        yield Problem(("mlflow", "registry_uri"), mistake)
    yield from _login(mlflow)
    yield from _names(mlflow)
    if not mlflow.watch:
        yield Problem(("mlflow", "watch"), 'must name at least one, such as "*"')


def _login(mlflow: MlflowSettings) -> Iterator[Problem]:
    if bool(mlflow.username) != bool(mlflow.password):
        missing = "password" if mlflow.username else "username"
        yield Problem(("mlflow", missing), "must be set: username and password belong together")
    if mlflow.token and mlflow.password:
        yield Problem(("mlflow", "token"), "stands beside mlflow.password; keep one of them")
    if (mlflow.token or mlflow.password) and (mlflow.registry_uri or "").startswith("http://"):
        yield Problem(("mlflow", "registry_uri"), "would send the login without TLS: say https://")


def _names(mlflow: MlflowSettings) -> Iterator[Problem]:
    often = {name for name, times in Counter(mlflow.models.values()).items() if times > 1}
    for model, name in mlflow.models.items():
        path = ("mlflow", "models", model)
        if not MODEL_NAME.accepts(model):
            yield Problem(path, f"is no model name: {MODEL_NAME.allowed}")
        if name in often:
            yield Problem(path, "must differ from the name of every other model there", shown(name))
        if not name.strip() or any(character in name for character in _UNSEARCHABLE):
            yield Problem(path, "must be a registered model's name, without quotes, slashes and colons", shown(name))
