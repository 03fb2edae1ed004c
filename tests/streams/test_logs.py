import io
import json
import logging
import pickle
from collections.abc import Iterator

import pytest
import structlog

from streams import logs
from streams.secrets import Secret
from streams.sections import LogFormat, LogLevel, LogSettings
from streams.terminal import LIBRARIES


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)


def logged(format: LogFormat, level: LogLevel = "info", /, **values: object) -> str:
    stream = io.StringIO()
    logs.set_up(LogSettings(level=level, format=format), stream=stream)
    structlog.get_logger().info("partitions assigned", **values)
    return stream.getvalue()


def test_off_a_terminal_a_line_is_json() -> None:
    line = json.loads(logged("auto", partitions=[0, 1]))
    assert (line["event"], line["level"], line["partitions"]) == ("partitions assigned", "info", [0, 1])
    assert line["timestamp"].endswith("Z")


def test_less_important_lines_are_left_out() -> None:
    assert logged("json", "warning") == ""


@pytest.mark.parametrize("format", ["json", "console"])
def test_secrets_are_not_logged(format: LogFormat) -> None:
    line = logged(format, settings=[Secret("hunter2")], **{"sasl_plain_password": "hunter2", "api_key": "hunter2"})
    assert "hunter2" not in line


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_value_cannot_forge_a_line_nor_steer_the_terminal(format: LogFormat) -> None:
    line = logged(format, model="a\n2026-01-01 all is well\x1b[2J")
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_what_libraries_log_looks_the_same() -> None:
    stream = io.StringIO()
    logs.set_up(LogSettings(format="json"), stream=stream)
    logging.getLogger("aiokafka.consumer").info("noise")
    logging.getLogger("aiokafka.consumer").error("Unable to connect\nto %s", "broker")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"]) == ("Unable to connect\\nto broker", "error")


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_shows_no_local_variables(format: LogFormat) -> None:
    stream = io.StringIO()
    logs.set_up(LogSettings(format=format), stream=stream)
    password = "hunter2"  # noqa: S105 - made up
    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError: 7" in stream.getvalue()
    assert "= 'hunter2'" not in stream.getvalue()


@pytest.mark.parametrize("show", [str, repr, "{}".format, "%s".__mod__])
def test_a_secret_does_not_print(show) -> None:  # type: ignore[no-untyped-def]
    assert show(Secret("hunter2")) == "<secret>"


def test_a_secret_is_written_nowhere() -> None:
    with pytest.raises(TypeError, match="a secret is not written anywhere"):
        pickle.dumps(Secret("hunter2"))


def test_secrets_compare_by_their_text() -> None:
    assert (Secret("a") == Secret("a"), Secret("a") == Secret("b"), Secret("a") == "a") == (True, False, False)
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_librarys_line_of_one_kind_passes_once_a_minute_with_how_many_there_were() -> None:
    now = [0.0]
    seldom = logs.Seldom(clock=lambda: now[0])

    def passes(node: int) -> str | None:
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, "Unable connect to node %s", (node,), None)
        return record.getMessage() if seldom.filter(record) else None

    assert passes(1) == "Unable connect to node 1"
    assert [passes(node) for node in range(5)] == [None] * 5
    now[0] = 60.0
    assert passes(2) == "Unable connect to node 2 (and 5 more of this kind before)"
    now[0] = 120.0
    assert passes(3) == "Unable connect to node 3"


def test_a_librarys_line_may_be_anything() -> None:
    record = logging.LogRecord("mode", logging.ERROR, "", 0, {"no": "hash"}, None, None)  # type: ignore[arg-type]
    assert logs.Seldom().filter(record)
