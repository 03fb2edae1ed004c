"""The comparison as sentences and as a table, for the terminal and for the page."""

from collections.abc import Iterator

from streams.report import counted
from streams.whatif.comparison import Tried, WhatIf

PARTS = ("loss", "training", "labels", "pages")  # of what it cost


def head(found: WhatIf) -> list[str]:
    counts = ["policy", "retrained", "pages", "days above usual", "labels", "cured"]
    return [*counts, *(f"{part} {found.scenario.currency}" for part in (*PARTS, "total"))]


def headline(found: WhatIf) -> str:
    """Which would have been the cheapest, and by how much; and what nobody could have done better."""
    never = next((each for each in found.policies if each.plan.kind == "never"), None)
    if never is None:
        return "Nothing was compared."
    cheapest = found.cheapest
    least = next(each.total for each in found.policies if each.plan.name in cheapest)
    said = f"Cheapest: {' and '.join(cheapest)}, {amount(found, least)}"
    paid = never.total - least
    said += f"; {amount(found, paid)} less than never retraining." if paid else "; no retraining would have paid."
    known = next((each for each in found.policies if each.plan.kind == "changes"), None)
    return said if known is None else f"{said} Had all changes been known: {amount(found, known.total)}."


def assumption(found: WhatIf) -> str:
    """What the amounts stand on."""
    cured = found.scenario.cured
    if cured.answers == "replayed":
        return (
            f"A new version answers as version {cured.version} does in the history, which has its answers to "
            f"{found.answered:,} of {counted(found.rows, 'prediction')}; elsewhere the history's own stay."
        )
    how = "lie between known changes" if found.changes_known else "are cut where the loss of all labels becomes another"
    return (
        f"Assumed, not measured: a new version takes away {cured.share:.0%} of the harm in a stretch of time that it "
        f"learned {cured.labels:,} labels of, and less in proportion from fewer; later it takes away as much, and what "
        f"comes on top stays. Harm is the loss above that of the first stretch; stretches {how}."
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
        return f"as soon as a known change has {found.scenario.cured.labels:,} labels, which nobody knows by then"
    return ", ".join(f"{key} = {value}" for key, value in plan.overrides.items()) or "the configuration as it stands"


def row(found: WhatIf, tried: Tried) -> Iterator[str]:
    """Under ``head``."""
    yield tried.plan.name + (" (cheapest)" if tried.plan.name in found.cheapest else "")
    yield f"{int(tried.sum('retrainings')):,}"
    yield f"{int(tried.sum('pages')):,}"
    yield f"{tried.days_above:,.1f}"
    yield f"{int(tried.sum('labels')):,}"
    yield f"{int(tried.sum('cured')):,}"
    yield from map(_digits, (*tried.money.parts, tried.total))


def amount(found: WhatIf, value: float) -> str:
    return f"{_digits(value)} {found.scenario.currency}"


def _digits(value: float) -> str:
    return f"{value:,.{0 if abs(value) >= 100 or value.is_integer() else 2}f}"
