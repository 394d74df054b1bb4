"""The search page of a real edge, in a browser; and no log has the question."""

import re
from pathlib import Path

import pytest
import requests
from browser import chromium, inaccessible, opened, photograph
from lab_hosts import ENCODERS, HOSTS
from lab_plays import URL, play
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_fleet_is_on_one_page(scheme):
    served = requests.get(f"{URL}/v1/search?q=a", timeout=10).json()["generation"]
    made = play("fleet_page.yml").succeeded()
    (path,) = re.findall(r"open (\S+/fleet\.html)", " ".join(made.output.split()))
    with chromium() as browser, opened(browser, color_scheme=scheme) as page:
        page.goto(Path(path).as_uri())
        services = page.get_by_role("region", name="Services").locator("tbody tr")
        assert services.count() == sum(len(units) for _, units in HOSTS.values())
        assert services.filter(has_text=served).count() == services.count() - len(ENCODERS)
        expect(
            page.get_by_text("Nothing among the services: each has what the inventory gives")
        ).to_be_visible()
        expect(page.get_by_role("region", name="Last changes")).to_contain_text("update to")
        assert page.locator("#services td").filter(has_text="MB").count() == services.count()
        assert inaccessible(page) == []
        photograph(page, f"lab-fleet-{scheme}")


def test_no_host_keeps_the_question():
    """Not in a log, nor in the journal: a question is in the body, and in the link behind the #."""
    assert requests.get(f"{URL}/", timeout=10).headers["content-security-policy"]
    for path in ("/v1/search", "/v1/wrong", "/process"):  # answered, unknown, refused
        requests.get(f"{URL}{path}", params={"q": QUESTION}, timeout=10)
    expect_kept_nowhere(QUESTION.split()[3])
