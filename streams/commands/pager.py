"""``driftline pager``: brings alerts to people."""

import argparse
from typing import TYPE_CHECKING

from streams.commands import Command, add_config
from streams.errors import UsageError
from streams.terminal import environment, say

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = "run: until told to stop, the default; test: send a test page to each sink and say what came back"
    parser.add_argument("action", nargs="?", choices=("run", "test"), default="run", help=actions)
    parser.add_argument("sink", nargs="?", metavar="SINK", help="test: only this one")
    with_worker = "run: end when standard input does, for a worker that starts it (worker.pager)"
    parser.add_argument("--with-worker", action="store_true", help=with_worker)
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    from streams.settings import load  # noqa: PLC0415 - all of these bring what only a pager needs

    settings = load(args.config, environment())
    if args.action == "test":
        return _test(args.sink, settings)
    if args.sink is not None:
        raise UsageError(f"{args.sink}: a sink is named only for a test", advice="call driftline pager test SINK")
    if args.with_worker:
        from streams.pager.beside import end_with_standard_input  # noqa: PLC0415

        end_with_standard_input()
    return _run(settings)


def _run(settings: "Settings") -> int:
    import msgspec  # noqa: PLC0415
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    from streams import logs  # noqa: PLC0415
    from streams.connection import check_login  # noqa: PLC0415
    from streams.endpoint import serving  # noqa: PLC0415
    from streams.pager import running  # noqa: PLC0415
    from streams.pager.metrics import PagerMetrics  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415

    logs.set_up(settings.log)
    check_login(settings.kafka, permissions(settings.kafka))
    registry = CollectorRegistry()
    metrics = PagerMetrics(registry)
    place = msgspec.structs.replace(settings.metrics, port=settings.pager.metrics_port)
    with serving(place, registry, ready=metrics.is_ready, setting="pager.metrics_port"):
        return running.run(settings, metrics)


def _test(sink: str | None, settings: "Settings") -> int:
    import asyncio  # noqa: PLC0415

    from streams.pager.trial import trial  # noqa: PLC0415

    results = asyncio.run(trial(settings.pager, sink))
    for result in results:
        say(str(result))
    return 0 if all(result.delivered for result in results) else 1


command = Command(
    "pager",
    "Bring alerts to people, or test that it can",
    add_arguments,
    run,
    "driftline pager --config driftline.toml",
)
