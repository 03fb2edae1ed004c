"""One seed from its traffic to the verdict."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from time import perf_counter
from typing import NamedTuple
from unittest.mock import patch

from detectors import ahead, cure, gathered, line, shelf, signing
from detectors.join import EARLY_MAX, Join
from detectors.signing import Keys
from streams import durable, ownership
from streams import partition as partition_module
from tests.simulation.log import OUTPUTS, Log, Violation, in_order
from tests.simulation.oracle import recompute
from tests.simulation.reference import Undisturbed, disagreements, foreseen, undisturbed
from tests.simulation.signing import door_of
from tests.simulation.storage import Storage
from tests.simulation.traffic import Lying, config_of, lying_on, with_hands
from tests.simulation.world import World

ENDING_TURNS_MAX = 100  # one for each await that a task goes through on its way out
SAID_MAX = 3  # violations of one seed that are told


class Verdict(NamedTuple):
    seed: int
    violations: list[str]
    counts: dict[str, int]
    seconds: float


class Loop(asyncio.SelectorEventLoop):
    """Its time is the log's, so timers go off when simulated time passes. Fate never waits, so nothing ever blocks."""

    log: Log | None = None

    def time(self) -> float:
        return self.log.now / 1000 if self.log is not None else 0.0


def simulate(seed: int, records: int | None = None) -> Verdict:
    """``records`` cuts the traffic of each partition: the same life with less in it."""
    began = perf_counter()
    counts: Counter[str] = Counter()
    violations: list[str] = []
    try:
        violations += _live(seed, records, counts)
    except Violation as violation:
        violations.append(str(violation))
    except Exception as error:  # also what nobody foresaw is told with its seed
        violations.append(f"V6 {error!r}")
    return Verdict(seed, violations[:SAID_MAX], dict(counts), perf_counter() - began)


def _live(seed: int, records: int | None, counts: Counter[str]) -> list[str]:
    draw, config = Random(f"{seed}/world"), config_of(seed)
    inputs = {partition: lying_on(seed, partition, records) for partition in range(draw.choice((1, 1, 1, 2)))}
    counts["records"] = sum(map(len, inputs.values()))
    early_max, door = draw.choice((1, 4, EARLY_MAX)), door_of(seed)
    keys = Keys(door.secrets, required=door.required)
    with (
        patch.object(Join.__init__, "__defaults__", (early_max,)),
        patch.object(signing, "SPAN_MS", door.span_ms),
        patch.object(signing, "SEEN_MAX", door.seen_max),
        patch.object(cure, "LOOKS", (4, 8, 16)),
        patch.object(cure, "OLD_MIN", 3),
    ):
        violations: list[str] = []
        runs: dict[int, Undisturbed] = {}
        for partition, lying in inputs.items():
            opened, asked = foreseen(partition, in_order(lying), config, keys)
            if opened:
                met = draw.sample(opened, draw.randint(1, len(opened)))
                inputs[partition] = with_hands(draw, door, lying, met, asked)
            ordered = in_order(inputs[partition])
            runs[partition] = undisturbed(partition, ordered, config, keys)
            violations += disagreements(recompute(ordered, config, early_max, door), runs[partition])
        return violations or _disturbed(seed, draw, inputs, runs, Storage(config, keys, counts))


def _disturbed(
    seed: int, draw: Random, inputs: Mapping[int, list[Lying]], runs: Mapping[int, Undisturbed], storage: Storage
) -> list[str]:
    counts = storage.counts
    counts["audited"] += sum(len(run.effects["driftline.audit"]) for run in runs.values())
    counts["alerts"] += sum(len(run.effects["driftline.alerts"]) for run in runs.values())
    counts["events"] += sum(len(effects) for run in runs.values() for effects in run.effects.values())
    log = Log(inputs, {(topic, partition): run.effects[topic] for partition, run in runs.items() for topic in OUTPUTS})
    loop = Loop()
    loop.log = log
    loop.set_exception_handler(lambda _loop, _context: None)  # of tasks whose process died
    try:
        with _small_pieces(draw), _simulated_clocks(log):
            stats = {partition: run.stats for partition, run in runs.items()}
            loop.run_until_complete(_in_a_world(World(seed, log, storage, draw.choice((1, 2, 2, 3)), stats)))
    finally:
        loop.close()
    counts["repeats"] += log.repeats
    return log.missing()


async def _in_a_world(world: World) -> None:
    try:
        await world.live()
        world.compare_what_is_left()
    finally:
        world.end()
        await _let_go()


async def _let_go() -> None:
    """Ends what dead processes have left under way; a coroutine that outlives its loop complains when it goes."""
    for _ in range(ENDING_TURNS_MAX):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.sleep(0)


@contextmanager
def _small_pieces(draw: Random) -> Iterator[None]:
    """So small that a few hundred records have many."""
    with (
        patch.object(line, "CHUNK", draw.choice((1, 3, 128))),
        patch.object(line, "SEGMENT", draw.choice((8, 16, 1_024))),
        patch.object(shelf, "HELD_MAX", draw.choice((0, 5, 40_000))),
        patch.object(shelf, "TOGETHER_MIN", draw.choice((1, 1, 40))),
        patch.object(gathered, "COLUMNS_MIN", draw.choice((1, 1, 24))),
        patch.object(gathered, "WORTH_MIN", 1),  # whatever comes of a try, the next one is made
        patch.object(durable, "READ_BACK_GAP", draw.choice((0, 5, 10_000))),
        patch.object(ahead, "AHEAD_MIN", draw.choice((1, 1, 3))),
        patch.object(ahead, "PART_MIN", draw.choice((1, 2))),
    ):
        yield


@contextmanager
def _simulated_clocks(log: Log) -> Iterator[None]:
    def now_s() -> float:
        return log.now / 1000

    with patch.object(partition_module, "monotonic", now_s), patch.object(ownership, "monotonic", now_s):
        yield
