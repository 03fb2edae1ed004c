"""What keeps the registry from being worked with is told once, and its end as well."""

import pytest

from streams.errors import BrokerError, UsageError
from streams.mlflow.attempts import PAUSE_MAX_S, Attempts
from streams.mlflow.once import Once
from streams.mlflow.registry import RegistryError, Trouble


async def fails(error: Exception | None) -> None:
    if error is not None:
        raise error


async def test_trouble_is_told_when_it_begins_changes_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    reasons: list[str] = []
    attempts = Attempts("following aliases", reasons.append)
    away, login = RegistryError(Trouble.NETWORK, "away"), RegistryError(Trouble.LOGIN, "no")
    done = [await attempts.tried(fails(error)) for error in (None, away, away, login, BrokerError("x"), None, None)]
    assert done == [True, False, False, False, False, True, True]
    assert reasons == ["network", "network", "login", "brokers"]
    said = capsys.readouterr().out
    assert (said.count("cannot be worked with"), said.count("can be worked with again")) == (3, 1)


async def test_pauses_grow_up_to_a_bound_and_begin_anew() -> None:
    attempts = Attempts("following aliases", lambda reason: None)
    for _ in range(2_000):
        await attempts.tried(fails(RegistryError(Trouble.NETWORK, "away")))
    assert 1.0 < max(attempts.pause() for _ in range(200)) <= PAUSE_MAX_S
    await attempts.tried(fails(None))
    assert max(attempts.pause() for _ in range(200)) <= 1.0


async def test_an_error_of_another_kind_is_not_kept() -> None:
    with pytest.raises(UsageError):
        await Attempts("following aliases", lambda reason: None).tried(fails(UsageError("no such topic")))


def test_what_is_remembered_as_told_is_bounded() -> None:
    once = Once(most=2)
    assert [once.first(word) for word in ("a", "a", "b", "c", "a")] == [True, False, True, True, True]
