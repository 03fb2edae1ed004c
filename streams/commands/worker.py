"""``driftline worker``: the live worker on Kafka."""

import argparse
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Never

from streams.commands import Command, add_config
from streams.terminal import environment

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.metrics import WorkerMetrics
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    from streams.settings import load  # noqa: PLC0415 - as below

    settings = load(args.config, environment())

    from streams import baselines, logs, preflight  # noqa: PLC0415 - what refuses, before what takes seconds to load
    from streams.permissions import permissions  # noqa: PLC0415

    logs.set_up(settings.log)
    baselines.require_files(settings)
    preflight.require(settings, permissions(settings.kafka))
    _work(settings, args.config)


def _work(settings: "Settings", config: Path | None) -> Never:
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - all of these bring what only a worker needs
    from structlog import get_logger  # noqa: PLC0415

    from streams import embedded, process, running  # noqa: PLC0415
    from streams.endpoint import serving  # noqa: PLC0415
    from streams.metrics import WorkerMetrics  # noqa: PLC0415

    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, topics=list(settings.kafka.topics.inputs))
    with serving(settings.metrics, registry, ready=metrics.is_ready):
        say = get_logger(__name__).info
        engines = embedded.engines(settings, any_stream=False, say=say)
        process.prepare(say)
        with _pager(settings, config, metrics):
            status = running.run(settings, engines, telemetry=metrics)
    process.end(status)


def _pager(settings: "Settings", config: Path | None, metrics: "WorkerMetrics") -> AbstractContextManager[None]:
    if not settings.worker.pager:
        return nullcontext()
    from streams.pager.beside import command, pager_beside  # noqa: PLC0415

    return pager_beside(command(config), metrics.pager_started)


command = Command(
    "worker",
    "Monitor live, on Kafka, until told to stop",
    add_arguments,
    run,
    "driftline worker --config driftline.toml",
)
