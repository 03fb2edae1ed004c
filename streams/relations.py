"""What must hold between settings, once each of them makes sense alone."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from detectors.config import WARM_UP, FeatureConfig, ModelConfig
from schemas.events import Kind
from schemas.times import duration_ms
from schemas.topics import TopicNames
from streams.mlflow.relations import mistakes_in_mlflow
from streams.pager.relations import mistakes_in_pager
from streams.problems import Path as Key
from streams.problems import Problem, shown
from streams.sections import KafkaSettings, Layout, StateSettings, WorkerSettings
from streams.shape import Table
from streams.signing import mistakes_in_control

_HEARTBEATS_A_SESSION = 3  # two may be lost before a worker that lives loses its partitions; Kafka's own advice
TICK_INTERVAL_MIN_MS = 100  # ten records a second and partition on a topic that is kept for years
S3 = "s3://"
BASELINE_FILES = (".parquet", ".csv", ".jsonl", ".jsonl.gz")
OWN_DIRECTORIES = ("partitions", "quarantine")  # of a worker, in ``state.dir``
_LOSSES = {
    "binary": ("auto", "zero_one"),
    "multiclass": ("auto", "zero_one"),
    "regression": ("auto", "absolute", "squared"),
}


def relations(layout: Layout, written: Table) -> Iterator[Problem]:
    """``written`` is what the user gave: a mistake in ``[defaults]`` is told there, not again for every model."""
    yield from _login(layout.kafka)
    yield from _certificates(layout.kafka)
    yield from _timeouts(layout.kafka)
    yield from _state(layout.state, written.get("state", {}))
    yield from _ticks(layout.worker)
    yield from _pager_beside(layout)
    yield from _pending(layout, written)
    yield from mistakes_in_pager(layout.pager, layout.kafka)
    yield from mistakes_in_control(layout.control)
    yield from mistakes_in_mlflow(layout.mlflow, layout.kafka, layout.pager)
    told = {problem._replace(key=problem.key[1:]) for problem in _model(layout.defaults, ("defaults",))}
    yield from _model(layout.defaults, ("defaults",))
    for name in written.get("models", {}):
        for problem in _model(layout.models[name], ("models", name)):
            if problem._replace(key=problem.key[2:]) not in told:
                yield problem


def same_topics(written: Table) -> Iterator[Problem]:
    """Looks at what was written, since ``TopicNames`` cannot hold a name twice."""
    names = msgspec.structs.asdict(TopicNames()) | written
    often = {name for name, times in Counter(names.values()).items() if times > 1}
    for key in (key for key, name in names.items() if name in often):
        others = ", ".join(f"kafka.topics.{other}" for other in names if names[other] == names[key] and other != key)
        yield Problem(("kafka", "topics", key), f"must differ from {others}", shown(names[key]))


def _login(kafka: KafkaSettings) -> Iterator[Problem]:
    with_login = kafka.protocol.startswith("sasl")
    for name in ("sasl_mechanism", "username", "password"):
        value = getattr(kafka, name)
        if with_login and not value:
            yield Problem(("kafka", name), f"must be set where kafka.protocol is {shown(kafka.protocol)}")
        if not with_login and value:
            yield Problem(("kafka", name), 'is of no use unless kafka.protocol is "sasl_plaintext" or "sasl_ssl"')


def _certificates(kafka: KafkaSettings) -> Iterator[Problem]:
    for name in ("ca_file", "certificate_file", "key_file"):
        if getattr(kafka, name) and not kafka.protocol.endswith("ssl"):
            yield Problem(("kafka", name), 'is of no use unless kafka.protocol is "ssl" or "sasl_ssl"')
    if kafka.certificate_file and not kafka.key_file:
        yield Problem(("kafka", "key_file"), "must be set where kafka.certificate_file is")
    if kafka.key_file and not kafka.certificate_file:
        yield Problem(("kafka", "certificate_file"), "must be set where kafka.key_file is")


def _timeouts(kafka: KafkaSettings) -> Iterator[Problem]:
    session = duration_ms(kafka.session_timeout)
    if duration_ms(kafka.heartbeat_interval) * _HEARTBEATS_A_SESSION > session:
        allowed = f"must be at most a third of kafka.session_timeout, which is {kafka.session_timeout}"
        yield Problem(("kafka", "heartbeat_interval"), allowed, shown(kafka.heartbeat_interval))
    if duration_ms(kafka.request_timeout) <= session:
        allowed = f"must be longer than kafka.session_timeout, which is {kafka.session_timeout}"
        yield Problem(("kafka", "request_timeout"), allowed, shown(kafka.request_timeout))


def _state(state: StateSettings, written: Table) -> Iterator[Problem]:
    key = ("state", "checkpoints")
    if state.memory and written.get("checkpoints"):
        yield Problem(key, "is of no use where state.memory is true", shown(state.checkpoints))
    if not state.checkpoints or state.checkpoints.startswith(S3):
        return
    copies, own = (Path(os.path.abspath(name)) for name in (state.checkpoints, state.dir))
    if copies == own or any(copies.is_relative_to(own / name) for name in OWN_DIRECTORIES):
        allowed = "must lie elsewhere than the state itself: in its own directory, or next to it"
        yield Problem(key, allowed, shown(state.checkpoints))


def _ticks(worker: WorkerSettings) -> Iterator[Problem]:
    if 0 < duration_ms(worker.tick_interval) < TICK_INTERVAL_MIN_MS:
        allowed = f"must be at least {TICK_INTERVAL_MIN_MS}ms, or 0s for no ticks: each is a record on the topic"
        yield Problem(("worker", "tick_interval"), allowed, shown(worker.tick_interval))


def _pager_beside(layout: Layout) -> Iterator[Problem]:
    worker, pager, state, metrics = layout.worker, layout.pager, layout.state, layout.metrics
    if worker.pager and not pager.sinks:
        yield Problem(("worker", "pager"), "needs a sink: name at least one as [pager.sinks.NAME]", shown(True))
    if worker.pager and metrics.enabled and pager.metrics_port == metrics.port != 0:
        allowed = "must differ from metrics.port, where worker.pager is true"
        yield Problem(("pager", "metrics_port"), allowed, shown(pager.metrics_port))
    if not state.memory and os.path.abspath(pager.dir) == os.path.abspath(state.dir):
        # Each would take the other's database for its own that is broken, and put it aside.
        yield Problem(("pager", "dir"), "must differ from state.dir, which is a worker's", shown(pager.dir))


def _pending(layout: Layout, written: Table) -> Iterator[Problem]:
    """Only what was written can be a mistake: a small limit for all needs no smaller one for each model."""
    most = layout.monitor.pending_max
    tables: list[tuple[Key, Table]] = [(("defaults",), written.get("defaults", {}))]
    tables += [(("models", name), table) for name, table in written.get("models", {}).items()]
    for path, table in tables:
        held = table.get("pending_max", 0)
        if held > most:
            allowed = f"must be at most monitor.pending_max, which is {most}"
            yield Problem((*path, "pending_max"), allowed, shown(held))


def _model(model: ModelConfig, path: Key) -> Iterator[Problem]:
    yield from _baseline(model, path)
    yield from _task(model, path)
    yield from _segments(model, path)
    yield from _severity(model, path)
    yield from _detectors(model, path)
    for name, feature in model.features.items():
        yield from _feature(feature, (*path, "features", name))


def _feature(feature: FeatureConfig, path: Key) -> Iterator[Problem]:
    if feature.range is not None and feature.range[0] >= feature.range[1]:
        allowed = "must be [lowest, highest], the first below the second"
        yield Problem((*path, "range"), allowed, shown(list(feature.range)))
    if (feature.mean is None) != (feature.sd is None):
        missing = "mean" if feature.mean is None else "sd"
        yield Problem((*path, missing), "must be set too: a mean and its sd belong together")
    numeric = feature.kind in ("auto", "numeric", "text-length")
    for key in ("mean", "sd", "range"):
        if getattr(feature, key) is not None and not numeric:
            yield Problem((*path, key), f"belongs to numbers; the kind is {shown(feature.kind)}")
    if feature.sd is not None and feature.sd <= 0:
        yield Problem((*path, "sd"), "must be above 0", shown(feature.sd))


def _baseline(model: ModelConfig, path: Key) -> Iterator[Problem]:
    endings = f"must end in {', '.join(BASELINE_FILES[:-1])} or {BASELINE_FILES[-1]}"
    if model.baseline != WARM_UP and model.baseline not in model.baselines and not _is_table(model.baseline):
        names = f", a name of baselines ({', '.join(model.baselines)})" if model.baselines else ""
        allowed = f'must be "{WARM_UP}"{names} or a file, which {endings}'
        yield Problem((*path, "baseline"), allowed, shown(model.baseline))
    for name, file in model.baselines.items():
        if name == WARM_UP:
            yield Problem((*path, "baselines", name), "must have another name: this one means the first values")
        elif not _is_table(file):
            yield Problem((*path, "baselines", name), endings, shown(file))


def _severity(model: ModelConfig, path: Key) -> Iterator[Problem]:
    for kind in model.severity:
        if kind not in list(Kind):
            yield Problem((*path, "severity", kind), f"is no kind of alarm; there are {', '.join(Kind)}")


def _is_table(file: str) -> bool:
    return file.lower().endswith(BASELINE_FILES)


def _task(model: ModelConfig, path: Key) -> Iterator[Problem]:
    if model.positive is not None and model.task not in ("auto", "binary"):
        allowed = f"belongs to a binary model; the task is {shown(model.task)}"
        yield Problem((*path, "positive"), allowed, shown(model.positive))
    fitting = _LOSSES.get(model.task)
    if fitting and model.loss not in fitting:
        allowed = f"does not fit the task {shown(model.task)}; must be one of {', '.join(map(shown, fitting))}"
        yield Problem((*path, "loss"), allowed, shown(model.loss))


def _segments(model: ModelConfig, path: Key) -> Iterator[Problem]:
    if len(set(model.segments)) < len(model.segments) or not all(name.strip() for name in model.segments):
        yield Problem((*path, "segments"), "must be names, each once", shown(list(model.segments)))


def _detectors(model: ModelConfig, path: Key) -> Iterator[Problem]:
    from detectors.banks import registry  # noqa: PLC0415 - brings numba, which only a configuration's check needs

    for key, names in (("detectors", model.detectors), ("loss_detectors", model.loss_detectors)):
        if not names or len(set(names)) < len(names):
            yield Problem((*path, key), "must name at least one detector, each once", shown(list(names)))
        for name in dict.fromkeys(names):
            if wrong := registry.check(name, {}):
                yield Problem((*path, key), wrong)
            elif _takes_bits_only(name) and not _only_bits(model, key):
                wrong = f"{name} takes zeros and ones only: it belongs in loss_detectors, with the loss zero_one"
                yield Problem((*path, key), wrong)
    bits = [name for name in model.loss_detectors if registry.check(name, {}) is None and _takes_bits_only(name)]
    if bits and len(bits) == len(model.loss_detectors) and model.task == "auto":
        wrong = f"{', '.join(bits)} cannot watch numbers: set the task, or add a detector such as adwin"
        yield Problem((*path, "loss_detectors"), wrong, shown(list(model.loss_detectors)))
    used = dict.fromkeys((*model.detectors, *model.loss_detectors))
    for name, parameters in model.parameters.items():
        if name not in used:
            allowed = f"belongs to no detector of this model; they are {', '.join(used)}"
            yield Problem((*path, "parameters", name), allowed)
        elif registry.check(name, {}) is None and (wrong := registry.check(name, parameters)):
            yield Problem((*path, "parameters", name), wrong)


def _takes_bits_only(detector: str) -> bool:
    from detectors.banks import registry  # noqa: PLC0415 - as above

    return registry.accepts(detector) is registry.Accepts.BITS


def _only_bits(model: ModelConfig, key: str) -> bool:
    """A loss that is found out from the stream may turn out to be zeros and ones; only what cannot be is refused."""
    return key == "loss_detectors" and model.loss in ("auto", "zero_one") and model.task != "regression"
