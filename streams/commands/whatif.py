"""``driftline whatif``: what policies of retraining would have cost on recorded history."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from streams.commands import Command, add_config
from streams.commands.files import SOURCES, add_files, given, history_of, refuse_once
from streams.cores import PROCESSES_MAX, cores
from streams.errors import SettingsError, UsageError
from streams.terminal import complain, environment
from streams.text import printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.history import Given
    from streams.settings import Settings
    from streams.whatif.comparison import Tried
    from streams.whatif.facts import Facts, Seen
    from streams.whatif.scenario import Plan, Scenario


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=SOURCES)
    scenario = "TOML file with the policies and what things cost; docs/backtest.md has one"
    parser.add_argument("--scenario", type=Path, required=True, metavar="FILE", help=scenario)
    out = "directory for whatif.json: that of a replay of the same history, or a new one; default: %(default)s"
    parser.add_argument("--out", type=Path, default=Path("driftline-results"), metavar="DIR", help=out)
    truth = "what is known to have changed, a JSON object a line: then retraining at these changes is compared too"
    parser.add_argument("--truth", type=Path, metavar="FILE", help=truth)
    many = "try so many policies at once; default: as many as there are cores"
    parser.add_argument("--processes", type=int, default=min(cores(), PROCESSES_MAX), metavar="N", help=many)
    add_files(parser)
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    from streams import truth  # noqa: PLC0415 - all of these bring the engine
    from streams.report import console_on  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415
    from streams.sinks import check_ours  # noqa: PLC0415
    from streams.whatif import comparison, scenario, terminal  # noqa: PLC0415
    from streams.whatif.world import too_often  # noqa: PLC0415

    _check(args)
    settings = load(args.config, environment())
    said, plans = scenario.load(args.scenario)
    changes = None
    if args.truth is not None:
        changes = truth.read(args.truth)
        plans.append(scenario.at_changes(said))
    check_ours(args.out)
    with TemporaryDirectory(prefix="driftline-whatif-") as folder:
        models, large = _gathered(args, settings, said)
        if problems := list(too_often(said, plans, models)):
            raise SettingsError([problem._replace(where=str(args.scenario)) for problem in problems])
        history = given(args, settings)
        tried = _tried(args, history, said, plans, models, Path(folder), large=large)
        found = comparison.compared(said, models, tried, changes)
    where = comparison.write(found, args.out)
    console = console_on(sys.stdout)
    terminal.show(found, console)
    console.print(f"Comparison: {printable(str(where))}", markup=False)
    return 0


def _check(args: argparse.Namespace) -> None:
    refuse_once(args, "history is read once for every policy")
    if not 1 <= args.processes <= PROCESSES_MAX:
        raise UsageError(f"must be from 1 to {PROCESSES_MAX}", where=f"--processes {args.processes}")


def _gathered(args: argparse.Namespace, settings: "Settings", said: "Scenario") -> "tuple[dict[str, Facts], bool]":
    """What the history holds; and whether it is too large for a state in memory."""
    from streams.history import ROWS_IN_MEMORY  # noqa: PLC0415
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.whatif.facts import Seen, gather  # noqa: PLC0415

    with (
        history_of(args, settings) as history,
        progress_on(sys.stderr, lambda: history.fraction) as progress,
    ):
        version, delay = said.cured.version, said.label_delay
        seen = Seen()
        records = seen.passing(history.records)
        models = gather(records, settings.monitor, version=version, label_delay=delay, progress=progress)
        large = history.rows_about > ROWS_IN_MEMORY
        left_over = history.left_over
    if left_over:
        complain(printable(left_over))
    _check_same(args.out, seen, models)
    _check_losses(args, said, models)
    where = ", ".join(args.sources[:3])
    if not any(facts.labelled for facts in models.values()):
        advice = "name them with --labels, or their column in a file given with --mapping"
        raise UsageError("no prediction has a label, so nothing shows what answers cost", where=where, advice=advice)
    if version is not None and not any(facts.answered for facts in models.values()):
        advice = "they come as predictions of role challenger, under the ids of those that were made"
        what = f"holds no answers of version {printable(version)}, which cured.version names"
        raise UsageError(what, where=where, advice=advice)
    return models, large


def _check_same(out: Path, seen: "Seen", models: "dict[str, Facts]") -> None:
    """A report shows both as of one history."""
    from schemas.events import EVERY_MODEL  # noqa: PLC0415
    from streams.findings.lines import Files  # noqa: PLC0415
    from streams.sinks import SUMMARY  # noqa: PLC0415

    if not (out / SUMMARY).exists():
        return
    there = Files(out).summary()
    span = (there.time_range.from_ts, there.time_range.to_ts) if there.time_range is not None else None
    named = there.alerts.keys() - {EVERY_MODEL}
    if (there.records, span) != (seen.records, seen.times) or (named and named.isdisjoint(models)):
        advice = "name a new directory with --out, or replay this history into it first"
        raise UsageError("holds the replay of another history", where=str(out), advice=advice)


def _check_losses(args: argparse.Namespace, said: "Scenario", models: "dict[str, Facts]") -> None:
    for name in said.costs.models:
        if name not in models:
            advice = f"there are {', '.join(sorted(models)[:5])}"
            what = f"costs.models.{printable(name)}: the history has no prediction of it"
            raise UsageError(what, where=str(args.scenario), advice=advice)
    priced = {name for name, prices in said.costs.models.items() if prices.loss is not None}
    units: dict[str, str] = {}
    for name, facts in models.items():
        if facts.rule is not None and name not in priced:
            units.setdefault(facts.rule.loss, name)
    if len(units) > 1:
        kinds = ", ".join(f"{unit} of {printable(name)}" for unit, name in units.items())
        complain(f"costs.loss is one price for losses of different units ({kinds}): set costs.models.NAME.loss")


def _tried(
    args: argparse.Namespace,
    history: "Given",
    said: "Scenario",
    plans: "list[Plan]",
    models: "dict[str, Facts]",
    folder: Path,
    *,
    large: bool,
) -> "list[Tried]":
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.whatif import facts  # noqa: PLC0415
    from streams.whatif.trying import Task, Trials  # noqa: PLC0415

    facts.write(folder, models)
    tasks = [
        Task(
            given=history,
            config=None if args.config is None else str(args.config),
            truth=None if args.truth is None else str(args.truth),
            scenario=said,
            plan=plan,
            folder=str(folder),
            state=str(folder / f"state-{number}") if large else None,
        )
        for number, plan in enumerate(plans)
    ]
    with (
        Trials(tasks, args.processes) as trials,
        progress_on(sys.stderr, lambda: trials.fraction) as progress,
    ):
        return trials.run(progress)


command = Command(
    "whatif",
    "Compare policies of retraining on recorded events, in money",
    add_arguments,
    run,
    "driftline whatif june.jsonl.gz --scenario whatif.toml --out driftline-results",
)
