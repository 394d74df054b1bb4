"""How the report of a build looks: light and dark, on a desktop, a phone and paper, from a file.

axe must find nothing wrong, with everything opened too, and nothing may be wider than the screen.
The pictures are kept in var/screenshots, for people to look at.
"""

import pytest
from browser import SIZES, inaccessible, opened, photograph
from playwright.sync_api import Browser
from stack_processes import Stack

from index_builder.report.figures import PAGE


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_everybody_can_read_it(stack: Stack, browser: Browser, size: str, scheme: str):
    with opened(browser, size, color_scheme=scheme) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((stack.generation / PAGE).as_uri())
        photograph(page, f"report-{size}-{scheme}")
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
