"""One stack for all tests: real model, real questions, every service a process on loopback."""

from collections.abc import Iterator

import pytest
from browser import chromium, opened
from playwright.sync_api import Browser, Page
from stack_processes import URL, Stack, build, make_corpus


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack; whatever happens, its processes end."""
    directory = tmp_path_factory.mktemp("stack")
    corpus = make_corpus(directory / "corpus.jsonl")
    stack = Stack(directory, build(corpus, directory / "generations"))
    try:
        stack.succeed()
        yield stack
    finally:
        stack.succeed("-e", "stack_state=absent")


@pytest.fixture(autouse=True)
def _left_healthy(stack: Stack) -> Iterator[None]:
    """Every test finds a healthy stack and has to leave one."""
    yield
    stack.wait_healthy(30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each opens pages with profiles of their own."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """The search page as it is first seen, on a desktop."""
    with opened(browser) as page:
        page.goto(URL)
        yield page
