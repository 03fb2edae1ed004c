"""``driftline produce``: sends the demo's traffic to Kafka, live; and load of a given rate for measurements."""

import argparse

from load.arguments import positive, seed
from load.output import result
from streams.commands import Command, add_config
from streams.terminal import complain, environment

RATE = 500.0  # events a second: the day is over in six minutes
SEED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="broker, in place of the configured one")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=positive, default=RATE, metavar="N", help="events a second, default: %(default)g")
    pace.add_argument("--speed", type=positive, metavar="N", help="the day's own volume curve, N times as fast")
    parser.add_argument("--seed", type=seed, default=SEED, metavar="N", help="which day, default: %(default)s")
    parser.add_argument("--loop", action="store_true", help="day after day, each from the next seed, until stopped")
    parser.add_argument("--seconds", type=positive, metavar="S", help="day after day, until so long has passed")
    parser.add_argument("--json", action="store_true", help="print what was sent as one JSON object, last")


def run(args: argparse.Namespace) -> int:
    # The Kafka client and the generators take a second to load, which a quick --help need not wait for.
    from load.live import Days, produce, sped_up, steadily  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    given = {"DRIFTLINE_KAFKA__BOOTSTRAP": args.bootstrap} if args.bootstrap else {}
    kafka = load(args.config, {**environment(), **given}).kafka
    days = Days(args.seed, endless=args.loop or args.seconds is not None)
    pace = sped_up(args.speed) if args.speed else steadily(args.rate)
    sent = produce(kafka, days, pace, seconds_max=args.seconds)
    rate = sent.events / sent.seconds if sent.seconds else 0.0
    complain(f"sent {sent.events:,} events in {sent.seconds:.1f} s: {rate:,.0f} a second, all acknowledged")
    if args.json:
        result({"events": sent.events, "seconds": round(sent.seconds, 3), "events_per_second": round(rate, 1)})
    return 0


command = Command(
    "produce",
    "Send a generated day of predictions and outcomes to Kafka, live",
    add_arguments,
    run,
    "driftline produce --config driftline.toml --rate 500",
)
