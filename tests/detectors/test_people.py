"""Whatever people and deployments do about real incidents, cuts of batches and restarts change nothing."""

from collections.abc import Iterator, Sequence
from random import Random

import msgspec

from detectors.config import ModelConfig, MonitorConfig, RetrainConfig
from tests.detectors.events import SECOND, START, Event, control, outcome, prediction, run, tick

ROWS = 1_500
SEEDS = (1, 2, 3, 37, 44)  # every configuration, and among them every way in which an incident ends
USUAL = 0.05  # share of wrong predictions
DEFAULTS = ModelConfig(
    baseline_rows=80,
    rows_per_false_alarm=3_000,
    label_horizon="2h",
    metrics_window="1h",
    retrain=RetrainConfig(cooldown="20m", min_labels=20, feature_drift_lasts="3m"),
)
CONFIGS = {
    "usual": MonitorConfig(defaults=DEFAULTS),
    "binary": MonitorConfig(defaults=msgspec.structs.replace(DEFAULTS, task="binary", positive=1)),
    "segments": MonitorConfig(defaults=msgspec.structs.replace(DEFAULTS, segments=("country",), segment_values_max=2)),
    "few that wait": MonitorConfig(defaults=msgspec.structs.replace(DEFAULTS, pending_max=60)),
}
TURNS = ("deploy", "rollback", "baseline", "mute", "unmute")
WORDS = ("verdict", "verdict", "verdict", "acknowledge", "resolve")


class _World:
    """Two models that get worse and better, other inputs and new versions; labels come at once, late or in heaps."""

    def __init__(self, seed: int) -> None:
        self._draw = draw = Random(seed)
        self._now = 0
        self._wrong, self._age, self._version = {"a": USUAL, "b": USUAL}, {"a": 0.0, "b": 0.0}, {"a": 0, "b": 0}
        self._labels = draw.choice(("at once", "in heaps", "either", "late"))
        self._has_segments, self._has_challenger = draw.random() < 0.5, draw.random() < 0.3
        self._due: dict[int, list[Event]] = {}
        self._heap: list[Event] = []

    def events(self) -> Iterator[Event]:
        draw = self._draw
        for number in range(ROWS):
            pause = draw.choice((-30, 60, 1_800)) if draw.random() < 0.003 else draw.choice((0.5, 1, 2))
            self._now = max(0, self._now + int(pause * SECOND))
            model = "a" if draw.random() < 0.8 else "b"
            if draw.random() < 0.003:
                self._wrong[model], self._age[model] = (
                    draw.choice((USUAL, USUAL, 0.3, 0.6, 0.9)),
                    draw.choice((0, 0, 1.5, 3)),
                )
            yield from self._predicted(number, model)
            yield from (event | {"at": self._now} for event in self._due.pop(number, ()))
            if draw.random() < 0.006:
                for event in self._heap:
                    self._now += draw.choice((0, 0, 1, 30))
                    yield event | {"at": self._now}
                self._heap.clear()
            if draw.random() < 0.003:
                yield self._turn(number, model)
            if draw.random() < 0.01:
                yield tick(self._now)

    def _predicted(self, number: int, model: str) -> Iterator[Event]:
        draw, said = self._draw, float(self._draw.random() < 0.5)
        more = {"at": self._now, "model": model, "prediction": said, "version": str(self._version[model])}
        if self._has_segments:
            more["segments"] = {"country": draw.choice(("de", "fr", "it"))}
        yield prediction(number, {"age": draw.gauss(self._age[model], 1)}, **more)
        if self._has_challenger and draw.random() < 0.3:
            other = {"version": "c", "role": "challenger", "prediction": float(draw.random() < 0.5)}
            yield prediction(number, {"age": 0.0}, **(more | other))
        right = draw.random() >= self._wrong[model]
        label = outcome(number, said if right else 1.0 - said, model=model)
        if draw.random() < 0.05:
            label |= draw.choice(({"provisional": True}, {"weight": 0.0}, {"weight": 2.0}))
        how = draw.choice(("at once", "in heaps", "late")) if self._labels == "either" else self._labels
        if how == "in heaps":
            self._heap.append(label)
        else:
            self._due.setdefault(number + (draw.randint(1, 200) if how == "late" else 0), []).append(label)
        if draw.random() < 0.04:
            corrected = label | {"revision": 1, "label": float(draw.random() < 0.5)}
            self._due.setdefault(number + draw.randint(1, 60), []).append(corrected)

    def _turn(self, number: int, model: str) -> Event:
        draw = self._draw
        action = draw.choices(TURNS, (6, 2, 1, 1, 1))[0]
        more: Event = {"at": self._now, "model": model}
        if action in ("deploy", "rollback"):
            self._version[model] += 1
            more["version"] = str(self._version[model])
            if draw.random() < 0.7:
                self._wrong[model], self._age[model] = draw.choice((USUAL, USUAL, 0.5, 0.9)), 0.0
        if action == "mute":
            more |= {
                "signal": draw.choice((None, "loss")),
                "until": START + self._now + draw.choice((60, 3_600)) * SECOND,
            }
        return control(action, f"c{number}", **more)


def answered(events: Sequence[Event], config: MonitorConfig, seed: int) -> list[Event]:
    """People say what they found of incidents, at once or later; and of those that come as it is then."""
    draw, events = Random(seed), list(events)
    for turn in range(3):
        opened = {alert.incident: alert for alert in reversed(run(events, config, (len(events),)).alerts)}
        said: list[tuple[int, Event]] = []
        for incident, alert in opened.items():
            if draw.random() < 0.5:
                place = min(len(events), alert.position.offset + 1 + draw.choice((0, 1, 5, 50, 300)))
                word = draw.choice(WORDS)
                found = draw.choice(("true_alarm", "false_alarm", "false_alarm")) if word == "verdict" else None
                more = {"model": alert.model, "incident": incident, "verdict": found, "at": events[place - 1]["at"]}
                said.append((place, control(word, f"h{turn}.{len(said)}", **more)))
        for place, event in sorted(said, key=lambda one: one[0], reverse=True):
            events.insert(place, event)
    return events


def test_what_is_done_about_incidents_does_not_depend_on_batches() -> None:
    told: set[object] = set()
    for seed in SEEDS:
        name, draw = list(CONFIGS)[seed % len(CONFIGS)], Random(seed)
        config = CONFIGS[name]
        events = answered(list(_World(seed).events()), config, seed)
        whole = run(events, config, (len(events),))
        assert run(events, config, (1, 90, 600)) == whole, (seed, name)
        restored = run(events, config, (draw.randint(2, 40), draw.randint(100, 900)), restoring=True)
        assert restored == whole, (seed, name)
        told |= {word for alert in whole.alerts for word in (str(alert.event), alert.evidence.detail.get("why"))}
    assert told >= {"retracted", "amended", "reopened", "escalated", "updated"}
    assert told >= {"false_alarm", "resolved_by_hand", "deployed", "cured", "rolled_back", "new_baseline"}
