"""The page in a real headless Chromium: what it draws, what it asks for, who can use it."""

import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from load.browser import Browser, Page, browser
from load.report import first_view_ms
from schemas.events import Event
from streams.findings import truth
from streams.findings.collect import collect
from streams.page.document import write as write_page
from tests.streams.report.results import START, at, month, window, write
from tests.streams.report.test_document import hostile_events

MIB = 1024 * 1024
DESK, PHONE = (1280, 900), (390, 844)
# Waits until every figure that is near the window is drawn.
SETTLED = "new Promise(told => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(told, 50))))"
DRAWN = "[...document.querySelectorAll('.plot')].filter(plot => plot.querySelector('svg')).length"


def made(tmp_path: Path, events: Iterator[Event] | list[Event], known: str = "") -> Path:
    results = write(tmp_path / "results", events)
    (tmp_path / "truth.jsonl").write_text(known)
    found = collect(results, truth.read(tmp_path / "truth.jsonl"))
    write_page(found, tmp_path / "page.html")
    return tmp_path / "page.html"


def plain(tmp_path: Path) -> Path:
    deploys = [window(at(12) + hour, version="2") for hour in range(3)]
    known = f'{{"model": "churn", "starts": {at(2)}, "ends": {at(5)}, "what": "prices"}}\n'
    return made(tmp_path, [*month("churn"), *month("eta", incidents=2), *deploys], known)


@asynccontextmanager
async def opened(page: Path, size: tuple[int, int] = DESK, fragment: str = "") -> AsyncIterator[Page]:
    async with browser() as running:
        tab = await tab_of(running, size)
        await tab.open(page, fragment)
        await first_view_ms(tab)
        await tab.evaluate(SETTLED)
        yield tab
        assert (tab.requests, tab.complaints) == ([], [])


async def tab_of(running: Browser, size: tuple[int, int]) -> Page:
    tab = await running.page()
    await tab.window(*size, phone=size == PHONE)
    return tab


async def scrolled(tab: Page) -> None:
    """Through the whole page, so that every figure that can be seen has been."""
    height = await tab.evaluate("document.documentElement.scrollHeight")
    for place in range(0, height, 600):
        await tab.evaluate(f"scrollTo(0, {place}); {SETTLED}")


async def test_figures_are_drawn_when_they_come_into_view(tmp_path: Path) -> None:
    async with opened(plain(tmp_path)) as tab:
        first = await tab.evaluate(DRAWN)
        await scrolled(tab)
        shown = await tab.evaluate(
            "[...document.querySelectorAll('.plot')].filter(plot => plot.checkVisibility()).length"
        )
        assert 0 < first < shown
        assert await tab.evaluate(DRAWN) == shown
        marks = "document.querySelectorAll('[data-figure=timeline] path').length"
        assert await tab.evaluate(marks) > 5  # five incidents, a deployment, a known change


async def test_many_models_and_incidents_are_no_large_page(tmp_path: Path) -> None:
    events = [event for number in range(50) for event in month(f"model-{number:02}", incidents=4)]
    page = made(tmp_path, events)
    assert page.stat().st_size <= 10 * MIB
    async with opened(page) as tab:
        assert await tab.evaluate("document.querySelectorAll('details.incident').length") == 200
        assert await tab.evaluate("document.querySelectorAll('[data-figure=calendar] path').length") >= 200


async def test_on_a_phone_nothing_is_wider_than_the_window(tmp_path: Path) -> None:
    for page in (plain(tmp_path / "plain"), made(tmp_path / "hostile", hostile_events())):
        async with opened(page, PHONE) as tab:
            await tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
            await scrolled(tab)
            assert await tab.evaluate("document.scrollingElement.scrollWidth") == PHONE[0]
            plots = "[...document.querySelectorAll('.plot svg')].map(each => each.clientWidth)"
            assert max(await tab.evaluate(plots)) < PHONE[0]


async def test_hostile_names_stay_names(tmp_path: Path) -> None:
    async with opened(made(tmp_path, hostile_events())) as tab:
        await tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        await scrolled(tab)
        assert await tab.evaluate("typeof hacked") == "undefined"
        assert await tab.evaluate("document.querySelectorAll('img, iframe, object, link').length") == 0
        await tab.evaluate("setTimeout('hacked = 1', 0)")
        tab.complaints[:] = [said for said in tab.complaints if "Content Security Policy" not in said]
        assert await tab.evaluate("typeof hacked") == "undefined"  # no script but those of the page runs, whoever asks


async def test_the_page_can_be_used_with_the_keyboard_alone(tmp_path: Path) -> None:
    async with opened(plain(tmp_path)) as tab:
        await tab.press("Tab")
        assert await tab.evaluate("document.activeElement.className") == "skip"
        assert await tab.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
        reached = set()
        for _ in range(60):
            await tab.press("Tab")
            reached.add(await tab.evaluate("document.activeElement.closest('details, nav, .wide, p')?.className ?? ''"))
        assert {"numbers", "wide", "model", "incident", "search"} <= reached
        await tab.evaluate("document.querySelector('.incident summary').focus()")
        await tab.press("Enter")
        assert await tab.evaluate("document.querySelector('.incident').open")


