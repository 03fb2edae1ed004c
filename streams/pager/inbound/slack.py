"""Slack's interactive messages: somebody pressed a button under a page of ours."""

import re
from urllib.parse import parse_qs

import msgspec

from schemas.codec import UNREADABLE
from schemas.events import ControlAction
from streams.pager.inbound.words import Post, Provider, Result, Word, by, is_signed
from streams.pager.sinks.slack_buttons import ACKNOWLEDGE, FALSE_ALARM, MUTE
from streams.secrets import Secret

NAME: Provider = "slack"
SIGNATURE = "X-Slack-Signature"
TIMESTAMP = "X-Slack-Request-Timestamp"
OLD_S = 300  # as Slack advises; it delivers once
FIELDS_MAX = 8  # of the form; Slack sends one

_ACTIONS = {ACKNOWLEDGE: ControlAction.ACKNOWLEDGE, MUTE: ControlAction.MUTE, FALSE_ALARM: ControlAction.VERDICT}
_SECONDS = re.compile(r"[0-9]{1,12}")


class _User(msgspec.Struct, frozen=True):
    id: str
    username: str | None = None
    name: str | None = None


class _Action(msgspec.Struct, frozen=True):
    action_id: str
    value: str | None = None


class _Interaction(msgspec.Struct, frozen=True):
    type: str
    user: _User
    trigger_id: str = ""
    actions: tuple[_Action, ...] = ()


_INTERACTION = msgspec.json.Decoder(_Interaction)


def heard(post: Post, secret: Secret, now_ms: int) -> Word | Result:
    timestamp = post.headers.get(TIMESTAMP, "")
    text = b"v0:" + timestamp.encode("utf-8", "surrogateescape") + b":" + post.body
    if not is_signed(secret, text, [post.headers.get(SIGNATURE, "").removeprefix("v0=")]):
        return Result.REFUSED
    if not _SECONDS.fullmatch(timestamp) or abs(now_ms / 1000 - int(timestamp)) > OLD_S:
        return Result.STALE
    try:
        fields = parse_qs(post.body.decode("ascii"), errors="strict", max_num_fields=FIELDS_MAX)
        return _word(_INTERACTION.decode("".join(fields.get("payload", ()))))
    except UNREADABLE:
        return Result.UNREADABLE


def _word(said: _Interaction) -> Word | Result:
    """A press is one action; of several, ours."""
    for pressed in said.actions:
        action = _ACTIONS.get(pressed.action_id)
        if said.type == "block_actions" and action is not None and pressed.value and said.trigger_id:
            who = by(NAME, said.user.username or said.user.name, said.user.id)
            return Word(action, pressed.value, who, said.trigger_id)
    return Result.IGNORED
