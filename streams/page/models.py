"""A section for each model: what happened on one axis of time, its signals one by one, its labels, its incidents."""

from collections.abc import Iterator, Mapping

from streams.findings import words
from streams.findings.collect import Findings, Model
from streams.findings.courses import Course, Point
from streams.findings.stories import Story
from streams.incident_story import number
from streams.page.figure import figure
from streams.page.markup import Html, Part, join, named, sentence, table, tag
from streams.page.overview import retrains
from streams.report import counted, time_of

OPEN_MAX = 3  # sections that are open from the start; more would be a long page
LISTED_MAX = 100  # incidents listed in a model's section; all that are kept have a section of their own
_SMALL_PX, _LARGE_PX = 130, 560


def sections(found: Findings, names: Mapping[str, str], links: Mapping[str, str]) -> Html:
    of_model: dict[str, list[Story]] = {}
    for story in found.stories:
        of_model.setdefault(story.model, []).append(story)
    each = (
        _section(model, names[model.figures.name], of_model.get(model.figures.name, []), links, at < OPEN_MAX)
        for at, model in enumerate(found.models)
    )
    return tag("section", tag("h2", "Each model"), list(each), id="each-model")


def _section(model: Model, name: str, stories: list[Story], links: Mapping[str, str], shown: bool) -> Html:
    figures = model.figures
    said = f"{counted(figures.pages, 'page')}, {counted(figures.incidents, 'incident')}"
    return tag(
        "details",
        tag("summary", tag("h3", named(words.shown(figures.name)), id=name), tag("span", said, cls="quiet")),
        figure("model", "What happened.", sentence(words.course(model)), of=name, height=_LARGE_PX),
        figure("labels", "How labels came.", words.labels(model), of=name, height=200),
        _others(model, name),
        _signals(model, name),
        retrains(model),
        _incidents(stories, links),
        open=shown,
        cls="model",
    )


def _others(model: Model, name: str) -> Part:
    if not model.series.has("latency_ms_mean"):
        return ""
    mean = model.series.last("latency_ms_mean")
    said = f"The mean was {number(mean)} ms at the end."
    return figure("latency", "How long predictions took.", said, of=name, height=160)


def _signals(model: Model, name: str) -> Part:
    courses = model.courses.drawn
    if not courses:
        return tag("p", "No detector said anything of a signal.", cls="quiet")
    multiples = [
        figure(
            "signal",
            named(_titled(course)),
            sentence(course_words(course)),
            of=name,
            number=at,
            height=_SMALL_PX,
            small=True,
        )
        for at, course in enumerate(courses)
    ]
    undrawn = model.courses.undrawn
    more = tag("p", f"{counted(undrawn, 'further signal')} with smaller changes are not drawn.", cls="quiet")
    return join(
        [
            tag("h4", "Signals: what was normal, and what came"),
            tag("div", multiples, cls="multiples"),
            more if undrawn else "",
            _distances(courses),
        ]
    )


def _titled(course: Course) -> str:
    return course.signal if course.segment is None else f"{course.signal} ({course.segment})"


def course_words(course: Course) -> str:
    """The last word on it that opened an alarm, or the last one of all."""
    point = next((each for each in reversed(course.points) if each.opened), course.points[-1])
    said = f"normal {number(point.baseline)}, then {number(point.after)}"
    if point.since is not None:
        said += f" since {time_of(point.since)}"
    if point.effect is not None:
        between = (
            f" ({number(point.low)} to {number(point.high)})"
            if point.low is not None and point.high is not None
            else ""
        )
        said += f"; effect {number(point.effect)}{between}"
    return f"{said}; {counted(len(course.points) + course.left_out, 'report')}, {counted(course.opened, 'alarm')}."


def _distances(courses: list[Course]) -> Part:
    rows = list(_measured(courses))
    if not rows:
        return ""
    head = ["signal", "at", "values", "PSI", "by chance", "Jensen-Shannon", "Wasserstein", "chi-square p"]
    caption = "How far distributions had moved"
    return tag("details", tag("summary", caption), table(caption, head, rows), cls="distances")


def _measured(courses: list[Course]) -> Iterator[list[Part]]:
    for course in courses:
        last = next((point for point in reversed(course.points) if _is_measured(point)), None)
        if last is not None:
            told = [number(value) if value is not None else words.NOTHING for value in last.distances]
            yield [named(_titled(course)), time_of(last.ts), f"{last.n:,}", *told]


def _is_measured(point: Point) -> bool:
    return any(value is not None for value in point.distances)


def _incidents(stories: list[Story], links: Mapping[str, str]) -> Part:
    if not stories:
        return ""
    listed = [
        tag(
            "li",
            tag("a", f"{time_of(story.opened_ts)} {story.severity}", href=f"#{links[story.incident]}"),
            " ",
            sentence(story.summary),
        )
        for story in stories[:LISTED_MAX]
    ]
    return join([tag("h4", "Incidents"), tag("ul", listed, cls="links")])
