"""Reads the configuration: TOML, the environment over it, checked as a whole before anything starts."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from detectors.config import MonitorConfig
from streams import environment, problems, shape
from streams.errors import SettingsError
from streams.problems import Problem
from streams.relations import relations, same_topics
from streams.sections import (
    KafkaSettings,
    Layout,
    LogSettings,
    MetricsSettings,
    PagerSettings,
    Settings,
    StateSettings,
    WorkerSettings,
)
from streams.shape import Table

__all__ = [
    "KafkaSettings",
    "LogSettings",
    "MetricsSettings",
    "PagerSettings",
    "Settings",
    "StateSettings",
    "WorkerSettings",
    "load",
]

_FILE_BYTES_MAX = 16 * 1024 * 1024  # ten thousand models with features each are a few megabytes
_PASSWORD_BYTES_MAX = 64 * 1024  # longer than any password or token; a wrong path must not be read whole


def load(path: Path | None = None, env: Mapping[str, str] | None = None, content: bytes | None = None) -> Settings:
    """Reads the file, lays the environment over it, checks all; raises ``SettingsError`` with every mistake.

    ``content``: of the file, where it has been read before.
    """
    data = parsed(path, content) if path is not None else {}
    origins, found = environment.overlay(data, env or {})
    fitting, misfits = shape.fit(data)
    found += misfits
    settings, layout = _build(fitting, found)
    touched = {problem.key for problem in found}
    found += [problem for problem in relations(layout, fitting) if problem.key not in touched]
    if found:
        raise SettingsError([_placed(problem, origins, path) for problem in found])
    return msgspec.structs.replace(settings, folder=str(path.parent)) if path is not None else settings


def content_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None
    if len(content) > _FILE_BYTES_MAX:
        raise SettingsError([f"{path}: is over {_FILE_BYTES_MAX >> 20} MiB; is it a configuration?"])
    return content


def parsed(path: Path, content: bytes | None = None) -> Table:
    content = content_of(path) if content is None else content
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SettingsError([f"{path}: is not UTF-8; save it as UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{path}: is not TOML: {error}"]) from None


def _build(fitting: Table, found: list[Problem]) -> tuple[Settings, Layout]:
    """The structs, from what fits; ``found`` gains what only shows when the parts are read."""
    defaults = fitting.get("defaults", {})
    models = {name: _merged(defaults, own) for name, own in fitting.get("models", {}).items()}
    kafka = _with_password(_with_topics(fitting.get("kafka", {}), found), found)
    pager = _with_pager_secrets(fitting.get("pager", {}), found)
    control = _with_secrets(fitting.get("control", {}), "keys", ("control",), ("secret",), found)
    mlflow = _with_mlflow_secrets(fitting.get("mlflow", {}), found)
    read = {"kafka": kafka, "models": models, "pager": pager, "control": control, "mlflow": mlflow}
    layout: Layout = shape.convert({**fitting, **read}, Layout)
    monitor_table = {**fitting.get("monitor", {}), "defaults": defaults, "models": models}
    monitor: MonitorConfig = shape.convert(monitor_table, MonitorConfig)
    settings = Settings(
        kafka=layout.kafka,
        state=layout.state,
        monitor=monitor,
        worker=layout.worker,
        metrics=layout.metrics,
        log=layout.log,
        pager=layout.pager,
        control=layout.control,
        mlflow=layout.mlflow,
    )
    return settings, layout


def _merged(below: Table, above: Table) -> Table:
    """``above`` over ``below``; tables are merged key by key, everything else is replaced."""
    merged = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merged(below[key], above[key])
    return merged


def _with_topics(kafka: Table, found: list[Problem]) -> Table:
    alike = list(same_topics(kafka.get("topics", {})))
    found += alike
    return {**kafka, "topics": {}} if alike else kafka


def _with_password(kafka: Table, found: list[Problem]) -> Table:
    return _with_secret(kafka, ("kafka",), "password", found)


def _with_pager_secrets(pager: Table, found: list[Problem]) -> Table:
    pager = _with_secrets(pager, "sinks", ("pager",), ("secret", "url"), found)
    inbound = pager.get("inbound", {})
    for key in ("pagerduty_secret", "slack_secret"):
        inbound = _with_secret(inbound, ("pager", "inbound"), key, found)
    pager = {**pager, "inbound": inbound}
    return _with_secret(pager, ("pager",), "heartbeat_url", found)


def _with_secrets(section: Table, key: str, path: problems.Path, secrets: Sequence[str], found: list[Problem]) -> Table:
    """Those of each of the tables that lie under ``key`` by names that the user chose."""
    tables = {}
    for name, table in section.get(key, {}).items():
        tables[name] = table
        for secret in secrets:
            tables[name] = _with_secret(tables[name], (*path, key, name), secret, found)
    return {**section, key: tables}


def _with_mlflow_secrets(mlflow: Table, found: list[Problem]) -> Table:
    return _with_secret(_with_secret(mlflow, ("mlflow",), "password", found), ("mlflow",), "token", found)


def _with_secret(table: Table, path: problems.Path, key: str, found: list[Problem]) -> Table:
    """``key`` from the file that ``key_file`` names, if it names one."""
    file_key = f"{key}_file"
    name = table.get(file_key)
    if name is None:
        return table
    place = (*path, file_key)
    if key in table:
        found.append(Problem(place, f"stands beside {problems.dotted((*path, key))}; keep one of them"))
        return table
    try:
        with Path(name).open("rb") as file:
            text = file.read(_PASSWORD_BYTES_MAX).decode().rstrip("\r\n")
    except (OSError, ValueError) as error:  # no UTF-8, or a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        found.append(Problem(place, f"must be a file that can be read: {reason}", problems.shown(name)))
        return table
    if not text:
        found.append(Problem(place, f"must hold the {key.replace('_', ' ')}; the file is empty", problems.shown(name)))
    return {**table, key: text}


def _placed(problem: Problem, origins: Mapping[problems.Path, str], path: Path | None) -> Problem:
    """Says which variable or file the value came from, where that is known."""
    variable = next((name for key, name in origins.items() if problems.one_above_other(key, problem.key)), None)
    where = problem.where or variable or (str(path) if path else "")
    return problem._replace(where=where)
