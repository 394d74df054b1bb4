"""The search page of a real edge, in a browser; and no log has the question."""

import pytest
import requests
from browser import chromium, opened, photograph
from lab_plays import URL
from lab_privacy import expect_kept_nowhere
from playwright.sync_api import expect

QUESTION = "what is the Quetzalcoatlus in one word"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_question_is_answered_as_the_fleet_answers_it(scheme):
    body = {"queries": [QUESTION], "k": 10}
    right = requests.post(f"{URL}/v1/search", json=body, timeout=10).json()
    with chromium() as browser, opened(browser, color_scheme=scheme) as page:
        page.goto(f"{URL}/")
        page.fill("#question", QUESTION)
        expect(page.locator("#status")).to_have_text("10 results")
        shown = page.locator("#results .text").all_text_contents()
        photograph(page, f"lab-{scheme}")
    assert shown == [one["text"] for one in right["queries"][0]["results"]]


def test_no_host_keeps_the_question():
    """Not in a log, nor in the journal: a question is in the body, and in the link behind the #."""
    assert requests.get(f"{URL}/", timeout=10).headers["content-security-policy"]
    for path in ("/v1/search", "/v1/wrong", "/process"):  # answered, unknown, refused
        requests.get(f"{URL}{path}", params={"q": QUESTION}, timeout=10)
    expect_kept_nowhere(QUESTION.split()[3])
