"""A test page: to each sink, and what came back."""

from collections.abc import Sequence
from secrets import token_hex
from time import monotonic, time
from typing import NamedTuple

import msgspec

from streams.errors import UsageError
from streams.pager import build
from streams.pager.answers import Outcome
from streams.pager.sinks.sink import Sink
from streams.pager.steps import Action, Page, ShownAlert
from streams.sections import PagerSettings

STEPS = ((Action.TRIGGER, "opened"), (Action.RESOLVE, "resolved"))


class Result(NamedTuple):
    sink: str
    action: Action
    delivered: bool
    detail: str
    seconds: float

    def __str__(self) -> str:
        outcome = "delivered" if self.delivered else "FAILED"
        return f"{self.sink}: {self.action.value} {outcome} after {self.seconds:.2f} s: {self.detail}"


async def trial(pager: PagerSettings, only: str | None) -> Sequence[Result]:
    """A page and its end, so that nothing stays open."""
    sinks = build.sinks(pager, time)
    if only is not None and only not in sinks:
        raise UsageError(f"{only} is no sink", where="pager.sinks", advice=f"there are {', '.join(sinks)}")
    return [result for name, sink in sinks.items() if only in (None, name) for result in await _tried(name, sink)]


async def _tried(name: str, sink: Sink) -> Sequence[Result]:
    results: list[Result] = []
    incident, reference = f"test-{token_hex(8)}", None
    for action, event in STEPS:
        alert = _alert(incident, event)
        began = monotonic()
        answer = await sink.deliver(Page(action, alert, msgspec.json.encode(alert), time(), "a test", reference))
        delivered = answer.outcome is Outcome.DELIVERED
        results.append(Result(name, action, delivered, answer.detail, monotonic() - began))
        reference = answer.reference
        if not delivered:
            break
    return results


def _alert(incident: str, event: str) -> ShownAlert:
    return ShownAlert(
        id=f"{incident}-{event}",
        incident=incident,
        event=event,
        severity="warning",
        model="test",
        kind="system",
        summary="A test page of driftline pager test: nothing is wrong, and it is resolved at once.",
        ts=int(time() * 1000),
    )
