"""What is to be compared: policies of retraining and what things cost. A file of TOML, checked as a whole at once."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from detectors.config import ModelConfig, RetrainConfig
from schemas.times import duration_ms
from streams import shape
from streams.allowed import Between, Lasting
from streams.errors import SettingsError
from streams.keys import MODEL_NAME, NOT_EMPTY, SETTINGS, Setting
from streams.problems import Path as Key
from streams.problems import Problem
from streams.sections import Settings
from streams.settings import parsed

POLICIES_MAX = 20  # each is a replay of its own


class _Sign(NamedTuple):
    """It is shown on terminals and pages as it is, so nothing that steers them."""

    allowed: str = 'one to eight printable characters, such as "EUR"'

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(r"\S{1,8}", value) is not None and value.isprintable()


_PRICE = Between(0, 1_000_000_000)
_TAKES = Setting("From the retrain event until the new version is deployed", Lasting("1s", "365d"))

# What ``docs/backtest.md`` says of a scenario. A word in capitals stands for a name that the user chooses.
SCENARIO: Mapping[str, Setting] = {
    "currency": Setting("What stands behind amounts", _Sign()),
    "takes": _TAKES,
    "schedule": Setting("The schedule that stands beside the policies", Lasting("1h", "3650d")),
    "label_delay": Setting("When a label comes, in place of the history's own time", Lasting("0s", "3650d")),
    "seed": Setting("Of what is drawn", Between(0, 2**32)),
    "costs.loss": Setting("Of a wrong answer, or of a unit of error, times the label's weight", _PRICE),
    "costs.retraining": Setting("Of one retraining", _PRICE),
    "costs.label": Setting("Of a label that a retraining learns from", _PRICE),
    "costs.page": Setting("Of a page", _PRICE),
    "cured.answers": Setting("What the new version answers"),
    "cured.share": Setting("How much of the harm a training takes away", Between(0, 1)),
    "cured.labels": Setting("Labels of a stretch of time that teach it whole", Between(1, 10_000_000)),
    "cured.version": Setting("Whose answers are those of every new version", NOT_EMPTY),
    "policies.POLICY.takes": _TAKES,
    "policies.POLICY.every": Setting("Retrains at these times, whatever the monitor says", Lasting("1h", "3650d")),
}


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Prices(_Part, frozen=True):
    """Of one model, where they are not those of all."""

    loss: float | None = None
    retraining: float | None = None
    label: float | None = None
    page: float | None = None


class Costs(_Part, frozen=True):
    loss: float | None = None
    retraining: float | None = None
    label: float = 0.0
    page: float = 0.0
    models: dict[str, Prices] = {}

    def of(self, model: str, what: str) -> float:
        own = getattr(self.models.get(model, Prices()), what)
        return float(own if own is not None else getattr(self, what) or 0.0)


class Cured(_Part, frozen=True):
    answers: Literal["assumed", "replayed"] = "assumed"
    share: float = 1.0
    labels: int = 500
    version: str | None = None


class Policy(RetrainConfig, frozen=True, forbid_unknown_fields=True):
    """Settings of ``retrain`` in place of the configuration's, or a fixed schedule."""

    takes: str | None = None
    every: str | None = None


class Scenario(_Part, frozen=True):
    currency: str = "€"
    takes: str = "6h"
    schedule: str = "30d"
    label_delay: str | None = None
    seed: int = 1
    costs: Costs = Costs()
    cured: Cured = Cured()
    policies: dict[str, Policy] = {}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be tried: ``overrides`` of the settings, a schedule, the true changes, or nothing at all."""

    name: str
    kind: Literal["policy", "schedule", "changes", "never"]
    takes_ms: int
    every_ms: int = 0
    overrides: dict[str, Any] = {}

    def settings(self, settings: Settings) -> Settings:
        """Those that its replay runs with."""
        monitor = settings.monitor
        models = {name: self._retrains(config) for name, config in monitor.models.items()}
        changed = msgspec.structs.replace(monitor, defaults=self._retrains(monitor.defaults), models=models)
        return msgspec.structs.replace(settings, monitor=changed)

    def _retrains(self, config: ModelConfig) -> ModelConfig:
        overrides = {"on": ()} if self.kind != "policy" else self.overrides
        table = {**msgspec.structs.asdict(config.retrain), **overrides}
        return msgspec.structs.replace(config, retrain=msgspec.convert(table, RetrainConfig))


def load(path: Path) -> tuple[Scenario, list[Plan]]:
    """And what is to be tried, but for what only a file of known changes can say."""
    data = parsed(path)
    fitting, found = shape.fit(data, Scenario, _setting_at)
    scenario: Scenario = shape.convert(fitting, Scenario)
    if not found:
        found = list(_relations(scenario, data))
    if found:
        raise SettingsError([problem._replace(where=str(path)) for problem in found])
    return scenario, list(_plans(scenario, data["policies"]))


def at_changes(scenario: Scenario) -> Plan:
    return Plan(name="at the true changes", kind="changes", takes_ms=duration_ms(scenario.takes))


def _setting_at(path: Key) -> Setting | None:
    if path[:1] == ("policies",):
        name = path[-1]
        return SETTINGS.get(f"defaults.retrain.{name}") or SCENARIO.get(f"policies.POLICY.{name}")
    return SCENARIO.get(".".join(("costs", path[-1]) if path[:1] == ("costs",) else path))


def _relations(scenario: Scenario, data: shape.Table) -> Iterator[Problem]:
    for key in ("loss", "retraining"):
        if getattr(scenario.costs, key) is None:
            yield Problem(("costs", key), "must be set: nothing can be compared in money without it")
    if (scenario.cured.answers == "replayed") != (scenario.cured.version is not None):
        yield Problem(("cured", "version"), 'must be set where cured.answers is "replayed", and only there')
    if not scenario.policies:
        yield Problem(("policies",), "names none; [policies.now] is the configuration as it stands")
    if len(scenario.policies) > POLICIES_MAX:
        yield Problem(("policies",), f"names {len(scenario.policies)}: at most {POLICIES_MAX} are compared")
    for name, written in data.get("policies", {}).items():
        place = ("policies", name)
        if not MODEL_NAME.accepts(name) or name == "never":
            yield Problem(place, f"is no name of a policy: {MODEL_NAME.allowed}, and not never")
        if "every" in written and (others := sorted(written.keys() - {"every", "takes"})):
            yield Problem((*place, others[0]), "is of no use beside every, which asks nobody; leave one of them out")


def _plans(scenario: Scenario, written: shape.Table) -> Iterator[Plan]:
    usual = duration_ms(scenario.takes)
    yield Plan(name="never", kind="never", takes_ms=usual)
    every = duration_ms(scenario.schedule)
    yield Plan(name=f"every {scenario.schedule}", kind="schedule", takes_ms=usual, every_ms=every)
    for name, policy in scenario.policies.items():
        takes = usual if policy.takes is None else duration_ms(policy.takes)
        if policy.every is not None:
            yield Plan(name=name, kind="schedule", takes_ms=takes, every_ms=duration_ms(policy.every))
        else:
            overrides = {key: value for key, value in written[name].items() if key != "takes"}
            yield Plan(name=name, kind="policy", takes_ms=takes, overrides=overrides)
