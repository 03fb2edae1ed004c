"""``driftline worker``: the live worker on Kafka."""

import argparse
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands import Command, add_config
from streams.terminal import environment

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.metrics import WorkerMetrics
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - all of these bring what only a worker needs

    from streams import embedded, logs, running  # noqa: PLC0415
    from streams.endpoint import serving  # noqa: PLC0415
    from streams.metrics import WorkerMetrics  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.process import prepare  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    settings = load(args.config, environment())
    logs.set_up(settings.log)
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, topics=list(settings.kafka.topics.inputs))
    prepare()
    engines = embedded.engines(settings, any_stream=False)
    with serving(settings.metrics, registry, ready=metrics.is_ready), _pager(settings, args.config, metrics):
        return running.run(settings, engines, permissions=permissions(settings.kafka), telemetry=metrics)


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
