"""What a user can set, as frozen data. ``streams.keys`` says what each key means; ``streams.settings`` reads them."""

from typing import Literal

import msgspec

from detectors.config import ModelConfig, MonitorConfig
from schemas.topics import TopicNames
from streams.secrets import Secret

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["plain", "scram-sha-256", "scram-sha-512"]
LogLevel = Literal["debug", "info", "warning", "error"]
SinkType = Literal["webhook", "pagerduty", "alertmanager", "slack", "email", "opsgenie", "teams"]
Encryption = Literal["starttls", "tls", "none"]
SeverityName = Literal["info", "warning", "critical"]
LogFormat = Literal["auto", "console", "json"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class KafkaSettings(_Section, frozen=True):
    bootstrap: str = "localhost:9092"
    group: str = "driftline"
    client_id: str = "driftline"
    topics: TopicNames = TopicNames()
    partitions: int = 4
    replication: int = 1
    protocol: Protocol = "plaintext"
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: Secret | None = None
    password_file: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    allow_login_without_tls: bool = False
    allow_create_time: bool = False
    session_timeout: str = "45s"
    heartbeat_interval: str = "3s"
    request_timeout: str = "90s"


class StateSettings(_Section, frozen=True):
    dir: str = "state"
    memory: bool = False
    commit_interval: str = "200ms"
    checkpoints: str = "state/checkpoints"
    checkpoint_interval: str = "30s"
    checkpoints_kept: int = 3
    disk_free_min: str = "256MiB"


class WorkerSettings(_Section, frozen=True):
    batch_records_max: int = 2_000
    queue_records_max: int = 20_000
    tick_interval: str = "5s"
    watchdog_stall: str = "60s"
    pager: bool = False


class MetricsSettings(_Section, frozen=True):
    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 9464


class LogSettings(_Section, frozen=True):
    level: LogLevel = "info"
    format: LogFormat = "auto"


class SinkSettings(_Section, frozen=True):
    type: SinkType | None = None
    url: Secret | None = None
    url_file: str | None = None
    secret: Secret | None = None
    secret_file: str | None = None
    channel: str | None = None
    server: str | None = None
    encryption: Encryption = "starttls"
    username: str | None = None
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    ca_file: str | None = None
    allow_private: bool = False
    fallback: str | None = None
    pages_per_minute: int = 10


class RouteSettings(_Section, frozen=True):
    severity: SeverityName = "warning"
    models: tuple[str, ...] = ("*",)
    teams: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    after: str = "00:00"
    before: str = "00:00"
    days: tuple[str, ...] = ()
    timezone: str = "UTC"
    sinks: tuple[str, ...] = ()


class InboundSettings(_Section, frozen=True):
    listen: str | None = None
    pagerduty_secret: Secret | None = None
    pagerduty_secret_file: str | None = None
    slack_secret: Secret | None = None
    slack_secret_file: str | None = None


class TeamSettings(_Section, frozen=True):
    models: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()


class BudgetSettings(_Section, frozen=True):
    models: tuple[str, ...] = ("*",)
    teams: tuple[str, ...] = ()
    pages: int = 10
    per: str = "7d"
    digest_at: str = "09:00"
    timezone: str = "UTC"


class UpstreamSettings(_Section, frozen=True):
    models: tuple[str, ...] = ("*",)
    within: str = "5m"
    sources: tuple[str, ...] = ()


class PagerSettings(_Section, frozen=True):
    group: str = "driftline-pager"
    dir: str = "pager"
    give_up_after: str = "6h"
    retry_pause_max: str = "5m"
    heartbeat_url: Secret | None = None
    heartbeat_url_file: str | None = None
    heartbeat_interval: str = "60s"
    heartbeat_allow_private: bool = False
    metrics_port: int = 9465
    inbound: InboundSettings = InboundSettings()
    sinks: dict[str, SinkSettings] = {}
    routes: dict[str, RouteSettings] = {}
    teams: dict[str, TeamSettings] = {}
    budgets: dict[str, BudgetSettings] = {}
    upstreams: dict[str, UpstreamSettings] = {}


class KeySettings(_Section, frozen=True):
    secret: Secret | None = None
    secret_file: str | None = None
    until: str | None = None


class ControlSettings(_Section, frozen=True):
    keys: dict[str, KeySettings] = {}
    required: bool = True
    sign_with: str | None = None


class MlflowSettings(_Section, frozen=True):
    registry_uri: str | None = None
    username: str | None = None
    password: Secret | None = None
    password_file: str | None = None
    token: Secret | None = None
    token_file: str | None = None
    ca_file: str | None = None
    group: str = "driftline-mlflow"
    alias: str = "champion"
    models: dict[str, str] = {}
    watch: tuple[str, ...] = ("*",)
    version_tag: str | None = None
    poll_interval: str = "30s"
    apply_rollbacks: bool = False
    metrics_port: int = 9466


class MonitorLimits(_Section, frozen=True):
    """The rest of ``MonitorConfig``, beside its defaults and models."""

    models_max: int = MonitorConfig().models_max
    pending_max: int = MonitorConfig().pending_max
    dead_letter_content: bool = MonitorConfig().dead_letter_content


class Layout(_Section, frozen=True):
    """The shape of the file, before ``[defaults]`` is merged under each model."""

    kafka: KafkaSettings = KafkaSettings()
    state: StateSettings = StateSettings()
    worker: WorkerSettings = WorkerSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    pager: PagerSettings = PagerSettings()
    control: ControlSettings = ControlSettings()
    mlflow: MlflowSettings = MlflowSettings()
    monitor: MonitorLimits = MonitorLimits()
    defaults: ModelConfig = ModelConfig()
    models: dict[str, ModelConfig] = {}


class Settings(_Section, frozen=True):
    """Valid as a whole: ``streams.settings.load`` lets nothing else out.

    ``folder``: where the file lies. Paths of baselines begin there; it is no setting, and decides nothing else.
    """

    kafka: KafkaSettings = KafkaSettings()
    state: StateSettings = StateSettings()
    monitor: MonitorConfig = MonitorConfig()
    worker: WorkerSettings = WorkerSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    pager: PagerSettings = PagerSettings()
    control: ControlSettings = ControlSettings()
    mlflow: MlflowSettings = MlflowSettings()
    folder: str = ""
