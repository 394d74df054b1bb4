"""Take the README's picture of the search page: ``python tests/support/screenshots.py URL``."""

import io
import sys
from pathlib import Path
from urllib.parse import urlencode

from browser import chromium
from PIL import Image
from playwright.sync_api import expect

PICTURE = Path(__file__).parents[2] / "docs/search-page.png"
QUESTION = "are zip codes and postal codes the same thing?"
WIDTH, HEIGHT, SCALE = 1120, 690, 1.5
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
        page.goto(f"{sys.argv[1].rstrip('/')}/#{urlencode({'q': QUESTION})}")
        expect(page.locator("#results li")).to_have_count(10)
        page.locator("#results li").first.focus()
        page.locator("#results li").first.blur()
        shot = Image.open(io.BytesIO(page.screenshot()))
    shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")  # noqa: T201  # a command


if __name__ == "__main__":
    main()
