"""How the search page looks: every state, light and dark, on a desktop and a phone.

axe must find nothing wrong, and nothing may be wider than the screen. The pictures are kept in
var/screenshots, for people to look at.
"""

import pytest
from browser import SIZES, inaccessible, opened, photograph
from page_answers import FIELDS, answering, filterable, found, problem, result
from playwright.sync_api import Browser, Page, expect
from stack_processes import URL

LONG = "a" * 200
ODD = result(
    LONG, answer=f"{LONG}\n{LONG}", metadata={LONG: LONG, "url": "https://x.example/" + LONG}
)


def empty(page: Page) -> None:
    expect(page.locator("#hint")).to_be_visible()


def results(page: Page) -> None:
    page.fill("#question", "how do vacines work against the flu?")
    expect(page.locator("#results li")).to_have_count(10)


def filtered(page: Page) -> None:
    filterable(page, *FIELDS)
    answering(page, (200, found([result(matched="answer"), ODD], confidence=0.87)))
    page.goto("about:blank")
    page.goto(f'{URL}/#q=vaccines work {LONG}&filter={{"set":"BoolQ"}}')
    expect(page.locator("#results li")).to_have_count(2)
    expect(page.locator("#filters")).to_be_visible()
    for part in page.locator("details:not([open]) summary").all()[::-1]:
        part.click()


def nothing_fits(page: Page) -> None:
    bad = {"match": None, "confidence": 0.08, "partial": True, "shards_missing": [1, 2]}
    answering(page, (200, found([result(), result("what is a vaccine", answer=None)], **bad)))
    page.fill("#question", "how high is the moon")
    expect(page.locator("#results li")).to_have_count(2)


def nothing_found(page: Page) -> None:
    answering(page, (200, found([])))
    page.fill("#question", "x")
    expect(page.locator("#status")).to_contain_text("has nothing")


def fault(page: Page) -> None:
    answering(page, problem(503, "shards_unavailable", Retry_After="50"))
    page.fill("#question", "x")
    expect(page.locator("#notice button")).to_be_visible()


def question_refused(page: Page) -> None:
    answering(page, problem(400, "too_long", "a question has at most 2,000 characters"))
    page.fill("#question", LONG)
    expect(page.locator("#notice")).to_contain_text("2,000")


def key_wanted(page: Page) -> None:
    answering(page, problem(401, "missing_key"))
    page.fill("#question", "x")
    expect(page.locator("#key")).to_be_visible()


STATES = [
    empty,
    results,
    filtered,
    nothing_fits,
    nothing_found,
    fault,
    question_refused,
    key_wanted,
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_everybody_can_use_it(browser: Browser, state, size: str, scheme: str):
    with opened(browser, size, color_scheme=scheme, reduced_motion="reduce") as page:
        page.goto(URL)
        state(page)
        expect(page.locator("body[aria-busy]")).to_have_count(0)
        photograph(page, f"{state.__name__}-{size}-{scheme}")
        assert inaccessible(page) == []
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) > 3 * 128) == (scheme == "light")
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]


def test_axe_would_see_a_fault(page: Page):
    page.evaluate("document.getElementById('question').labels[0].remove()")
    page.evaluate("document.getElementById('question').removeAttribute('placeholder')")
    assert any(line.startswith("label:") for line in inaccessible(page))


def test_a_screen_reader_hears_how_many(page: Page):
    results(page)
    heard = page.get_by_role("status").filter(has_text="10 results")
    expect(heard).to_have_count(1)
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.get_by_role("list").get_by_role("listitem")).to_have_count(10)
    expect(page.get_by_role("search").get_by_label("Your question")).to_be_visible()
