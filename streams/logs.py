"""Log lines as keys and values, to standard error: for people on a terminal, JSON elsewhere.

A line per transition, none per event.
"""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping, Sequence
from math import inf
from time import monotonic
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from streams.secrets import PLACEHOLDER
from streams.sections import LogSettings
from streams.terminal import LIBRARIES
from streams.text import printable

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PRIVATE = re.compile(r"password|secret|token|credential|authorization|api_?key|private_?key", re.IGNORECASE)

SELDOM_S = 60.0
KINDS_MAX = 1_000  # a library may make each of its lines a kind of its own

Line = MutableMapping[str, Any]
Clock = Callable[[], float]


def set_up(settings: LogSettings, *, stream: TextIO | None = None) -> None:
    """Sets up structlog for this process; called once by the command that runs."""
    stream = stream or sys.stderr
    for_people = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    start: list[Processor] = [structlog.processors.add_log_level, structlog.processors.TimeStamper("iso", utc=True)]
    end: list[Processor] = [without_secrets, without_control_characters, *_renderer(for_people, stream)]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *start, *end],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    _take_in_libraries(_LEVELS[settings.level], start, end, stream)


def _take_in_libraries(level: int, start: Sequence[Processor], end: Sequence[Processor], stream: TextIO) -> None:
    """What Faust and aiokafka log goes out the same way, from warnings on: their other lines come for every event."""
    handler = logging.StreamHandler(stream)
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=start, processors=[without_meta, *end])
    handler.setFormatter(formatter)
    handler.addFilter(Seldom())
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(max(level, logging.WARNING))


class Seldom(logging.Filter):
    """A library's line of one kind passes once a minute, with how often it was held back meanwhile.

    While brokers are away, aiokafka says so a hundred times a second.
    """

    def __init__(self, clock: Clock = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}  # when one passed last, and how many since

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = (record.name, str(record.msg)), self._clock()  # anything may be logged, also what has no hash
        if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:
            self._kinds.clear()
        passed, held_back = self._kinds.get(kind, (-inf, 0))
        if now - passed < SELDOM_S:
            self._kinds[kind] = (passed, held_back + 1)
            return False
        self._kinds[kind] = (now, 0)
        if held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back:,} more of this kind before)", ()
        return True


def _renderer(for_people: bool, stream: TextIO) -> list[Processor]:
    if for_people:
        # Plain tracebacks: the pretty ones show local variables, and one of them may be a password.
        formatter = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=formatter)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]


def without_secrets(_logger: object, _method: str, line: Line) -> Line:
    """By the key's name, for what never was a ``Secret``: a library's settings, a header."""
    for key in line:
        if _PRIVATE.search(key):
            line[key] = PLACEHOLDER
    return line


def without_control_characters(_logger: object, _method: str, line: Line) -> Line:
    """A record's text must not start a line of its own, nor steer a terminal."""
    for key, value in line.items():
        if isinstance(value, str):
            line[key] = printable(value)
    return line
