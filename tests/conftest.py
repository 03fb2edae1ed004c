"""A test that does not run proves nothing: in continuous integration (``CI=true``) a skip is a failure."""

import gc
import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from streams import collector

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Whoever runs this in the background may have it ignore interrupts, and every process that a test starts would as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """As ``streams.process`` does it: streams are many small objects, and what was imported is never garbage."""
    gc.collect()
    collector.look_past_what_is_there()
    collector.look_seldom()


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("CI") == "true":
        why = report.__dict__.pop("wasxfail", report.longrepr)  # with it, pytest would not count the failure
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was not run, which CI does not accept: {why}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
