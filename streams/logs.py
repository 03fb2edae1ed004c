"""Log lines as keys and values, to standard error: for people on a terminal, JSON elsewhere.

A line per transition, none per event.
"""

import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from streams.secrets import PLACEHOLDER
from streams.sections import LogSettings
from streams.text import printable

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PRIVATE = re.compile(r"password|secret|token|credential|authorization|api_?key|private_?key", re.IGNORECASE)

Line = MutableMapping[str, Any]


def set_up(settings: LogSettings, *, stream: TextIO | None = None) -> None:
    """Sets up structlog for this process; called once by the command that runs."""
    stream = stream or sys.stderr
    for_people = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_secrets,
            without_control_characters,
            _renderer(for_people, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )


def _renderer(for_people: bool, stream: TextIO) -> structlog.typing.Processor:
    if for_people:
        return structlog.dev.ConsoleRenderer(colors=stream.isatty())
    return structlog.processors.JSONRenderer(default=str)


def without_secrets(_logger: object, _method: str, line: Line) -> Line:
    """By the key's name, for what never was a ``Secret``: a library's settings, a header."""
    for key in line:
        if _PRIVATE.search(key):
            line[key] = PLACEHOLDER
    return line


def without_control_characters(_logger: object, _method: str, line: Line) -> Line:
    """A record's text must not start a line of its own, nor steer a terminal."""
    for key, value in line.items():
        if isinstance(value, str) and key != "exception":
            line[key] = printable(value)
    return line
