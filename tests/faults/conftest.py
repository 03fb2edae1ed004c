"""Brokers of this suite's own, because they are killed and held still; and workers that are looked at afterwards.

``pytest tests/faults`` runs what ``make test`` runs; ``--faults=long`` everything, for an hour or so.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from load.brokers.cluster import Cluster, cluster_of_three
from load.brokers.secure import SecureBroker, secure_broker
from tests.faults.trial import Subject, Subjects


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", choices=("short", "long"), default="short", help="how much of the fault suite to run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Where pytest is run for everything, this file is read too late to add an option.
    if config.getoption("--faults", default="short") == "long":
        return
    long = [item for item in items if item.get_closest_marker("long_fault")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


class Stand:
    """One cluster at a time; a new one where a test left the last one down."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._single: SecureBroker | None = None
        self._three: Cluster | None = None

    def single(self) -> SecureBroker:
        if self._single is None:
            self.clear()
            self._single = self._running.enter_context(secure_broker())
        return self._single

    def three(self) -> Cluster:
        if self._three is None:
            self.clear()
            self._three = self._running.enter_context(cluster_of_three())
        return self._three

    def clear(self) -> None:
        self._single = self._three = None
        self._running.close()


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    stand = Stand()
    try:
        yield stand
    finally:
        stand.clear()


@pytest.fixture
def broker(stand: Stand, request: pytest.FixtureRequest) -> Iterator[SecureBroker]:
    """One broker with every door; who comes in by ``broker.bootstrap`` may do everything."""
    yield stand.single()
    if failed(request):
        stand.clear()


@pytest.fixture
def cluster(stand: Stand, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    yield stand.three()
    if failed(request):
        stand.clear()


REPORTS = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.when == "call":
        item.stash[REPORTS] = report
    return report


def failed(request: pytest.FixtureRequest) -> bool:
    report = request.node.stash.get(REPORTS, None)
    return report is None or report.failed


@pytest.fixture
def start() -> Iterator[Callable[..., Subject]]:
    """Starts workers. What is left of them ends with the test, no log holds a secret, and a failure shows the logs."""
    subjects = Subjects()
    try:
        yield subjects.start
    finally:
        subjects.end()
    subjects.require_no_secret_in_logs()
