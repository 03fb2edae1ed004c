"""How a version goes live, as the alias of a registered model tells it. No I/O.

What was said last stands in a tag of the registered model, so a restart knows it, and so does whoever looks there. Each
event's id is made from the one before: a version that comes back is said again, under another id, and the same move
never under two. MLflow itself does not keep when an alias was moved.
"""

from hashlib import blake2b

import msgspec

from schemas.codec import UNREADABLE
from schemas.events import Control, ControlAction
from streams.mlflow.advice import PREFIX

BY = "driftline mlflow"
_ID_BYTES = 16
_SAID = (ControlAction.DEPLOY.value, ControlAction.ROLLBACK.value)


class Standing(msgspec.Struct, frozen=True):
    """What the monitor was told of an alias; ``said`` is false from before it is sent until it certainly was."""

    version: str  # its number in the registry
    said: bool
    name: str = ""  # the version's in predictions
    event: str = ""  # empty where nothing was sent: the alias was seen for the first time
    action: str = ""
    before: str = ""
    at: int = 0


def tag(alias: str) -> str:
    """On the registered model."""
    return f"{PREFIX}.alias.{alias}"


def live_tag(alias: str) -> str:
    """On a version that was live: since when it was known to be."""
    return f"{PREFIX}.live.{alias}"


def read(text: str | None) -> Standing | None:
    """``None`` where there is none, or what is there is none of ours."""
    try:
        standing = msgspec.json.decode(text or "", type=Standing)
    except UNREADABLE:
        return None
    return standing if standing.said or standing.action in _SAID else None


def written(standing: Standing) -> str:
    return msgspec.json.encode(standing).decode()


def first_seen(live: str, now: int) -> Standing:
    """The monitor has seen its predictions for as long as there were any: to tell it would begin its warm-up anew."""
    return Standing(live, said=True, at=now)


def moved(model: str, alias: str, last: Standing, live: str, name: str, *, was_live: bool, now: int) -> Standing:
    """To another version than the last one; to an older one that was live before, it is a rollback."""
    back = was_live and _number(live) < _number(last.version)
    action = ControlAction.ROLLBACK if back else ControlAction.DEPLOY
    made_from = "\0".join((model, alias, last.event, last.version, str(last.at), live))
    event = f"mlflow-{blake2b(made_from.encode(), digest_size=_ID_BYTES).hexdigest()}"
    return Standing(live, said=False, name=name, event=event, action=action.value, before=last.version, at=now)


def event_of(standing: Standing, model: str, alias: str) -> Control:
    return Control(
        v=1,
        id=standing.event,
        ts=standing.at,
        action=ControlAction(standing.action),
        model=model,
        version=standing.name,
        by=BY,
        reason=f"the alias {alias} moved from version {standing.before} to version {standing.version}",
    )


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0
