"""The page as text: what it may do, that nothing from outside is markup, that every link leads somewhere."""

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from schemas.events import AlertEvent, Event
from streams.errors import SinkError
from streams.findings import truth
from streams.findings.collect import collect
from streams.page import document
from streams.page.document import write as write_page
from streams.page.markup import named, tag
from tests.streams.report.results import START, alert, at, evidence, month, retrain, signal, window, write

PAGE = Path(document.__file__).parent
LIBRARY_SHA256 = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
# Each a model's, signal's, version's and incident's name and a sentence: out of markup, out of script, out of line.
HOSTILE = (
    "</script><script>hacked=1</script>",
    "<img src=x onerror=hacked=1>",
    "\"'><svg onload=hacked=1>",
    "\u202egnp.exe\u2066",
    "{a|rich} {{7*7}} ${hacked=1} %s",
    "<!--<script>",
    "javascript:hacked=1",
    "a\u2028b\u0000c\td\ne",
    "x" * 256,
    "&lt;b&gt; &#60;",
    "__proto__",
    "",
)


class Parts(HTMLParser):
    """Everything that a browser would take for markup."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text: list[str] = []
        self._script: dict[str, str | None] | None = None

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[name] += 1
        self.attributes += [(name, key, value or "") for key, value in attrs]
        self._script = dict(attrs) if name == "script" else None

    def handle_endtag(self, name: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts.append((self._script, data))
        else:
            self.text.append(data)

    def values(self, attribute: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == attribute]


def hostile_events() -> list[Event]:
    events: list[Event] = []
    for number, name in enumerate(HOSTILE):
        detail = {"cause_1": name, "looks_like": name, name: name, "after": 12.0}
        told = evidence(threshold_origin=name, detail=detail, trace=name)
        about = {"model": name, "version": name, "signal": name, "detector": name}
        wrong = {"loss_mean": 1.0}  # all of it, which is told with the model's name
        events += [window(START, values={name: 1.0} | wrong, model=name, version="1")]
        events += [window(at(9), values=wrong, model=name, version=name)]
        events += [signal(at(1), **about, evidence=told, disposition=name)]
        events += [alert(at(1) + number, incident=name, summary=name, evidence=told, **about)]
        events += [alert(at(2) + number, AlertEvent.UPDATED, incident=name, summary=name, evidence=told, **about)]
        events += [retrain(at(3), model=name, reason=name)]
    return events


def page(tmp_path: Path, events: list[Event] | None = None, known: str = "") -> str:
    (tmp_path / "truth.jsonl").write_text(known)
    results = write(tmp_path / "results", month() if events is None else events)
    return document.document(collect(results, truth.read(tmp_path / "truth.jsonl")))


def parts(text: str) -> Parts:
    found = Parts()
    found.feed(text)
    return found


def test_the_library_is_the_one_that_was_published() -> None:
    assert hashlib.sha256((PAGE / document.LIBRARY).read_bytes()).hexdigest() == LIBRARY_SHA256
    version = b'version="6.1.0"'
    assert version in (PAGE / document.LIBRARY).read_bytes()
    assert "| 6.1.0 |" in (PAGE / "vendor" / "README.md").read_text()


def test_the_page_may_run_its_own_scripts_and_ask_nobody(tmp_path: Path) -> None:
    found = parts(page(tmp_path))
    (policy,) = [value for name, key, value in found.attributes if name == "meta" and "default-src" in value]
    assert "default-src 'none'" in policy
    run = [text for attributes, text in found.scripts if attributes.get("type") != "application/json"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert len(run) == 2
    assert found.values("src") == []
    assert [value for value in found.values("href") if not value.startswith("#")] == []


def test_nothing_from_outside_is_markup(tmp_path: Path) -> None:
    plain, hostile = (
        parts(page(tmp_path)),
        parts(page(tmp_path, hostile_events(), json.dumps({"model": "*", "starts": 1, "what": HOSTILE[0]}))),
    )
    assert set(hostile.tags) - set(plain.tags) == set()
    assert [key for _, key, _ in hostile.attributes if key.startswith("on")] == []
    assert hostile.tags["img"] == hostile.tags["svg"] == 0
    said = "".join(hostile.text)
    assert all(name in said for name in HOSTILE[:3])
    assert "\u202e" not in said
    assert "\\u202e" in said


def test_data_of_the_figures_is_data_whatever_the_names(tmp_path: Path) -> None:
    found = parts(page(tmp_path, hostile_events()))
    blocks = [json.loads(text) for attributes, text in found.scripts if attributes.get("type") == "application/json"]
    assert len(blocks) == 1 + len(HOSTILE)
    assert {block["name"] for block in blocks if "name" in block} >= set(HOSTILE[:3])


@pytest.mark.parametrize("hostile", [False, True])
def test_every_link_leads_to_one_place(tmp_path: Path, hostile: bool) -> None:
    found = parts(page(tmp_path, hostile_events() if hostile else None))
    ids = Counter(found.values("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    assert {value[1:] for value in found.values("href")} - set(ids) == set()
    assert {f"data-{of}" for of in found.values("data-of")} - set(ids) == set()


def test_every_alert_is_told_with_its_numbers_and_the_record_that_decided(tmp_path: Path) -> None:
    said = "".join(parts(page(tmp_path)).text)
    assert said.count("driftline.predictions[2]@") >= 12
    assert "1500, threshold 1000" in said
    assert "0.5 (0.25 to 0.75)" in said


def test_every_figure_says_in_words_what_it_shows(tmp_path: Path) -> None:
    text = page(tmp_path)
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert len(figures) > 8
    assert [each for each in figures if not re.search(r"<figcaption>.{20,}</figcaption>", each, re.DOTALL)] == []
    assert text.count("<figure") == len(figures)


def test_a_page_that_would_be_too_large_tells_of_fewer_one_by_one(tmp_path: Path) -> None:
    events = [event for number in range(8) for event in month(f"model-{number}", incidents=6)]
    found = collect(write(tmp_path / "results", events))
    whole = document.document(found)
    text = document.fitting(found, most=len(whole) - 100_000)
    assert len(text) <= len(whole) - 100_000
    shown = parts(text)
    assert {value[1:] for value in shown.values("href")} - set(shown.values("id")) == set()
    assert "You would have been paged 96 times in 30 days." in "".join(shown.text)
    assert 0 < shown.values("class").count("incident") < 48
    assert "further incidents, less severe or older, are in the tables" in "".join(shown.text)


def test_a_tag_escapes_what_is_not_markup() -> None:
    assert tag("a", "<", tag("b", "&"), title='"', data_of=3, hidden=True, open=False) == (
        '<a title="&quot;" data-of="3" hidden>&lt;<b>&amp;</b></a>'
    )
    assert len(named("y" * 5_000)) < 300


def test_the_page_stands_under_its_name_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, target = collect(write(tmp_path / "results", month())), tmp_path / "page.html"
    write_page(found, target)
    before = target.read_text()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(SinkError, match="No space left"):
        write_page(found, target)
    assert target.read_text() == before
    assert [path.name for path in tmp_path.glob("*.partial")] == []


# -- looks ----------------------------------------------------------------------------------------------------------


def _colours() -> dict[str, tuple[str, str]]:
    style = (PAGE / "page.css").read_text()
    return {
        name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    }


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_lines_stand_out(scheme: int) -> None:
    colours = {name: pair[scheme] for name, pair in _colours().items()}
    text = [(name, behind) for name in ("ink", "quiet", "link") for behind in ("paper", "sheet")]
    text += [("on-badge", name) for name in ("critical", "warning", "info")] + [("ink", "few"), ("paper", "many")]
    lines = [
        (name, "paper") for name in ("critical", "warning", "info", "first", "second", "third", "fourth", "traffic")
    ]
    assert {pair for pair in text if _contrast(colours[pair[0]], colours[pair[1]]) < 4.5} == set()
    assert {pair for pair in lines if _contrast(colours[pair[0]], colours[pair[1]]) < 3} == set()
