"""``driftline produce``: sends the demo's traffic to Kafka, live; and load of a given rate for measurements."""

import argparse
import asyncio
import signal
import sys

from load.live import Days, Pace, Report, Sent, send, sped_up, steadily
from load.output import result
from load.scenarios import scenario
from streams.commands import Command, add_config
from streams.progress import progress_on
from streams.sections import KafkaSettings
from streams.settings import load
from streams.terminal import complain, environment

RATE = 500.0  # events a second: the day is over in six minutes
SEED = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="broker, in place of the configured one")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=_positive, default=RATE, metavar="N", help="events a second, default: %(default)g")
    pace.add_argument("--speed", type=_positive, metavar="N", help="the day's own volume curve, N times as fast")
    parser.add_argument("--seed", type=_seed, default=SEED, metavar="N", help="which day, default: %(default)s")
    parser.add_argument("--loop", action="store_true", help="day after day, each from the next seed, until stopped")
    parser.add_argument("--seconds", type=_positive, metavar="S", help="day after day, until so long has passed")
    parser.add_argument("--json", action="store_true", help="print what was sent as one JSON object, last")


def run(args: argparse.Namespace) -> int:
    given = {"DRIFTLINE_KAFKA__BOOTSTRAP": args.bootstrap} if args.bootstrap else {}
    kafka = load(args.config, {**environment(), **given}).kafka
    days = Days(args.seed, endless=args.loop or args.seconds is not None)
    pace = sped_up(args.speed) if args.speed else steadily(args.rate)
    sent = asyncio.run(_run(kafka, days, pace, args.seconds))
    rate = sent.events / sent.seconds if sent.seconds else 0.0
    complain(f"sent {sent.events:,} events in {sent.seconds:.1f} s: {rate:,.0f} a second, all acknowledged")
    if args.json:
        result({"events": sent.events, "seconds": round(sent.seconds, 3), "events_per_second": round(rate, 1)})
    return 0


async def _run(kafka: KafkaSettings, days: Days, pace: Pace, seconds_max: float | None) -> Sent:
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    total = None if days.endless else scenario(days.seed).event_count()
    done = 0

    def sent(events: int) -> None:
        nonlocal done
        done += events
        progress(events)

    complain(f"to {kafka.bootstrap}: {kafka.topics.predictions}, {kafka.topics.outcomes}")
    with progress_on(sys.stderr, lambda: min(done / total, 1.0) if total else None) as progress:
        return await send(kafka, days, pace, Report(sent, complain), stop, seconds_max=seconds_max)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, is {text}")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, is {text}")
    return number


command = Command(
    "produce",
    "Send a generated day of predictions and outcomes to Kafka, live",
    add_arguments,
    run,
    "driftline produce --config driftline.toml --rate 500",
)
