from collections.abc import Sequence
from pathlib import Path

import pytest

from detectors.config import FeatureConfig, ModelConfig, MonitorConfig
from streams.byte_sizes import byte_count
from streams.errors import SettingsError
from streams.keys import SETTINGS
from streams.secrets import Secret
from streams.sections import MonitorLimits
from streams.settings import Settings, load
from streams.shape import leaves


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "driftline.toml"
    file.write_text(text, encoding="utf-8")
    return file


def mistakes(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(file, env)
    return [line.replace(f"{file}: ", "") for line in caught.value.lines]


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()


def test_every_setting_has_a_meaning_and_every_meaning_a_setting() -> None:
    assert {".".join(leaf.path) for leaf in leaves()} == set(SETTINGS)


def test_every_default_passes_its_own_check() -> None:
    refused = [
        leaf.path for leaf in leaves() if (check := SETTINGS[".".join(leaf.path)].check) and not _passes(leaf, check)
    ]
    assert refused == []


def _passes(leaf, check) -> bool:  # type: ignore[no-untyped-def]
    return leaf.default is None or check.accepts(leaf.default)


def test_the_monitors_own_settings_are_all_in_the_file() -> None:
    assert {*MonitorLimits.__struct_fields__, "defaults", "models"} == set(MonitorConfig.__struct_fields__)


def test_defaults_lie_under_each_model_table_by_table(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        [defaults]
        label_horizon = "7d"
        features.age = { kind = "numeric", range = [0, 120] }
        [models.churn]
        task = "binary"
        [models.churn.features.age]
        kind = "text-length"
        [models."a.b".retrain]
        min_labels = 5
        """,
    )
    monitor = load(file).monitor
    assert monitor.of("churn").features["age"] == FeatureConfig("text-length", (0.0, 120.0))
    assert (monitor.of("churn").task, monitor.of("churn").label_horizon) == ("binary", "7d")
    assert (monitor.of("a.b").retrain.min_labels, monitor.of("a.b").retrain.cooldown) == (5, "24h")
    assert monitor.of("another") == monitor.defaults


def test_every_mistake_is_said_at_once_with_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    text = """
        [kafka]
        botstrap = "x"
        partitions = "four"
        heartbeat_interval = "40s"
        [kafka.topics]
        alerts = "driftline.signals"
        [defaults]
        label_horizon = "30"
        false_pages_per_month = nan
        [models.churn]
        task = "binry"
        [models.price]
        positive = 1
        task = "regression"
        features.age.range = [3, 1]
        [models."-x"]
        """
    assert mistakes(tmp_path, text) == [
        "kafka.botstrap: is not a setting; did you mean kafka.bootstrap?",
        'kafka.partitions = "four": must be a whole number from 1 to 10,000',
        'defaults.label_horizon = "30": must be a duration such as "90s", "15m", "6h" or "30d", from 1s to 3650d',
        "defaults.false_pages_per_month = nan: must be a number from 0.001 to 1,000",
        "models.-x: is no model name: 1 to 64 letters, digits, dots, underscores or dashes, no mark first",
        'models.churn.task = "binry": must be one of "auto", "binary", "multiclass", "regression", "ranking"',
        'kafka.topics.alerts = "driftline.signals": must differ from kafka.topics.signals',
        'kafka.topics.signals = "driftline.signals": must differ from kafka.topics.alerts',
        'kafka.heartbeat_interval = "40s": must be at most a third of kafka.session_timeout, which is 45s',
        'models.price.positive = 1: belongs to a binary model; the task is "regression"',
        "models.price.features.age.range = [3.0, 1.0]: must be [lowest, highest], the first below the second",
    ]


def test_a_retrain_policy_says_what_it_may_be(tmp_path: Path) -> None:
    text = """
        [defaults.retrain]
        on = ["concept_drift", "silence"]
        labels_share = 20
        per_month = -1
        """
    kinds = '"concept_drift", "feature_drift", "prediction_drift", "label_drift"'
    assert mistakes(tmp_path, text) == [
        f"defaults.retrain.on = ['concept_drift', 'silence']: must be a list of {kinds}",
        "defaults.retrain.labels_share = 20: must be a number from 0 to 1",
        "defaults.retrain.per_month = -1: must be a whole number from 0 to 1,000",
    ]


def test_a_mistake_in_the_defaults_is_told_once_not_for_every_model(tmp_path: Path) -> None:
    found = mistakes(tmp_path, '[defaults]\nbaseline = "b.xlsx"\n[models.a]\n[models.b]\n')
    files = "a file, which must end in .parquet, .csv, .jsonl or .jsonl.gz"
    assert found == [f'defaults.baseline = "b.xlsx": must be "warm-up" or {files}']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[models.m.baselines]\nwarm-up = 'a.csv'", "models.m.baselines.warm-up: must have another name"),
        ("[models.m.baselines]\nq1 = 'a.txt'", 'models.m.baselines.q1 = "a.txt": must end in .parquet'),
        (
            "[models.m]\nbaseline = 'q2'\nbaselines.q1 = 'a.csv'",
            'models.m.baseline = "q2": must be "warm-up", a name of',
        ),
        ("[models.m]\ndetectors = ['adwim']", "models.m.detectors: no detector 'adwim'"),
        ("[models.m]\ndetectors = ['ddm']", "models.m.detectors: ddm takes zeros and ones only"),
        ("[models.m]\nloss_detectors = ['ddm']\ntask = 'regression'", "models.m.loss_detectors: ddm takes zeros"),
        ("[models.m]\ndetectors = []", "models.m.detectors = []: must name at least one detector"),
        ("[defaults.parameters.adwin]\ndelt = 1", "defaults.parameters.adwin: "),
        ("[defaults.parameters.kswin]\nalpha = 1", "defaults.parameters.kswin: belongs to no detector"),
        (
            '[defaults.severity]\nfeature_drfit = "info"',
            "defaults.severity.feature_drfit: is no kind of alarm; there are ",
        ),
        ('[models.m]\nimportance = "huge"', 'models.m.importance = "huge": must be one of '),
        ("[models.m]\nsegments = ['a', 'a']", "models.m.segments = ['a', 'a']: must be names, each once"),
        ("[models.m]\ntask = 'regression'\nloss = 'zero_one'", 'models.m.loss = "zero_one": does not fit the task'),
        ("[models.m.features.a]\nmean = 3", "models.m.features.a.sd: must be set too"),
        ("[models.m.features.a]\nmean = 3\nsd = 0", "models.m.features.a.sd = 0.0: must be above 0"),
        ("[models.m.features.a]\nrange = [0, inf]", "models.m.features.a.range = [0, inf]: must be a list of 2"),
        ("kafka = 'localhost'", "kafka: must be a table of settings"),
        ("[kafka]\nprotocol = 'ssl'\nkey_file = 'k'", "kafka.certificate_file: must be set where kafka.key_file is"),
        ("[kafka]\nca_file = 'ca'", "kafka.ca_file: is of no use unless"),
        ("[kafka]\nrequest_timeout = '45s'", 'kafka.request_timeout = "45s": must be longer than'),
        ("[kafka]\nbootstrap = 'kafka://b:9092'", 'kafka.bootstrap = "kafka://b:9092": must be "host:port"'),
        ("[kafka]\npartitions = true", "kafka.partitions = true: must be a whole number"),
        ("[kafka", "is not TOML: "),
        ("[state]\ncommit_interval = '6s'", 'state.commit_interval = "6s": must be a duration'),
        ("[state]\ndisk_free_min = '256MB'", 'state.disk_free_min = "256MB": must be a size such as'),
        ("[state]\ndisk_free_min = '1KiB'", 'state.disk_free_min = "1KiB": must be a size such as'),
        ("[state]\ncheckpoints = 'gs://bucket'", 'state.checkpoints = "gs://bucket": must be a directory, "s3://'),
        ("[state]\ncheckpoints = 's3://B/c'", 'state.checkpoints = "s3://B/c": must be a directory, "s3://'),
        ("[state]\ndir = 'a'\ncheckpoints = 'b/../a/partitions/c'", "state.checkpoints = "),
        ("[state]\ndir = 'a'\ncheckpoints = './a'", 'state.checkpoints = "./a": must lie elsewhere than'),
        ("[state]\nmemory = true\ncheckpoints = 'c'", 'state.checkpoints = "c": is of no use where state.memory'),
        ("[worker]\ntick_interval = '50ms'", 'worker.tick_interval = "50ms": must be at least 100ms, or 0s'),
        ("[monitor]\npending_max = 9\n[models.m]\npending_max = 10", "models.m.pending_max = 10: must be at most"),
        ("[monitor]\npending_max = 9\n[defaults]\npending_max = 10", "defaults.pending_max = 10: must be at most"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, expected: str) -> None:
    found = mistakes(tmp_path, text)
    assert (len(found), found[0].startswith(expected)) == (1, True), found


def test_a_login_needs_all_its_parts(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "[kafka]\nprotocol = 'sasl_ssl'") == [
        'kafka.sasl_mechanism: must be set where kafka.protocol is "sasl_ssl"',
        'kafka.username: must be set where kafka.protocol is "sasl_ssl"',
        'kafka.password: must be set where kafka.protocol is "sasl_ssl"',
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "[kafka]\ngroup = 'a'\n[models.Churn]\ntask = 'binary'\n")
    env = {
        "DRIFTLINE_KAFKA__GROUP": "7",
        "DRIFTLINE_KAFKA__PARTITIONS": "12",
        "DRIFTLINE_MODELS__CHURN__POSITIVE": "1",
        "DRIFTLINE_MODELS__new.model__SEGMENTS": '["country"]',
        "DRIFTLINE_METRICS__ENABLED": "false",
        "PATH": "/bin",
    }
    settings = load(file, env)
    assert (settings.kafka.group, settings.kafka.partitions, settings.metrics.enabled) == ("7", 12, False)
    assert settings.monitor.models == {
        "Churn": ModelConfig(task="binary", positive=1),
        "new.model": ModelConfig(segments=("country",)),
    }


def test_a_mistake_in_a_variable_names_the_variable() -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {"DRIFTLINE_METRICS__PORT": "high", "DRIFTLINE_KAFKA_GROUP": "g"})
    assert caught.value.lines == (
        "DRIFTLINE_KAFKA_GROUP: is not a setting; did you mean DRIFTLINE_KAFKA__GROUP?",
        'DRIFTLINE_METRICS__PORT: metrics.port = "high": must be a whole number from 0 to 65,535',
    )


def test_variables_that_kubernetes_sets_for_a_service_are_passed_over() -> None:
    env = {"DRIFTLINE_METRICS_PORT": "tcp://10.0.0.1:9464", "DRIFTLINE_SERVICE_HOST": "10.0.0.1"}
    assert load(None, env) == Settings()


def test_a_value_cannot_bring_a_second_key_along() -> None:
    assert load(None, {"DRIFTLINE_STATE__DIR": '"a"\nb = 1'}).state.dir == '"a"\nb = 1'


SASL = {"PROTOCOL": "sasl_ssl", "SASL_MECHANISM": "plain", "USERNAME": "u"}
LOGIN = {f"DRIFTLINE_KAFKA__{key}": value for key, value in SASL.items()}


def test_a_password_is_taken_as_it_stands_and_never_shown() -> None:
    settings = load(None, LOGIN | {"DRIFTLINE_KAFKA__PASSWORD": '"12#34"'})
    assert settings.kafka.password == Secret('"12#34"')
    assert settings.kafka.password.reveal() == '"12#34"'
    assert "12#34" not in f"{settings!r} {settings!s}"


def test_a_password_comes_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    settings = load(None, LOGIN | {"DRIFTLINE_KAFKA__PASSWORD_FILE": str(file)})
    assert settings.kafka.password == Secret("s3cret")


@pytest.mark.parametrize("text", ["[kafka]\npassword = 918273", "[kafka]\npasword = '918273'", "kafka = '918273'"])
def test_a_mistake_around_a_password_does_not_show_it(tmp_path: Path, text: str) -> None:
    assert "918273" not in "\n".join(mistakes(tmp_path, text))


def test_a_password_in_two_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("x")
    env = LOGIN | {"DRIFTLINE_KAFKA__PASSWORD": "y", "DRIFTLINE_KAFKA__PASSWORD_FILE": str(tmp_path / "p")}
    with pytest.raises(SettingsError, match=r"password_file: stands beside kafka\.password"):
        load(None, env)


@pytest.mark.parametrize("place", ["", "state/checkpoints", "/mnt/c", "s3://bucket", "s3://bucket/a b", "c:d"])
def test_checkpoints_go_to_a_directory_or_a_bucket_or_nowhere(place: str) -> None:
    given = {"DRIFTLINE_STATE__CHECKPOINTS": place}
    assert _taken(given) == (place if place != "s3://bucket/a b" else None)


def _taken(env: dict[str, str]) -> str | None:
    try:
        return load(None, env).state.checkpoints
    except SettingsError:
        return None


def test_a_small_limit_for_all_models_needs_no_other_beside_it(tmp_path: Path) -> None:
    assert load(written(tmp_path, "[monitor]\npending_max = 9")).monitor.pending_max == 9


def test_ticks_and_checkpoints_can_be_left_out() -> None:
    settings = load(None, {"DRIFTLINE_WORKER__TICK_INTERVAL": "0s", "DRIFTLINE_STATE__MEMORY": "true"})
    assert (settings.worker.tick_interval, settings.state.memory) == ("0s", True)


@pytest.mark.parametrize(("text", "count"), [("0B", 0), ("512KiB", 524_288), ("256MiB", 268_435_456), ("1TiB", 2**40)])
def test_a_size_is_a_number_and_a_unit(text: str, count: int) -> None:
    assert byte_count(text) == count


@pytest.mark.parametrize("text", ["", "1", "1MB", "1.5GiB", "-1MiB", "1 MiB", "1mib", "٣MiB"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        byte_count(text)


ODD = [
    "-1",
    "1e9",
    "nan",
    "true",
    '""',
    '"\\u0000\\u001b[2J"',
    "[]",
    "[[1]]",
    '["a", "a"]',
    "{}",
    "{a={b=1}}",
    "2020-01-01",
]


@pytest.mark.parametrize("value", ODD)
def test_whatever_is_written_anywhere_is_taken_or_refused_in_lines(tmp_path: Path, value: str) -> None:
    said = [_said(written(tmp_path, f"{'.'.join(leaf.path)} = {value}\n")) for leaf in leaves()]
    assert [line for lines in said for line in lines if not line.isprintable()] == []


def _said(file: Path) -> Sequence[str]:
    try:
        load(file)
    except SettingsError as error:
        return error.lines
    return ()
