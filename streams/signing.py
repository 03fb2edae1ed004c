"""The keys of control events, from the configuration: what a worker checks with, and what this client signs with."""

from collections.abc import Callable, Iterator
from time import time
from typing import NamedTuple

from detectors.signing import Keys
from schemas.signatures import HEADER, signature
from schemas.times import TS_END
from streams.errors import UsageError
from streams.keys import IDENTIFIER
from streams.moments import moment
from streams.problems import Problem, shown
from streams.secrets import Secret
from streams.sections import ControlSettings

SECRET_CHARACTERS_MIN = 16  # of a word that was made up; one that was drawn has 32 and more


def keys_of(control: ControlSettings) -> Keys:
    secrets = {name: key.secret.reveal().encode() for name, key in control.keys.items() if key.secret}
    return Keys(secrets, _ends(control), required=control.required)


class Signer(NamedTuple):
    """Signs in the name of a key. It prints without it."""

    name: str
    secret: Secret

    def headers(self, key: bytes, value: bytes) -> list[tuple[str, bytes]]:
        return [(HEADER, signature(self.name, self.secret.reveal().encode(), key, value))]


def signer_of(control: ControlSettings, now: int) -> Signer | None:
    """``None`` where no key is configured; raises ``UsageError`` where none can be used, or it is not said which."""
    if not control.keys:
        return None
    if len(control.keys) > 1 and control.sign_with is None:
        known = ", ".join(sorted(control.keys))
        raise UsageError("there are several keys", where="control.sign_with", advice=f"say which signs: {known}")
    name = control.sign_with or next(iter(control.keys))
    if now >= _ends(control).get(name, TS_END):
        raise UsageError(
            "signs nothing any more", where=f"control.keys.{name}", advice="control.sign_with names another"
        )
    secret = control.keys[name].secret
    assert secret is not None, "a key without a secret is a mistake in the configuration"
    return Signer(name, secret)


def signers(control: ControlSettings) -> Callable[[], Signer | None]:
    """To be asked for each event, since a key may end. What is wrong with the keys by now is raised at once."""

    def signer() -> Signer | None:
        return signer_of(control, int(time() * 1000))

    signer()
    return signer


def _ends(control: ControlSettings) -> dict[str, int]:
    return {name: moment(key.until, f"control.keys.{name}.until") for name, key in control.keys.items() if key.until}


def mistakes_in_control(control: ControlSettings) -> Iterator[Problem]:
    for name, key in control.keys.items():
        path = ("control", "keys", name)
        if not IDENTIFIER.accepts(name):
            yield Problem(path, f"is no name for a key: {IDENTIFIER.allowed}")
        if not key.secret:
            yield Problem((*path, "secret"), "must be set, or secret_file")
        elif len(key.secret.reveal()) < SECRET_CHARACTERS_MIN:
            allowed = f"must have at least {SECRET_CHARACTERS_MIN} characters; openssl rand -hex 32 makes one"
            yield Problem((*path, "secret"), allowed)
    if control.sign_with is not None and control.sign_with not in control.keys:
        named = f"one of {', '.join(sorted(control.keys))}" if control.keys else "one of control.keys; there are none"
        yield Problem(("control", "sign_with"), f"must be {named}", shown(control.sign_with))
