"""A section for each incident: every step with its numbers, causes and the record that decided."""

from collections.abc import Iterator, Mapping

from detectors.wording import lasting
from schemas.events import Alert, Evidence
from streams.findings import words
from streams.findings.collect import Findings
from streams.findings.courses import finite
from streams.findings.stories import INCIDENTS_MAX, Story
from streams.incident_story import details, facts, number
from streams.page.figure import figure
from streams.page.markup import Html, Part, named, sentence, table, tag
from streams.report import counted, time_of

FIGURES_MAX = 3  # signals of one incident that are drawn in its section too
_CAUSES = ("cause_1", "cause_2", "cause_3")
_BRIEF = {True: "while a known change was going on", False: "no known change explains it", None: ""}

Drawn = Mapping[tuple[str, str], int]  # by model and signal, the number of the figure


def sections(found: Findings, names: Mapping[str, str], links: Mapping[str, str]) -> Html:
    drawn = {
        (model.figures.name, course.signal): at
        for model in found.models
        for at, course in enumerate(model.courses.drawn)
        if course.segment is None
    }
    left_out = found.stories_left_out
    more = tag(
        "p",
        f"{counted(left_out, 'further incident')}, less severe or older, are in the tables (--tables).",
        cls="quiet",
    )
    search = tag(
        "p",
        tag("label", "Show only those with ", tag("input", type="search", id="wanted", autocomplete="off")),
        " ",
        tag("span", "", id="count", role="status"),
        cls="search",
        hidden=True,  # without scripts there is nothing that could search
    )
    each = [_section(story, names, links, drawn, found) for story in found.stories]
    said = (
        f"{counted(len(found.stories), 'incident')}, the oldest first, {INCIDENTS_MAX:,} at most."
        if found.stories
        else "There is none."
    )
    return tag(
        "section",
        tag("h2", "Incidents and their evidence"),
        tag("p", said, cls="quiet"),
        search,
        each,
        more if left_out else "",
        id="incidents",
    )


def _section(story: Story, names: Mapping[str, str], links: Mapping[str, str], drawn: Drawn, found: Findings) -> Html:
    about = [
        tag("time", time_of(story.opened_ts)),
        " ",
        tag("span", story.severity.value, cls=f"badge {story.severity.value}"),
        " ",
        # Most summaries begin with the model's name.
        "" if story.summary.startswith(story.model) else tag("b", named(words.shown(story.model)), " "),
        sentence(story.summary),
        tag("span", f" {counted(len(story.signals) - 1, 'further signal')}.", cls="quiet")
        if len(story.signals) > 1
        else "",
    ]
    return tag(
        "details",
        tag("summary", about, id=links[story.incident]),
        _head(story, names),
        _figures(story, names, drawn),
        _steps(story),
        _beside(story),
        tag("p", tag("a", "Back to the timeline", href="#timeline"), cls="quiet"),
        cls="incident",
    )


def _head(story: Story, names: Mapping[str, str]) -> Html:
    if story.over_ts is not None:
        lasted = f"{story.status}, {lasting(story.over_ts - story.opened_ts)} after it opened"
    else:
        lasted = f"{story.status} at the end of the time"
    section = names.get(story.model)
    model = named(words.shown(story.model))
    rows: list[tuple[str, Part]] = [
        ("incident", tag("code", named(story.incident))),
        ("model", tag("a", model, href=f"#{section}") if section else model),
        ("signals", tag("span", _listed(list(story.signals)))),
        ("kind", ", ".join(kind.replace("_", " ") for kind in story.kinds)),
        ("stands", lasted),
        ("pages", f"{story.pages:,}" + (f", {_BRIEF[story.right]}" if story.right is not None else "")),
    ]
    return _facts(rows)


def _listed(names: list[str]) -> list[Part]:
    parts: list[Part] = []
    for name in names:
        parts += [", " if parts else "", named(name)]
    return parts


def _facts(rows: list[tuple[str, Part]]) -> Html:
    return tag("dl", [tag("div", tag("dt", name), tag("dd", what)) for name, what in rows], cls="facts")


def _figures(story: Story, names: Mapping[str, str], drawn: Drawn) -> Part:
    section = names.get(story.model)
    numbers = [(signal, drawn[story.model, signal]) for signal in story.signals if (story.model, signal) in drawn]
    if section is None or not numbers:
        return ""
    each = [
        figure(
            "signal",
            named(signal),
            "before and after, all reports of this signal.",
            of=section,
            number=at,
            height=130,
            small=True,
        )
        for signal, at in numbers[:FIGURES_MAX]
    ]
    return tag("div", each, cls="multiples")


def _steps(story: Story) -> Html:
    listed: list[Part] = []
    told: Evidence | None = None
    for at, step in enumerate(story.steps):
        if story.left_out and at == len(story.steps) // 2:
            listed.append(tag("li", f"{counted(story.left_out, 'step')} between these are left out", cls="quiet"))
        listed.append(tag("li", _step(step, step.evidence == told)))
        told = step.evidence
    return tag("ol", listed, cls="steps")


def _beside(story: Story) -> Part:
    """Alarms that joined without a word to anybody."""
    if not story.beside:
        return ""
    rows = [
        [
            named(told.signal),
            time_of(told.ts),
            told.disposition,
            f"{number(told.evidence.value)}, threshold {number(told.evidence.threshold)}",
            number(told.evidence.effect),
            tag("code", named(f"{told.position.topic}[{told.position.partition}]@{told.position.offset}")),
        ]
        for told in story.beside
    ]
    head = ["signal", "at", "what became of it", "value", "effect", "decided at"]
    left_out = story.beside_left_out
    return [
        table("Further alarms of this incident", head, rows),
        tag("p", f"{counted(left_out, 'further one')} in the tables (--tables).", cls="quiet") if left_out else "",
    ]


def _step(step: Alert, as_before: bool) -> list[Part]:
    place = step.position
    rows: list[tuple[str, Part]] = [
        ("signal", named(step.signal)),
        (
            "decided by",
            [named(step.detector), " at ", tag("code", named(f"{place.topic}[{place.partition}]@{place.offset}"))],
        ),
    ]
    if as_before:
        rows.append(("evidence", "as before"))
    else:
        rows += [(name, sentence(what)) for name, what in facts(step.evidence)]
        rows += _measures(step.evidence)
        rows += [
            ("likely cause", sentence(str(step.evidence.detail[cause])))
            for cause in _CAUSES
            if cause in step.evidence.detail
        ]
    return [
        tag(
            "p",
            tag("time", time_of(step.ts)),
            " ",
            tag("strong", step.event),
            " ",
            tag("span", step.severity.value, cls=f"badge {step.severity.value}"),
            " ",
            sentence(step.summary),
        ),
        _facts(rows),
    ]


def _measures(evidence: Evidence) -> Iterator[tuple[str, Part]]:
    after, low, high = (finite(evidence.detail.get(name)) for name in ("after", "effect_low", "effect_high"))
    if evidence.baseline is not None:
        yield "normal", number(evidence.baseline)
    if after is not None:
        yield "since then", number(after)
    if evidence.effect is not None:
        between = f" ({number(low)} to {number(high)})" if low is not None and high is not None else ""
        yield "effect", f"{number(evidence.effect)}{between}"
    for told in details(evidence):
        name, _, value = told.partition(" ")
        if name not in _CAUSES:
            yield name.replace("_", " "), sentence(value)
