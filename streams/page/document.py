"""The whole page: what it may do, its parts in order, and the file it becomes."""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from detectors.wording import lasting
from streams.findings import words
from streams.findings.collect import Findings
from streams.findings.courses import COURSES_MAX, POINTS_MAX
from streams.findings.series import STRETCHES_MAX
from streams.page import incidents, models, overview, whatif
from streams.page.data import anchors, block, fleet, of_model
from streams.page.markup import Html, safe, sentence, tag
from streams.whole import whole, writing

LIBRARY = "vendor/echarts.min.js"
BYTES_MAX = 10 * 1024 * 1024  # a mail may have so much, and a phone shows it within seconds


def write(found: Findings, path: Path) -> None:
    with writing("the report", path, "name another file"), whole(path) as partial:
        partial.write_text(fitting(found), encoding="utf-8")


def fitting(found: Findings, most: int = BYTES_MAX) -> str:
    """Where names and evidence are so long that the page would be too large, it tells of fewer one by one."""
    text = document(found)
    while (size := len(text.encode())) > most and (found.models or found.stories):
        found = found.shortened(0.9 * most / size)
        text = document(found)
    return text


def document(found: Findings) -> str:
    library, ours, style = (_asset(name) for name in (LIBRARY, "page.js", "page.css"))
    links = anchors(found.stories)
    names = {model.figures.name: f"m-{number}" for number, model in enumerate(found.models)}
    parts = [
        tag("a", "Skip to the incidents", href="#incidents", cls="skip"),
        overview.header(found),
        _contents(found),
        tag(
            "main",
            overview.pages_over_time(found),
            overview.timeline(found),
            overview.by_model(found, names),
            whatif.section(found.whatif) if found.whatif is not None else "",
            models.sections(found, names, links),
            incidents.sections(found, names, links),
        ),
        _footer(found),
        block("data-fleet", fleet(found, names, links)),
        block("data-whatif", whatif.data(found.whatif)) if found.whatif is not None else "",
        *(block(f"data-{names[model.figures.name]}", of_model(model, found, links)) for model in found.models),
        tag("script", safe(library)),
        tag("script", safe(ours)),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(library, ours)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"Driftline report: {words.headline(found)}"),
        tag("style", safe(style)),
    ]
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", parts), lang="en")


def _policy(*scripts: str) -> str:
    """No network whatever the page holds, and no script but these, known by their hashes.

    The library sets the style of what it draws, so styles are free; with no address to go to they can tell nobody.
    """
    known = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return f"default-src 'none'; script-src {known}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _asset(name: str) -> str:
    """A script or a style; as a browser reads it, with one kind of line end."""
    return files("streams.page").joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _contents(found: Findings) -> Html:
    parts = (
        ("pages", "Pages"),
        ("timeline", "Timeline"),
        ("models", "By model"),
        *((("what-if", "What if"),) if found.whatif is not None else ()),
        ("each-model", "Each model"),
        ("incidents", "Incidents"),
    )
    listed = [tag("li", tag("a", title, href=f"#{name}")) for name, title in parts]
    return tag("nav", tag("ul", listed), aria_label="Parts of the report")


def _footer(found: Findings) -> Html:
    events = ", ".join(f"{event} {count:,}" for event, count in sorted(found.by_event.items())) or "none"
    missing = (
        f"; {found.windows_left_out:,} windows of metrics were more than can be kept" if found.windows_left_out else ""
    )
    return tag(
        "footer",
        tag("p", sentence(f"From {found.where}. Steps of incidents: {events}{missing}.")),
        tag(
            "p",
            f"A line is drawn from {STRETCHES_MAX} stretches at most, here of {lasting(found.grid.step)}; of each "
            f"model {COURSES_MAX} signals are drawn, with {POINTS_MAX} reports each. The tables hold every alert, "
            "signal and window. A deployment is the first window of a version that was not the model's first.",
        ),
        tag("p", "On paper: with few sections all are printed, otherwise those that are open."),
    )
