"""Debian's Chromium, headless, driven by Playwright; no other browser is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

SIZES = {"desktop": (1280, 800), "phone": (360, 740)}
SCREENSHOTS = Path(__file__).parents[2] / "var/screenshots"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser."""
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("chromium is not installed; run: make packages")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, size: str = "desktop", **settings: Any) -> Iterator[Page]:
    """A page in a profile of its own, of one of ``SIZES``; fails where a script failed."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, **settings)
    context.set_default_timeout(10_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    # Of what the policy forbids a browser only tells the console.
    page.on(
        "console",
        lambda line: faults.append(line.text) if "Content Security" in line.text else None,
    )
    try:
        yield page
    finally:
        context.close()
    assert faults == []


def inaccessible(page: Page) -> list[str]:
    """What axe finds wrong, a line each."""
    found = Axe().run(page).response
    assert found["passes"] or found["incomplete"] or found["violations"], "axe has checked nothing"
    return [
        f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]
    ]


def photograph(page: Page, name: str) -> Path:
    """Keep what is seen, for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path)
    return path