async def test_numbers_stand_behind_each_figure_as_a_table(tmp_path: Path) -> None:
    async with opened(plain(tmp_path)) as tab:
        await tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        await tab.evaluate(SETTLED)
        tables = "[...document.querySelectorAll('details.numbers')].map(each => each.querySelectorAll('td').length)"
        cells = await tab.evaluate(tables)
        assert len(cells) >= 8
        assert min(cells) > 0


async def test_a_link_opens_what_it_leads_to(tmp_path: Path) -> None:
    async with opened(plain(tmp_path), fragment="i-churn-1") as tab:
        shown = "document.getElementById('{}').closest('details').open"
        assert await tab.evaluate(shown.format("i-churn-1"))
        assert not await tab.evaluate(shown.format("i-churn-2"))
        await tab.evaluate("document.querySelector('a[href=\"#i-churn-2\"]').click()")
        await tab.evaluate(SETTLED)
        assert await tab.evaluate(shown.format("i-churn-2"))
        assert await tab.evaluate("document.activeElement.id") == "i-churn-2"


async def test_a_click_on_an_incident_in_the_timeline_opens_its_evidence(tmp_path: Path) -> None:
    async with opened(plain(tmp_path)) as tab:
        await tab.evaluate("document.getElementById('timeline').scrollIntoView()")
        await tab.evaluate(SETTLED)
        place = await tab.evaluate(
            "(() => { const bars = [...document.querySelectorAll('[data-figure=timeline] path')];"
            " const bar = bars.find(each => each.getAttribute('fill-opacity') === '0.8');"
            " const at = bar.getBoundingClientRect(); return [at.x + 1, at.y + 1]; })()"
        )
        where = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await tab.call("Input.dispatchMouseEvent", type=kind, **where)
        await tab.evaluate(SETTLED)
        assert (await tab.evaluate("location.hash")).startswith("#i-")
        assert await tab.evaluate("document.querySelectorAll('details.incident[open]').length") == 1


async def test_the_search_leaves_those_that_hold_the_word(tmp_path: Path) -> None:
    async with opened(plain(tmp_path)) as tab:
        await tab.evaluate("document.getElementById('wanted').focus()")
        await tab.call("Input.insertText", text="ETA")
        assert await tab.evaluate("document.querySelectorAll('.incident:not([hidden])').length") == 2
        assert await tab.evaluate("document.getElementById('count').textContent") == "2 of 5"


async def test_colours_follow_what_the_reader_prefers(tmp_path: Path) -> None:
    async with opened(plain(tmp_path)) as tab:
        paper = "getComputedStyle(document.body).backgroundColor"
        lines = "document.querySelector('[data-figure=budget] svg').outerHTML"
        light, drawn = await tab.evaluate(paper), await tab.evaluate(lines)
        await tab.prefers(color_scheme="dark")
        await tab.evaluate(SETTLED)
        assert (light, await tab.evaluate(paper)) == ("rgb(255, 255, 255)", "rgb(15, 20, 25)")
        assert await tab.evaluate(lines) != drawn


async def test_on_paper_it_is_light_whatever_the_screen_and_figures_fit(tmp_path: Path) -> None:
    async with browser() as running:
        tab = await tab_of(running, DESK)
        await tab.prefers(color_scheme="dark")
        await tab.open(plain(tmp_path))
        await first_view_ms(tab)
        await tab.evaluate(
            "addEventListener('beforeprint', () => {"
            " window.widths = [...document.querySelectorAll('.plot svg')].map(each => each.getAttribute('width'));"
            " window.light = getComputedStyle(document.querySelector('h1')).color; })"
        )
        printed = await tab.pdf()
        assert printed.startswith(b"%PDF")
        widths = [float(width) for width in await tab.evaluate("widths")]
        assert len(widths) > 10
        assert max(widths) <= 680
        assert await tab.evaluate("light") == "rgb(27, 31, 36)"
        assert await tab.evaluate("document.querySelectorAll('details.incident[open]').length") == 0  # as it was
        assert (tab.requests, tab.complaints) == ([], [])


async def test_without_scripts_there_are_words_and_tables(tmp_path: Path) -> None:
    async with browser() as running:
        tab = await tab_of(running, DESK)
        await tab.call("Emulation.setScriptExecutionDisabled", value=True)
        await tab.open(plain(tmp_path))
        shown = await tab.screenshot()
        assert shown.startswith(b"\x89PNG")
        assert len(zlib.compress(shown)) > 10_000  # something stands on it
        await tab.call("Emulation.setScriptExecutionDisabled", value=False)
        assert "You would have been paged 10 times in 30 days." in await tab.evaluate("document.body.innerText")
        assert tab.requests == []


@pytest.mark.parametrize("days", [0.01, 2, 400])
async def test_short_and_long_times_have_a_calendar(tmp_path: Path, days: float) -> None:
    events = [window(START), window(at(days))]
    async with opened(made(tmp_path, [*events, *month("churn", incidents=1)] if days > 30 else events)) as tab:
        assert await tab.evaluate("Boolean(document.querySelector('[data-figure=calendar] svg'))")
