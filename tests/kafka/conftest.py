"""One real broker for all tests of this folder. Without one they fail: a tier that is skipped is not a tier."""

from collections.abc import Iterator

import pytest

from load.broker import find_broker


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """The address of a real Apache Kafka that no other run uses; each test makes topics with names of its own."""
    with find_broker() as broker:
        yield broker.bootstrap
