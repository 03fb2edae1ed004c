"""An engine whose partition goes elsewhere leaves no memory behind, though the collector hardly ever looks."""

import gc

from detectors.config import ModelConfig, MonitorConfig
from detectors.engine import Engine
from schemas.records import Record
from schemas.topics import TopicNames

NAMES = TopicNames()
MODELS = 3
ROWS = 900


def records() -> list[Record]:
    """What goes through every part: segments, versions, labels, and errors that rise until they are reported."""
    made = []
    for number in range(ROWS):
        model, at = f"m{number % MODELS}", 1_760_000_000_000 + number
        known, label = f'"v":1,"id":"{number}","model":"{model}","ts":{at}', "false" if number > 300 else "true"
        shared = f'"prediction":true,"features":{{"x":{number % 7},"w":"a"}},"segments":{{"region":"r{number % 2}"}}'
        prediction = f'{{"type":"prediction",{known},{shared},"version":"{number // 600}"}}'
        outcome = f'{{"type":"outcome",{known},"label":{label}}}'
        for topic, value in ((NAMES.predictions, prediction), (NAMES.outcomes, outcome)):
            made.append(Record(topic, 0, number, at, model.encode(), value.encode()))
    return made


def test_an_engine_is_gone_when_nobody_holds_it() -> None:
    usual = ModelConfig(task="binary", positive=True, baseline_rows=10, segments=("region",), rows_per_false_alarm=50.0)
    engine = Engine(0, MonitorConfig(defaults=usual), NAMES)
    assert engine.apply(records()).effects
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        del engine
        gc.collect()
        left = {type(thing).__qualname__ for thing in gc.garbage if type(thing).__module__.startswith("detectors")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert left == set()
