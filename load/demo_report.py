"""What the demo shows at the end: each injected drift beside what was found, and the false alarms."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from load.scenarios import HEALTHY, DriftKind, Scenario
from load.score import Find, Result
from load.trial import Trial
from schemas.events import Alert, Retrain

WIDTH = 100  # what fits beside most prompts; elsewhere than on a terminal it is the width
MINUTE_MS = 60_000


def console_on(stream: TextIO) -> Console:
    """As wide as the terminal, up to where columns begin to drift apart."""
    console = Console(file=stream, highlight=False)
    width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return Console(file=stream, highlight=False, width=width)


def announce(console: Console, day: Scenario) -> None:
    predictions, deployed = day.prediction_count(), [each for each in day.traffic if each.deployment is not None]
    labels = day.event_count() - predictions - len(deployed)
    drifting = [model for model in day.models if model not in HEALTHY]
    console.print(
        Text.assemble(
            ("A day of traffic", "bold"),
            f" (seed {day.seed}): {predictions:,} predictions and {labels:,} late labels of {len(day.models)} models. "
            f"{len(day.truth)} drifts are hidden in {', '.join(drifting)}; {' and '.join(HEALTHY)} stays healthy. "
            f"{' and '.join(each.model for each in deployed)} get a new version in the evening.",
        )
    )


def show(console: Console, trial: Trial) -> None:
    console.print(_drifts(trial))
    console.print(_verdict(trial))
    console.print(_false_alarms(trial))
    for line in (*_further(trial), *_retrains(trial.retrains), *_deployments(trial)):
        console.print(line)


def _drifts(trial: Trial) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column("model", no_wrap=True)
    table.add_column("what was injected", ratio=1)  # whatever the others leave
    for name in ("began", "found", "how late", "by"):
        table.add_column(name, no_wrap=True)
    model = ""
    for result in trial.score.results:
        if model and result.drift.model != model:
            table.add_section()
        shown = "" if result.drift.model == model else result.drift.model
        model = result.drift.model
        table.add_row(Text(shown, style="bold"), *_cells(result))
    return table


def _cells(result: Result) -> Iterator[Text]:
    drift, find = result.drift, result.find
    yield Text.assemble((drift.kind, "bold"), "\n", (drift.description, "dim"))
    yield Text(_clock(drift.starts_ms))
    if find is None:
        yield Text("missed", style="bold red")
        yield Text("")
        yield Text("\n".join(drift.signals), style="dim")
        return
    yield Text(_clock(find.alert.ts), style="bold green")
    yield Text.assemble(f"{_minutes(find.delay_ms)}\n", (_events(drift.kind, find), "dim"))
    yield Text.assemble(find.alert.detector, "\n", (find.alert.signal, "dim"))


def _events(kind: DriftKind, find: Find) -> str:
    """Counted in what the detector had to wait for."""
    if kind is DriftKind.CONCEPT:
        return f"{find.labels:,} labels"
    return f"{find.predictions:,} events"


def _verdict(trial: Trial) -> Text:
    drifts, missed = len(trial.score.results), len(trial.score.missed)
    found = Text(f"{drifts - missed} of {drifts} drifts found", style="bold red" if missed else "bold green")
    rate = f"{trial.summary.records_per_second:,.0f} a second"
    return found + Text(
        f" in {trial.summary.records:,} events, {trial.summary.seconds:.1f} s, {rate}.", style="not bold"
    )


def _false_alarms(trial: Trial) -> Text:
    lines = [_count_of(trial, model) for model in trial.day.models]
    text = Text("False alarms: ") + Text(", ").join(lines) + Text(".")
    for alert in trial.score.false_alarms:
        text += Text(f"\n  {_clock(alert.ts)} {alert.summary}", style="red")
    return text


def _count_of(trial: Trial, model: str) -> Text:
    count = len(trial.score.false_on([model]))
    name = f"{model} (healthy)" if model in HEALTHY else model
    return Text(f"{name} {count or 'none'}", style="bold red" if count else "green" if model in HEALTHY else "")


def _further(trial: Trial) -> Iterator[Text]:
    """Alerts that are right without being the first word on a drift."""
    for result in trial.score.results:
        also = (*result.again, *result.consequences)
        if also:
            yield Text(f"Also of {result.drift.model}'s {result.drift.kind}: {_signals(also)}", style="dim")
    echoes = [alert for result in trial.score.results for alert in result.echoes]
    if echoes:
        yield Text(f"Shortly after a drift had ended: {_signals(echoes)}", style="dim")


def _signals(alerts: Sequence[Alert]) -> str:
    return ", ".join(f"{alert.signal} at {_clock(alert.ts)}" for alert in alerts)


def _retrains(retrains: tuple[Retrain, ...]) -> Iterator[Text]:
    for retrain in retrains:
        since, until = _clock(retrain.data.from_ts), _clock(retrain.data.to_ts)
        yield Text.assemble(
            (f"Retrain {retrain.model}", "bold"),
            f" at {_clock(retrain.ts)}: {retrain.reason.replace('_', ' ')}; "
            f"data of {since} to {until}, {retrain.labels.joined:,} labels.",
        )


def _deployments(trial: Trial) -> Iterator[Text]:
    """What labels said of each new version, and what is to be done about it."""
    for traffic in trial.day.traffic:
        deployment = traffic.deployment
        if deployment is None:
            continue
        version, told = deployment.version, f" at {_clock(deployment.at_ms)}: {deployment.description}."
        yield Text.assemble((f"Deploy {traffic.model} {version}", "bold"), told)
        for alert in judged(trial, traffic.model):
            yield Text(f"  {_clock(alert.ts)} {alert.event}: {alert.summary}")
        for rollback in trial.rollbacks:
            if rollback.model == traffic.model:
                back = (
                    f"  {_clock(rollback.ts)} rollback recommended: from {rollback.version} to {rollback.to_version}."
                )
                yield Text(back, style="bold")


def judged(trial: Trial, model: str) -> list[Alert]:
    """Alerts that say what became of what a new version was to cure."""
    return [alert for alert in trial.alerts if alert.model == model and "answer" in alert.evidence.detail]


def _clock(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1_000, UTC):%H:%M}"


def _minutes(milliseconds: int) -> str:
    minutes = max(round(milliseconds / MINUTE_MS), 1)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
