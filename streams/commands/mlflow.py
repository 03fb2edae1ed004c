"""``driftline mlflow``: what the monitor advises into MLflow's registry of models, and deployments back."""

import argparse

from streams.commands import Command, add_config
from streams.terminal import environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - all of these bring what only this command needs
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    from streams import logs  # noqa: PLC0415
    from streams.connection import check_login  # noqa: PLC0415
    from streams.endpoint import serving  # noqa: PLC0415
    from streams.mlflow import running  # noqa: PLC0415
    from streams.mlflow.metrics import MlflowMetrics  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    settings = load(args.config, environment())
    logs.set_up(settings.log)
    check_login(settings.kafka, permissions(settings.kafka))
    registry = CollectorRegistry()
    metrics = MlflowMetrics(registry)
    place = msgspec.structs.replace(settings.metrics, port=settings.mlflow.metrics_port)
    with serving(place, registry, ready=metrics.is_ready, setting="mlflow.metrics_port"):
        return running.run(settings, metrics)


command = Command(
    "mlflow",
    "Keep MLflow's registry of models and the monitor in step",
    add_arguments,
    run,
    "driftline mlflow --config driftline.toml",
)
