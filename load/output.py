"""Where the programs of this package speak: prose on standard error, one JSON object on standard output."""

import sys
from collections.abc import Mapping

import orjson


def say(text: str) -> None:
    """Progress and prose. Standard output is kept for the one result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def result(figures: Mapping[str, object]) -> None:
    """The one JSON object, the last line on standard output, so that a script can read it."""
    sys.stdout.write(orjson.dumps(figures, option=orjson.OPT_SERIALIZE_NUMPY).decode() + "\n")
    sys.stdout.flush()
