"""``python -m load poison``: what ten thousand bad records among good ones cost a worker.

The same predictions, once alone and once with the bad ones spread among them; rounds alternate.
"""

import argparse
import statistics
import tempfile
import uuid
from pathlib import Path

from load.broker import find_broker
from load.brokers.common import BrokerUnavailableError
from load.output import result, say
from load.peers.driftline_worker import WorkerFailedError, measure
from load.peers.task import Task
from load.recording import Recording, record
from streams.commands import Command

RECORDS = 100_000
POISON = 10_000
WARM = 20_000  # records before the clock starts
ROUNDS = 3
SEED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=int, default=RECORDS, help="good predictions, default: %(default)s")
    parser.add_argument("--poison", type=int, default=POISON, help="bad records among them, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="of what is recorded, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    try:
        rates = _measure(arguments)
    except (BrokerUnavailableError, WorkerFailedError) as error:
        say(f"poison: {error}")
        return 1
    medians = {name: round(statistics.median(figures)) for name, figures in rates.items()}
    result(
        {
            "records_per_s": medians,
            "ratio": round(medians["poisoned"] / medians["normal"], 3),
            "each_round": {name: [round(figure) for figure in figures] for name, figures in rates.items()},
            "good": arguments.records,
            "poison": arguments.poison,
            "rounds": arguments.rounds,
            "seed": arguments.seed,
        }
    )
    return 0


def _measure(arguments: argparse.Namespace) -> dict[str, list[float]]:
    mark = uuid.uuid4().hex[:8]  # a broker that was given may hold the topics of other runs
    wanted = {"normal": 0, "poisoned": arguments.poison}
    rates: dict[str, list[float]] = {name: [] for name in wanted}
    with find_broker() as broker, tempfile.TemporaryDirectory(prefix="driftline-poison-") as folder:
        for name, poison in wanted.items():
            topic = f"poison-{mark}-{name}"
            record(broker.bootstrap, Recording(topic, None, arguments.records, arguments.seed, poison))
        for number in range(arguments.rounds):
            for name, poison in wanted.items():
                label = f"poison-{mark}-{name}-{number}"
                records = arguments.records + poison
                topics = (f"poison-{mark}-{name}",)
                task = Task(broker.bootstrap, topics, label, WARM, records, Path(folder) / f"{label}.json")
                rates[name].append(measure(task, dead_lettered=poison).records_per_s)
                say(f"round {number + 1} of {arguments.rounds}: {name} {rates[name][-1]:,.0f} records/s")
    return rates


command = Command(
    "poison",
    "records a second with ten thousand bad ones among them",
    add_arguments,
    run,
    "python -m load poison --json",
)
