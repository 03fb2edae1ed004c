"""Why an incident is not paged at once, and why something is told that no step of it asks for. No other reasons."""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    # Not paged at once.
    MUTED = "muted"
    UPSTREAM = "upstream"
    SOURCE = "source"
    BUDGET = "budget"
    # Told by the pager itself.
    UNMUTED = "unmuted"
    MUTE_ENDED = "mute_ended"
    CAUSE_OVER = "cause_over"
    FURTHER = "further"


WITHHOLDS = (Reason.MUTED, Reason.UPSTREAM, Reason.SOURCE, Reason.BUDGET)
# What was muted where it was told is closed there and opened anew: only so is anybody called again.
ANEW = (Reason.UNMUTED, Reason.MUTE_ENDED)

WORDS: Mapping[Reason, str] = {
    Reason.MUTED: "it is muted",
    Reason.UPSTREAM: "it began with another model's incident, and is told with that",
    Reason.SOURCE: "a source of its model is in trouble, and it is told with that",
    Reason.BUDGET: "the page budget is spent, and it waits for the digest",
    Reason.UNMUTED: "it was muted, is not any more, and is still open",
    Reason.MUTE_ENDED: "its mute has ended, and it is still open",
    Reason.CAUSE_OVER: "it is not told with another one any more, and it is still open",
    Reason.FURTHER: "further models have it too",
}
