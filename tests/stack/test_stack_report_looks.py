"""How pages look that are opened from a file: light and dark, on a desktop, a phone and paper.

axe must find nothing wrong, with everything opened too, and nothing may be wider than the screen.
The pictures are kept in var/screenshots, for people to look at.
"""

from pathlib import Path

import pytest
from browser import SIZES, inaccessible, opened, photograph
from playwright.sync_api import Browser, expect
from sample_pages import fleet_page, preview_page
from stack_processes import Stack

from index_builder.report.figures import PAGE


@pytest.fixture
def pages(stack: Stack, tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "fleet").mkdir()
    return {
        "report": stack.generation / PAGE,
        "preview": preview_page(tmp_path / "previews"),
        "fleet": fleet_page(tmp_path / "fleet"),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["report", "preview", "fleet"])
def test_everybody_can_read_it(
    pages: dict[str, Path], browser: Browser, kind: str, size: str, scheme: str
):
    with opened(browser, size, color_scheme=scheme) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(pages[kind].as_uri())
        photograph(page, f"{kind}-{size}-{scheme}")
        assert inaccessible(page) == []
        for part in page.locator("summary").all():
            part.click()
        assert inaccessible(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        assert len(asked) == 1, "the page needs nothing but itself"
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) > 3 * 128) == (scheme == "light")


def test_it_prints_dark_on_white(stack: Stack, browser: Browser):
    with opened(browser, color_scheme="dark") as page:
        page.goto((stack.generation / PAGE).as_uri())
        page.emulate_media(media="print", color_scheme="dark")
        style = "getComputedStyle(document.body)"
        colours = page.evaluate(f"[{style}.color, {style}.backgroundColor]")
        ink, paper = (sum(map(int, one[4:-1].split(","))) for one in colours)
        assert ink < 3 * 100 < 3 * 200 < paper


def test_questions_of_a_preview_are_found(pages: dict[str, Path], browser: Browser):
    with opened(browser) as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(pages["preview"].as_uri())
        page.get_by_label("Find in these questions").fill("LOST answer")
        expect(page.get_by_role("status")).to_have_text("1 of 32 shown")
        expect(page.locator("article:visible h3")).to_have_text("lost")
        assert said == [], "the page's own policy lets its script run"
