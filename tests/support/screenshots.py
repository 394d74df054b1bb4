"""Take the README's pictures of the search page and of the fleet page.

``python tests/support/screenshots.py URL FLEET_PAGE``
"""

import io
import re
import sys
from pathlib import Path
from urllib.parse import urlencode

from browser import chromium
from PIL import Image
from playwright.sync_api import Browser, Page, expect

DOCS = Path(__file__).parents[2] / "docs"
QUESTION = "are zip codes and postal codes the same thing?"
# Asked before, so that the times in the picture are of a fleet that is awake.
OTHERS = ("who wrote hamlet", "how do vaccines work", "is the sky blue", "can dogs eat cheese")
WIDTH, HEIGHT, SCALE = 1120, 900, 1.5
FLEET_WIDTH, FLEET_HEIGHT = 1240, 1000
# Enough for text on flat colours, at a third of the bytes.
COLOURS = 128


def main() -> None:
    """Ask the fleet at the URL, open its page, and write what a browser shows."""
    url, fleet = sys.argv[1:]
    with chromium() as browser:
        keep(search(new_page(browser, WIDTH, HEIGHT), url), "search-page.png")
        page = new_page(browser, FLEET_WIDTH, FLEET_HEIGHT)
        page.goto(Path(fleet).resolve().as_uri())
        keep(page.screenshot(), "fleet-page.png")


def new_page(browser: Browser, width: int, height: int) -> Page:
    """A light page of this size, without motion."""
    return browser.new_page(
        viewport={"width": width, "height": height},
        device_scale_factor=SCALE,
        color_scheme="light",
        reduced_motion="reduce",
    )


def search(page: Page, url: str) -> bytes:
    """The search page with an answer."""
    # Not from the fleet's memory, however often the picture is taken.
    page.route("**/v1/search", lambda route: route.continue_(url=f"{route.request.url}?cache=0"))
    page.goto(url)
    for question in (*OTHERS, QUESTION):
        page.fill("#question", question)
        expect(page).to_have_url(re.compile(re.escape(urlencode({"q": question})) + "$"))
        expect(page.locator("body[aria-busy]")).to_have_count(0)
    page.locator("#question").blur()
    return page.screenshot()


def keep(picture: bytes, name: str) -> None:
    """Write a picture with fewer colours."""
    path = DOCS / name
    shot = Image.open(io.BytesIO(picture)).convert("RGB")
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")  # noqa: T201  # a command


if __name__ == "__main__":
    main()
