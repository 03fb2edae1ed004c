"""The top of the page: how often, for what, was it right; then when, on which model."""

from collections.abc import Iterator, Mapping

from detectors.wording import lasting
from schemas.events import EVERY_MODEL
from streams.findings import words
from streams.findings.collect import Findings, Model
from streams.incident_story import number
from streams.page.data import CALENDAR_ROWS_MAX, TIMELINE_ROWS_MAX, calendar
from streams.page.figure import figure
from streams.page.markup import Html, Part, named, sentence, table, tag
from streams.report import counted, time_of

_ROW_PX, _AXIS_PX = 18, 64
CHANGES_SHOWN_MAX = 100


def header(found: Findings) -> Html:
    summary = found.summary
    about = f"{counted(summary.records, 'record')} of {counted(len(found.all_models), 'model')}, {words.span(found)}"
    return tag(
        "header",
        tag("p", "Driftline report", cls="kicker"),
        tag("h1", f"{words.headline(found)}."),
        tag("p", sentence(words.for_what(found)), cls="lead"),
        tag("p", f"{about}. All times are UTC.", cls="quiet"),
        _incomplete(found),
        _never_right(found),
        _cards(found),
    )


def _incomplete(found: Findings) -> Part:
    if found.summary.complete:
        return ""
    return tag(
        "p", "These results are not complete: ", sentence(found.summary.error or "the replay ended early"), cls="warn"
    )


def _never_right(found: Findings) -> Part:
    said = words.never_right(found)
    return tag("p", sentence(said), cls="warn") if said else ""


def _cards(found: Findings) -> Html:
    over = sum(1 for story in found.stories if story.over_ts is not None)
    still = len(found.stories) - over
    cards: list[tuple[str, str, str]] = [
        ("Pages", f"{found.pages:,}", "opened, reopened or escalated at severity warning or critical"),
        ("Incidents", f"{found.incidents:,}", f"{over:,} over by themselves or by hand, {still:,} open at the end"),
    ]
    if (allowed := found.allowed) is not None:
        cards.append(
            (
                "Budget",
                number(allowed),
                f"false pages that {words.roughly(found.span_ms)} may cost, all models together",
            )
        )
    if found.truth is not None:
        changes, missed = len(found.truth.changes), len(found.truth.missed)
        cards.append(("Right", f"{found.right:,} of {found.pages:,}", "pages while a known change was going on"))
        cards.append(("Found", f"{changes - missed:,} of {changes:,}", "known changes that a page came for"))
    else:
        cards.append(("Right", "not known", "name a file of known changes with --truth"))
    return tag(
        "dl",
        [tag("div", tag("dt", name), tag("dd", value), tag("dd", what, cls="quiet")) for name, value, what in cards],
        cls="cards",
    )


def by_model(found: Findings, sections: Mapping[str, str]) -> Html:
    head = ["model", "pages", "a month", "budget", "bears", "incidents", "predictions", "labels"]
    if found.truth is not None:
        head.insert(2, "right")
    return tag(
        "section",
        tag("h2", "By model"),
        table("Pages of each model, and what its budget bears", head, _rows(found, sections), cls="models"),
        _more(len(found.all_models) - len(found.models), "further model", "are in the tables (--tables)"),
        id="models",
    )


def _rows(found: Findings, sections: Mapping[str, str]) -> Iterator[list[Part]]:
    for model in found.models:
        figures = model.figures
        name = named(words.shown(figures.name))
        row: list[Part] = [
            tag("a", name, href=f"#{sections[figures.name]}"),
            f"{figures.pages:,}",
            words.a_month(figures.pages, found.span_ms),
            words.asked(figures) if figures.name != EVERY_MODEL else words.NOTHING,
            words.NOTHING if figures.allowed is None or figures.name == EVERY_MODEL else number(figures.allowed),
            f"{figures.incidents:,}",
            f"{figures.predictions:,}",
            words.coverage(model),
        ]
        if found.truth is not None:
            row.insert(2, f"{figures.right:,}")
        yield row


def pages_over_time(found: Findings) -> Html:
    told = calendar(found)
    stretch = {1: "hour", 24: "day", 168: "week"}.get(told["hours"], f"{told['hours'] // 24} days")
    most = max((cell[2] for cell in told["cells"]), default=0)
    busiest = f"The busiest {stretch} of one model had {counted(most, 'page')}." if most else "There was none."
    height = _ROW_PX * len(told["rows"]) + _AXIS_PX
    return tag(
        "section",
        tag("h2", "When you would have been paged"),
        figure("calendar", f"Pages by model and {stretch}.", busiest, of="fleet", height=height),
        _more(len(found.all_models) - CALENDAR_ROWS_MAX, "further model", "share the row “others”"),
        figure("budget", "Pages so far, and what the budget bears.", _budget_words(found), of="fleet", height=220),
        id="pages",
    )


def _budget_words(found: Findings) -> str:
    return f"{counted(found.pages, 'page')} in all. {words.budget(found)} {words.right(found)}"


def timeline(found: Findings) -> Html:
    shown, rows = min(len(found.models), TIMELINE_ROWS_MAX), len(found.models)
    said = (
        f"{counted(len(found.stories), 'incident')} as bars from when they opened until they were over, "
        "critical ones thickest; triangles are deployments, dashed frames are known changes."
    )
    return tag(
        "section",
        tag("h2", "Timeline"),
        figure("timeline", "Incidents of all models.", said, of="fleet", height=_ROW_PX * shown + _AXIS_PX + 40),
        _more(rows - TIMELINE_ROWS_MAX, "further model", "have a timeline of their own below"),
        _known_changes(found),
        id="timeline",
    )


def _known_changes(found: Findings) -> Part:
    if found.truth is None:
        return ""
    rows = [
        [
            named(words.shown(change.model)),
            sentence(change.what or words.NOTHING),
            time_of(change.starts),
            time_of(change.ends) if change.ends is not None else words.NOTHING,
            f"after {lasting(page - change.starts)}" if page is not None else "missed",
        ]
        for change, page in zip(found.truth.changes, found.truth.found, strict=True)
    ]
    head = ["model", "what changed", "from", "to", "first page"]
    listed = table("Known changes, and the first page of each", head, rows[:CHANGES_SHOWN_MAX])
    return tag("div", listed, _more(len(rows) - CHANGES_SHOWN_MAX, "further change", "are not listed"))


def _more(count: int, what: str, where: str) -> Part:
    return tag("p", f"{counted(count, what)} {where}.", cls="quiet") if count > 0 else ""


def retrains(model: Model) -> Part:
    rows = [
        [
            time_of(retrain.ts),
            sentence(retrain.reason.replace("_", " ")),
            f"{time_of(retrain.data.from_ts)} to {time_of(retrain.data.to_ts)}",
            tag(
                "code",
                f"{retrain.data.topic}[{retrain.data.partition}]@",
                f"{retrain.data.from_offset} to {retrain.data.to_offset}",
            ),
            f"{retrain.labels.joined:,}",
        ]
        for retrain in model.retrains
    ]
    if not rows:
        return ""
    head = ["at", "why", "data of", "records", "labels"]
    return tag(
        "div",
        table("Retraining asked for", head, rows),
        _more(model.retrains_left_out, "further one", "are in the tables (--tables)"),
    )
