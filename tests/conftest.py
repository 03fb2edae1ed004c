"""A test that does not run proves nothing: in continuous integration (``CI=true``) a skip is a failure."""

import os
from collections.abc import Generator

import pytest


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
