"""``python -m tests.simulation``: one seed again, or as many as there is time for.

A seed that shows a violation is told in one line that replays it. The exit status is 1 then, and 0 otherwise.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from time import perf_counter

import structlog

from tests.simulation.shrink import fewest_records
from tests.simulation.simulate import Verdict, simulate

CHUNK = 4  # seeds handed to a process at once
TOLD_EVERY_S = 10.0
FIGURES = (
    "records",
    "events",
    "alerts",
    "audited",
    "crashes",
    "writes_lost",
    "sleeps",
    "rebalances",
    "zombie_sends",
    "repeats",
    "checkpoints",
    "checkpoints_unsaved",
    "checkpoints_used",
    "rebuilds",
    "disks_lost",
    "gave_up",
)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, help="replay this one")
    which.add_argument("--seeds", type=int, help="run so many")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--records", type=int, help="only the first so many of each partition")
    parser.add_argument("--shrink", action="store_true", help="find the fewest records that still show a violation")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object, last")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args(words)
    if arguments.seed is not None:
        return _replay(arguments.seed, arguments.records, shrink=arguments.shrink)
    seeds = range(arguments.start, arguments.start + arguments.seeds)
    return _many(seeds, arguments.processes, as_json=arguments.json)


def _replay(seed: int, records: int | None, *, shrink: bool) -> int:
    with silence():
        verdict = simulate(seed, records)
        if shrink and verdict.violations:
            records = fewest_records(seed, verdict.counts["records"])
            verdict = simulate(seed, records)
    for violation in verdict.violations:
        _say(violation)
    _say(f"{_replaying(seed, records)}: {'VIOLATION' if verdict.violations else 'as promised'}")
    _say(json.dumps(verdict.counts, sort_keys=True))
    return 1 if verdict.violations else 0


def _many(seeds: range, processes: int, *, as_json: bool) -> int:
    began = told = perf_counter()
    totals: Counter[str] = Counter()
    done = violations = 0
    for verdict in verdicts(seeds, processes):
        done += 1
        totals.update(verdict.counts)
        if verdict.violations:
            violations += 1
            _say(f"{_replaying(verdict.seed, None)}  # {verdict.violations[0]}")
        if perf_counter() - told > TOLD_EVERY_S:
            told = perf_counter()
            _say(f"{done} of {len(seeds)} seeds, {violations} with a violation, {done / (told - began):.1f} a second")
    seconds = perf_counter() - began
    figures = {
        "seeds": done,
        "violations": violations,
        **{name: totals[name] for name in FIGURES},
        "seconds": round(seconds, 1),
        "seeds_per_s": round(done / seconds, 2),
    }
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        _say(", ".join(f"{name} {value}" for name, value in figures.items()))
    return 1 if violations else 0


def verdicts(seeds: Sequence[int], processes: int) -> Iterator[Verdict]:
    """In the order in which they come; what a seed does depends on nothing but the seed."""
    with silence():
        if processes == 1:
            yield from map(simulate, seeds)
            return
        # Forked: what was compiled and imported once need not be again.
        with get_context("fork").Pool(processes) as pool:
            yield from pool.imap_unordered(simulate, seeds, chunksize=CHUNK)


@contextmanager
def silence() -> Iterator[None]:
    """Workers tell of every rebalance; here there are thousands."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def _replaying(seed: int, records: int | None) -> str:
    return f"python -m tests.simulation --seed {seed}" + ("" if records is None else f" --records {records}")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
