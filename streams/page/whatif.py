"""What policies of retraining would have cost: bars of money, and the numbers behind them as a table."""

from typing import Any

from streams.page.data import label, short
from streams.page.figure import figure
from streams.page.markup import Html, Part, named, sentence, table, tag
from streams.report import counted, time_of
from streams.whatif import words
from streams.whatif.comparison import Tried, WhatIf

POLICIES_MAX = 30  # drawn and listed; a scenario has fewer
STEPS_MAX = 100  # retrainings of one policy that are listed
_BAR_PX, _AXIS_PX = 34, 84


def section(found: WhatIf) -> Html:
    shown = found.policies[:POLICIES_MAX]
    said = sentence(words.headline(found))
    height = _BAR_PX * len(shown) + _AXIS_PX
    return tag(
        "section",
        tag("h2", "What if: policies of retraining"),
        figure("whatif", "What each would have cost.", said, of="whatif", height=height, small=True),
        table(
            "Each policy, the cheapest first", words.head(found), [_row(found, each) for each in shown], cls="models"
        ),
        tag("p", sentence(words.assumption(found)), " ", sentence(words.basis(found)), cls="quiet"),
        [_steps(found, each) for each in shown],
        id="what-if",
    )


def _row(found: WhatIf, tried: Tried) -> list[Part]:
    name, *rest = words.row(found, tried)
    return [named(name), *rest]


def _steps(found: WhatIf, tried: Tried) -> Part:
    """A policy's settings, and when it retrained."""
    retrainings = counted(int(tried.sum("retrainings")), "retraining")
    rows = [
        [
            time_of(step.asked_ts),
            named(step.model),
            sentence(step.reason),
            f"{step.labels:,}",
            time_of(step.deployed_ts) if step.deployed_ts is not None else "after the end",
        ]
        for step in tried.steps[:STEPS_MAX]
    ]
    head = ["asked", "model", "why", "labels", "deployed"]
    return tag(
        "details",
        tag("summary", named(tried.plan.name), f": {retrainings}; ", sentence(words.what(tried, found))),
        table("Retrainings, the first of them", head, rows) if rows else "",
        cls="policy",
    )


def data(found: WhatIf) -> dict[str, Any]:
    """What the bars are drawn from."""
    shown = found.policies[:POLICIES_MAX]
    parts = zip(*(tried.money.parts for tried in shown), strict=True)
    return {
        "names": [label(tried.plan.name) for tried in shown],
        "currency": label(found.scenario.currency),
        "parts": [[part, [short(value) for value in values]] for part, values in zip(words.PARTS, parts, strict=True)]
        if shown
        else [],
        "totals": [label(words.amount(found, tried.total)) for tried in shown],
    }
