"""Buttons under a page in Slack, for where presses on them are heard (``streams.pager.inbound``)."""

from typing import Any

from schemas.events import EVERY_MODEL
from streams.pager.sinks.slack import message
from streams.pager.steps import Action, Page

ACKNOWLEDGE = "driftline-acknowledge"
MUTE = "driftline-mute"
FALSE_ALARM = "driftline-false-alarm"
MUTE_HOURS = 2


def message_with_buttons(page: Page) -> dict[str, Any]:
    """What is over can still be called a false alarm. What is of no model, as a summary is, can be answered by none."""
    content = message(page)
    if page.alert.model == EVERY_MODEL:
        return content
    buttons = [_button(FALSE_ALARM, "False alarm", page)]
    if page.action is not Action.RESOLVE:
        buttons = [_button(ACKNOWLEDGE, "Acknowledge", page), _button(MUTE, f"Mute {MUTE_HOURS} h", page), *buttons]
    return {**content, "blocks": [*content["blocks"], {"type": "actions", "elements": buttons}]}


def _button(action: str, text: str, page: Page) -> dict[str, Any]:
    label = {"type": "plain_text", "text": text}
    return {"type": "button", "action_id": action, "value": page.alert.incident, "text": label}
