"""Take the README's picture of the search page: ``python tests/support/screenshots.py URL``."""

import io
import re
import sys
from pathlib import Path
from urllib.parse import urlencode

from browser import chromium
from PIL import Image
from playwright.sync_api import expect

PICTURE = Path(__file__).parents[2] / "docs/search-page.png"
QUESTION = "are zip codes and postal codes the same thing?"
# Asked before, so that the times in the picture are of a fleet that is awake.
OTHERS = ("who wrote hamlet", "how do vaccines work", "is the sky blue", "can dogs eat cheese")
WIDTH, HEIGHT, SCALE = 1120, 900, 1.5
# Enough for text on flat colours, at a third of the bytes.
COLOURS = 128


def main() -> None:
    """Ask the fleet at the URL and write what a browser shows."""
    with chromium() as browser:
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            device_scale_factor=SCALE,
            color_scheme="light",
            reduced_motion="reduce",
        )
        # Not from the fleet's memory, however often the picture is taken.
        page.route(
            "**/v1/search", lambda route: route.continue_(url=f"{route.request.url}?cache=0")
        )
        page.goto(sys.argv[1])
        for question in (*OTHERS, QUESTION):
            page.fill("#question", question)
            expect(page).to_have_url(re.compile(re.escape(urlencode({"q": question})) + "$"))
            expect(page.locator("body[aria-busy]")).to_have_count(0)
        page.locator("#question").blur()
        shot = Image.open(io.BytesIO(page.screenshot()))
    shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")  # noqa: T201  # a command


if __name__ == "__main__":
    main()
