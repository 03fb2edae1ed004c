"""The comparison as sentences and as a table, for the terminal and for the page."""

from collections.abc import Iterator

from streams.report import counted
from streams.whatif.comparison import Tried, WhatIf

HEAD = ("policy", "retrainings", "labels", "pages", "cured", "days above usual")
PARTS = ("loss", "retraining", "labels", "pages")  # of what it cost
TOTAL = "total"


def headline(found: WhatIf) -> str:
    """Which would have been the cheapest, and by how much."""
    if not found.policies:
        return "Nothing was compared."
    cheapest, best = found.cheapest, found.policies[0]
    said = f"Cheapest: {' and '.join(cheapest)}, {amount(found, best.total)}"
    never = next((each for each in found.policies if each.plan.kind == "never"), None)
    if never is None or never.plan.name in cheapest:
        return f"{said}; nothing would have paid."
    return f"{said}; {amount(found, never.total - best.total)} less than never retraining."


def assumption(found: WhatIf) -> str:
    """What the amounts stand on."""
    cured = found.scenario.cured
    if cured.answers == "replayed":
        return (
            f"A new version answers as version {cured.version} does in the history, which has its answers to "
            f"{found.answered:,} of {counted(found.rows, 'prediction')}; elsewhere the history's own stay."
        )
    how = "as known changes cut it" if found.changes_known else "cut where the loss of all labels shows a change"
    return (
        f"Assumed, not measured: of the harm in a stretch of time ({how}), which is the loss above that of the first "
        f"stretch, a new version takes {cured.share:.0%} away where it was trained on {cured.labels:,} labels of that "
        "stretch, and less in proportion on fewer; in a later one it takes away as much, and what came on top stays."
    )


def basis(found: WhatIf) -> str:
    labels = f"{found.labelled:,} of {counted(found.rows, 'prediction')} have a label"
    delay = found.scenario.label_delay
    return f"{labels}{'' if delay is None else f', each {delay} after it was made'}; the others cost nothing here."


def told(found: WhatIf, tried: Tried) -> str:
    """One policy in a sentence."""
    retrainings = int(tried.sum("retrainings"))
    costs = f"lost {amount(found, tried.money.loss)} to wrong answers"
    if not retrainings:
        return f"{tried.plan.name} ({what(tried, found)}): no retraining, {costs}."
    spent = amount(found, tried.money.retraining)
    return f"{tried.plan.name} ({what(tried, found)}): retrained {counted(retrainings, 'time')} for {spent}, {costs}."


def what(tried: Tried, found: WhatIf) -> str:
    plan = tried.plan
    if plan.kind == "never":
        return "no retraining"
    if plan.kind == "schedule":
        return "a fixed schedule"
    if plan.kind == "changes":
        return f"as soon as a known change has {found.scenario.cured.labels:,} labels"
    return ", ".join(f"{key} = {value}" for key, value in plan.overrides.items()) or "the configuration as it stands"


def row(found: WhatIf, tried: Tried) -> Iterator[str]:
    """Under ``HEAD``, ``PARTS`` and ``TOTAL``."""
    yield tried.plan.name
    for name in ("retrainings", "labels", "pages", "cured"):
        yield f"{int(tried.sum(name)):,}"
    yield f"{tried.days_above:,.1f}"
    for part in tried.money.parts:
        yield amount(found, part)
    yield amount(found, tried.total) + (" (cheapest)" if tried.plan.name in found.cheapest else "")


def amount(found: WhatIf, value: float) -> str:
    return f"{value:,.{0 if abs(value) >= 100 or value == 0 else 2}f} {found.scenario.currency}"
