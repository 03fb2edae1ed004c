"""Every setting: what it means and which values make sense. The type and the default stand in ``streams.sections``.

Help, checks and ``docs/configuration.md`` are made from this table. A word in capitals stands for a name that the user
chooses. ``[models.NAME]`` holds the keys of ``[defaults]``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.events import MODEL_PATTERN
from streams.allowed import Between, Check, Dated, Either, Lasting, Like, Sized


class Setting(NamedTuple):
    meaning: str
    check: Check | None = None


TOPIC_NAME = Like(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}", "1 to 249 letters, digits, dots, underscores or dashes")
MODEL_NAME = Like(MODEL_PATTERN, "1 to 64 letters, digits, dots, underscores or dashes, no mark first")
ADDRESSES = Like(r"[^\s,/]+:\d{1,5}(,[^\s,/]+:\d{1,5})*", '"host:port", several with commas between')
NOT_EMPTY = Like(r"(?s).*\S.*", "some text")
# A bucket's name is as S3 wants it; any other scheme is no directory that somebody meant.
STORE = Like(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?|(?![A-Za-z][A-Za-z0-9+.-]*:/)(?s:.*)",
    'a directory, "s3://BUCKET/PREFIX", or "" for none',
)
HOURS = Like(r"([01][0-9]|2[0-3]):[0-5][0-9]", 'a time such as "08:30"')
HOST_AND_PORT = Like(r"[^\s,/@]+:\d{1,5}", '"host:port"')
MAIL_ADDRESS = Like(r"[^\s,<>@\"]+@[^\s,<>@\"]+", 'an address such as "driftline@example.com"')
IDENTIFIER = Like(r"[A-Za-z0-9._-]{1,200}", "1 to 200 letters, digits, dots, underscores or dashes")
ALIAS = Like(
    r"(?!(?i:latest|v\d+)$)[A-Za-z0-9_-]{1,255}", "letters, digits, underscores or dashes, and none of MLflow's own"
)

_MILLION = 1_000_000

SETTINGS: Mapping[str, Setting] = {
    "kafka.bootstrap": Setting("Brokers to ask first", ADDRESSES),
    "kafka.group": Setting("Consumer group of the workers; workers of one group share the partitions", IDENTIFIER),
    "kafka.client_id": Setting("Name of this client in the broker's logs and quotas", IDENTIFIER),
    "kafka.topics.predictions": Setting("Topic that producers send predictions to", TOPIC_NAME),
    "kafka.topics.outcomes": Setting("Topic that producers send outcomes to", TOPIC_NAME),
    "kafka.topics.control": Setting("Topic of operators' actions", TOPIC_NAME),
    "kafka.topics.alerts": Setting("Topic that alerts are written to", TOPIC_NAME),
    "kafka.topics.retrain": Setting("Topic that retrain events are written to", TOPIC_NAME),
    "kafka.topics.signals": Setting("Topic that every detector's findings are written to", TOPIC_NAME),
    "kafka.topics.metrics": Setting("Topic that windowed metrics are written to", TOPIC_NAME),
    "kafka.topics.dead_letters": Setting("Topic that refused records are written to", TOPIC_NAME),
    "kafka.topics.audit": Setting("Topic of the audit log of control events", TOPIC_NAME),
    "kafka.partitions": Setting(
        "Partitions of every topic, for `driftline topics create`; the same for all, so that equal keys meet",
        Between(1, 10_000),
    ),
    "kafka.replication": Setting(
        "Copies of every partition, for `driftline topics create`; 3 where there are three brokers", Between(1, 32)
    ),
    "kafka.protocol": Setting("How to speak to the brokers: with TLS (ssl), a login (sasl), both or neither"),
    "kafka.sasl_mechanism": Setting("How to log in, where the protocol has a login"),
    "kafka.username": Setting("User to log in as", NOT_EMPTY),
    "kafka.password": Setting("Password to log in with; better in the environment or in `kafka.password_file`"),
    "kafka.password_file": Setting("File whose content is the password", NOT_EMPTY),
    "kafka.ca_file": Setting("Certificates (PEM) of the authorities to trust; the system's where not said", NOT_EMPTY),
    "kafka.certificate_file": Setting("This client's certificate (PEM), where brokers ask for one", NOT_EMPTY),
    "kafka.key_file": Setting("Private key (PEM) of `kafka.certificate_file`", NOT_EMPTY),
    "kafka.allow_login_without_tls": Setting("Whether a password may cross the network in the clear"),
    "kafka.allow_create_time": Setting(
        "Whether input topics may carry producers' times; each record that comes late by them is then told as a signal"
    ),
    # The broker's own bounds for a session (group.min and group.max.session.timeout.ms).
    "kafka.session_timeout": Setting("A worker that is silent for so long loses its partitions", Lasting("6s", "30m")),
    "kafka.heartbeat_interval": Setting(
        "How often a worker says that it lives; at most a third of the session timeout", Lasting("100ms", "10m")
    ),
    "kafka.request_timeout": Setting(
        "How long to wait for a broker's answer; longer than the session timeout", Lasting("1s", "1h")
    ),
    "state.dir": Setting("Directory for what a worker must remember; each worker needs one of its own", NOT_EMPTY),
    "state.memory": Setting(
        "Whether state stays in memory and every start rebuilds it from the topics; for measurements and tests"
    ),
    # Above, events would wait longer than their readers expect; 0ms writes after every batch.
    "state.commit_interval": Setting(
        "How long what was decided may wait to be written and sent; longer costs less. Alerts do not wait for it",
        Lasting("0ms", "5s"),
    ),
    "state.checkpoints": Setting(
        "Where copies of the state go, for a worker elsewhere to go on from; workers share it", STORE
    ),
    "state.checkpoint_interval": Setting(
        "How often a partition that changed is copied; after a lost disk so much input is applied again",
        Lasting("1s", "1d"),
    ),
    "state.checkpoints_kept": Setting("Copies kept of each partition; older ones are removed", Between(1, 1_000)),
    "state.disk_free_min": Setting(
        "With less free space on the disk of `state.dir`, a worker ends itself before its state could break",
        Sized("1MiB", "1TiB"),
    ),
    "worker.batch_records_max": Setting(
        "Records of one partition worked on at once; more is faster and needs more memory", Between(1, 100_000)
    ),
    "worker.queue_records_max": Setting(
        "Records of one partition fetched ahead; fetching pauses there", Between(100, _MILLION)
    ),
    "worker.tick_interval": Setting(
        "How often a worker writes into the control topic that time passes, for each of its partitions; 0s: never",
        Lasting("0s", "1h"),
    ),
    "worker.watchdog_stall": Setting(
        "Without progress for so long while records wait, a worker ends itself to be started again",
        Lasting("10s", "1h"),
    ),
    "worker.pager": Setting(
        "Whether a worker runs the pager beside itself, as a process of its own; set it for one worker"
    ),
    "metrics.enabled": Setting("Whether to serve Prometheus metrics"),
    "metrics.host": Setting("Address to serve metrics on; 0.0.0.0 lets other machines read them", NOT_EMPTY),
    "metrics.port": Setting("Port to serve metrics on; 0 takes a free one", Between(0, 65_535)),
    "pager.group": Setting("Consumer group of the pager, of its own", IDENTIFIER),
    "pager.dir": Setting("Directory for what the pager still has to deliver; one pager uses it", NOT_EMPTY),
    "pager.give_up_after": Setting(
        "A page that was tried for so long goes to the fallback instead", Lasting("1m", "7d")
    ),
    "pager.retry_pause_max": Setting("The longest pause between two tries", Lasting("1s", "1h")),
    "pager.heartbeat_url": Setting(
        "Address that is asked every `pager.heartbeat_interval` while pages can go out; a dead man's switch"
    ),
    "pager.heartbeat_url_file": Setting("File whose content is that address", NOT_EMPTY),
    "pager.heartbeat_interval": Setting("How often that is", Lasting("1s", "1h")),
    "pager.heartbeat_allow_private": Setting("Whether that address may lie within a private network"),
    "pager.metrics_port": Setting(
        "Port to serve the pager's metrics on, at `metrics.host`; 0 takes a free one", Between(0, 65_535)
    ),
    "pager.inbound.listen": Setting(
        'Where PagerDuty and Slack can say what people answered, such as "127.0.0.1:8099"; nowhere where not set',
        HOST_AND_PORT,
    ),
    "pager.inbound.pagerduty_secret": Setting("Secret of a PagerDuty webhook, or several with blanks between"),
    "pager.inbound.pagerduty_secret_file": Setting("File whose content is that secret, or several", NOT_EMPTY),
    "pager.inbound.slack_secret": Setting("Signing secret of the Slack app; better in the environment or in a file"),
    "pager.inbound.slack_secret_file": Setting("File whose content is that secret", NOT_EMPTY),
    "pager.sinks.SINK.type": Setting("What kind of endpoint it is; docs/pager.md says what each needs"),
    "pager.sinks.SINK.url": Setting("Its address, with https:// or http://; never shown, since it may hold a token"),
    "pager.sinks.SINK.url_file": Setting("File whose content is the address", NOT_EMPTY),
    "pager.sinks.SINK.secret": Setting(
        "Routing key, token, password, or the key that signs; better in the environment or in `secret_file`"
    ),
    "pager.sinks.SINK.secret_file": Setting("File whose content is the secret", NOT_EMPTY),
    "pager.sinks.SINK.channel": Setting("Slack: the channel's id, for a bot's token", IDENTIFIER),
    "pager.sinks.SINK.server": Setting("E-mail: the mail server", HOST_AND_PORT),
    "pager.sinks.SINK.encryption": Setting("E-mail: how the connection is encrypted"),
    "pager.sinks.SINK.username": Setting("E-mail: user to log in as, with `secret`", NOT_EMPTY),
    "pager.sinks.SINK.sender": Setting("E-mail: whom it comes from", MAIL_ADDRESS),
    "pager.sinks.SINK.recipients": Setting("E-mail: whom it goes to"),
    "pager.sinks.SINK.ca_file": Setting(
        "Certificates (PEM) of the authorities to trust; the system's where not said", NOT_EMPTY
    ),
    "pager.sinks.SINK.allow_private": Setting(
        "Whether its address may lie within a private network, on this machine or on its link"
    ),
    "pager.sinks.SINK.fallback": Setting("Sink that gets the pages that this one does not take", IDENTIFIER),
    "pager.sinks.SINK.pages_per_minute": Setting(
        "New pages a minute, of each severity; those above are told together in a summary", Between(1, 10_000)
    ),
    "pager.routes.ROUTE.severity": Setting("The least severe alert that it takes"),
    "pager.routes.ROUTE.models": Setting('Models that it takes, such as "churn" or "fraud-*"'),
    "pager.routes.ROUTE.teams": Setting("Teams whose models it takes; every model where none is named"),
    "pager.routes.ROUTE.kinds": Setting("Kinds of alert that it takes; all where none is named"),
    "pager.routes.ROUTE.after": Setting("Takes alerts from this time of day on", HOURS),
    "pager.routes.ROUTE.before": Setting("And until this one, over midnight if need be; equal times: all day", HOURS),
    "pager.routes.ROUTE.days": Setting("Days on which it does, such as mon; all where none is named"),
    "pager.routes.ROUTE.timezone": Setting("Time zone of these times, such as Europe/Berlin", NOT_EMPTY),
    "pager.routes.ROUTE.sinks": Setting(
        "Sinks that it sends to; those of the model's team, or all, where none is named"
    ),
    "pager.teams.TEAM.models": Setting('Models that are the team\'s, such as "churn" or "fraud-*"'),
    "pager.teams.TEAM.sinks": Setting("Its sinks, for routes that name none"),
    "pager.budgets.BUDGET.models": Setting("Models whose pages it counts"),
    "pager.budgets.BUDGET.teams": Setting("Teams whose models' pages it counts; every model where none is named"),
    "pager.budgets.BUDGET.pages": Setting(
        "Pages that may go out in `per`; then all but critical ones wait for the digest", Between(1, 1_000)
    ),
    "pager.budgets.BUDGET.per": Setting("The time in which they are counted, up to now", Lasting("1h", "90d")),
    "pager.budgets.BUDGET.digest_at": Setting("When the digest goes out, every day", HOURS),
    "pager.budgets.BUDGET.timezone": Setting("Time zone of that time, such as Europe/Berlin", NOT_EMPTY),
    "pager.upstreams.UPSTREAM.models": Setting("Models that the same data comes to"),
    "pager.upstreams.UPSTREAM.within": Setting(
        "Incidents of several of these models that began so close to one another are one cause", Lasting("1s", "1d")
    ),
    "pager.upstreams.UPSTREAM.sources": Setting(
        "Models of the source itself: while one is silent, or has an incident of its volume or system, "
        "what begins at the others is told with that"
    ),
    "control.keys.KEY.secret": Setting(
        "A key that signs control events; better in the environment or in `secret_file`"
    ),
    "control.keys.KEY.secret_file": Setting("File whose content is the key", NOT_EMPTY),
    "control.keys.KEY.until": Setting(
        "From then on it signs nothing more; what it signed before stays", Dated("2026-03-01T00:00:00Z")
    ),
    "control.required": Setting("Whether a control event that is not signed is refused, once there is a key"),
    "control.sign_with": Setting(
        "Name of the key that `driftline control` signs with; not needed where there is one", IDENTIFIER
    ),
    "mlflow.registry_uri": Setting("Address of the MLflow server that keeps the registry of models", NOT_EMPTY),
    "mlflow.username": Setting("User to log in there as, with `mlflow.password`", NOT_EMPTY),
    "mlflow.password": Setting("The user's password; better in the environment or in `mlflow.password_file`"),
    "mlflow.password_file": Setting("File whose content is the password", NOT_EMPTY),
    "mlflow.token": Setting("Bearer token, in place of user and password; better in the environment or in a file"),
    "mlflow.token_file": Setting("File whose content is the token", NOT_EMPTY),
    "mlflow.ca_file": Setting("Certificates (PEM) of the authorities to trust; the system's where not said", NOT_EMPTY),
    "mlflow.group": Setting("Consumer group of `driftline mlflow`, of its own", IDENTIFIER),
    "mlflow.alias": Setting("Alias of the version that is live", ALIAS),
    "mlflow.models.MODEL": Setting("Name of a model in the registry, where it is another than here"),
    "mlflow.watch": Setting('Models whose alias is watched, such as "churn" or "fraud-*"'),
    "mlflow.version_tag": Setting(
        "Tag of a version in the registry that holds its name in predictions; the version's number where not said",
        NOT_EMPTY,
    ),
    "mlflow.poll_interval": Setting("How often the aliases are looked at", Lasting("1s", "1d")),
    "mlflow.apply_rollbacks": Setting("Whether a recommended rollback moves the alias, not only sets tags"),
    "mlflow.metrics_port": Setting(
        "Port to serve the metrics of `driftline mlflow` on, at `metrics.host`; 0 takes a free one", Between(0, 65_535)
    ),
    "log.level": Setting("The least important line that is still logged"),
    "log.format": Setting("auto: for people on a terminal, JSON elsewhere"),
    "monitor.models_max": Setting(
        "Models watched per partition; records of further ones are dead letters", Between(1, _MILLION)
    ),
    "monitor.pending_max": Setting(
        "Predictions held for their outcome, of all models of a partition together", Between(1, 1_000 * _MILLION)
    ),
    "monitor.dead_letter_content": Setting(
        "Whether dead letters hold the record that was refused; else only where it lies and the reason"
    ),
    "defaults.task": Setting("What the model does; found out from the stream where not said"),
    "defaults.positive": Setting("The positive class of a binary model; found out where not said"),
    "defaults.loss": Setting("How wrong a prediction was: zero_one for classes, absolute or squared for numbers"),
    "defaults.baseline": Setting(
        'What is normal: "warm-up" learns it from the first values; else a file, or a name from `baselines`', NOT_EMPTY
    ),
    "defaults.baselines.BASELINE": Setting(
        "A file under a name that control events can choose; paths begin where the configuration lies"
    ),
    "defaults.baseline_rows": Setting("Values of each signal that warm-up learns from", Between(30, _MILLION)),
    "defaults.label_horizon": Setting(
        "An outcome that comes later than this after its prediction is late", Lasting("1s", "3650d")
    ),
    "defaults.false_pages_per_month": Setting(
        "False pages a month of stream time that you can bear for one model", Between(0.001, 1_000)
    ),
    "defaults.rows_per_false_alarm": Setting(
        "The budget in rows instead, where a month says little", Between(100, 1_000_000 * _MILLION)
    ),
    "defaults.pending_max": Setting(
        "Predictions held for their outcome, per model and partition; about 250 bytes each", Between(1, 100 * _MILLION)
    ),
    "defaults.segments": Setting("Segment names that get a monitor for each of their values"),
    "defaults.segment_values_max": Setting(
        "Values of one segment name that get a monitor of their own; the rest share one", Between(1, 10_000)
    ),
    "defaults.features_max": Setting("Features watched per model; further ones are left aside", Between(1, 100_000)),
    "defaults.categories_max": Setting(
        "Frequent categories of a feature watched one by one; the rest as one", Between(1, 1_000)
    ),
    "defaults.detectors": Setting("Detectors on numeric features, scores and predictions, by name"),
    "defaults.loss_detectors": Setting(
        "Detectors on the loss, by name; those made for errors, such as ddm, belong here"
    ),
    "defaults.parameters.DETECTOR.PARAMETER": Setting(
        "A detector's parameter, as River names it, such as `adwin.delta`"
    ),
    "defaults.metrics_window": Setting("Stream time that one metrics event sums up", Lasting("1s", "1d")),
    "defaults.latency_objective": Setting(
        "A prediction that took longer than this was slow; alarms come when the share of slow ones rises",
        Lasting("1ms", "1h"),
    ),
    "defaults.freshness_objective": Setting(
        "A prediction whose `ts` is further than this from its arrival was stale; alarms as for slow ones",
        Lasting("1s", "30d"),
    ),
    "defaults.silence_after": Setting(
        "Without a prediction for so long, a model is silent; auto: for several times its longest pause at these hours",
        Either(("auto", "off"), Lasting("1s", "365d")),
    ),
    "defaults.volume": Setting("Whether to watch how many predictions come, against what is usual at the hour"),
    "defaults.features.FEATURE.kind": Setting("What the feature is; auto: what its first value shows"),
    "defaults.features.FEATURE.range": Setting("Lowest and highest sensible value; one outside counts as unreadable"),
    "defaults.features.FEATURE.mean": Setting("The feature's usual mean, where it is known; else warm-up learns it"),
    "defaults.features.FEATURE.sd": Setting("Its usual standard deviation; given together with the mean"),
    "defaults.incidents.lasts": Setting(
        "How long an alarm must be on before anyone is told of it", Lasting("0s", "365d")
    ),
    "defaults.incidents.reopen_within": Setting(
        "What comes back within it opens its incident again, which is then over when nothing is on for so long",
        Lasting("0s", "365d"),
    ),
    "defaults.severity.KIND": Setting("Of every alarm of that kind; others have the severity of their size"),
    "defaults.importance": Setting("Of the model: every alarm is a level less, or more, severe than it would be"),
    "defaults.retrain.on": Setting("Kinds of alarms that may ask for a retrain; none of them: it is never asked for"),
    "defaults.retrain.cooldown": Setting("Stream time between two retrain events of a model", Lasting("0s", "365d")),
    "defaults.retrain.min_labels": Setting(
        "Joined outcomes since the change that a retrain event needs", Between(1, 10 * _MILLION)
    ),
    "defaults.retrain.labels_share": Setting(
        "So much of the predictions since the change must have their label first: 0.2 is a fifth", Between(0, 1)
    ),
    "defaults.retrain.labels_wait": Setting(
        "How long it is waited for that share before a retrain is asked for without it", Lasting("0s", "365d")
    ),
    "defaults.retrain.feature_drift_lasts": Setting(
        "How long feature drift stays open before it alone asks for a retrain", Lasting("0s", "365d")
    ),
    "defaults.retrain.per_month": Setting(
        "Retrain events of a model in 30 days; 0: as many as there are reasons for", Between(0, 1_000)
    ),
    "defaults.retrain.give_up_after": Setting(
        "Retrains in a row that did not cure, after which none is asked for; 0: never gives up", Between(0, 1_000)
    ),
}
