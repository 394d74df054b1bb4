"""The search page in a browser, on the stack: what a person types, sees, copies and passes on."""

import json
import re
import subprocess
from typing import Any

import pytest
from browser import opened
from playwright.sync_api import Browser, Page, expect
from stack_processes import URL, Stack, ask

QUESTION = "how do vacines work against the flu?"


def answer(question: str, **more: Any) -> Any:
    body = json.dumps({"queries": [question], "k": 10, **more}).encode()
    return ask("/v1/search", body).json


def write(page: Page, question: str) -> None:
    """Ask and wait for what is answered."""
    page.fill("#question", question)
    settled(page)


def settled(page: Page) -> None:
    """Wait until nothing is asked any more."""
    expect(page.locator("body[aria-busy]")).to_have_count(0)


def texts(page: Page) -> list[str]:
    return page.locator("#results .text").all_text_contents()


def test_what_is_typed_is_asked_and_shown(page: Page):
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request) if request.method == "POST" else None)
    page.locator("#question").press_sequentially(QUESTION, delay=15)
    expect(page.locator("#status")).to_have_text("10 results")
    right = answer(QUESTION)
    settled(page)
    assert texts(page) == [result["text"] for result in right["queries"][0]["results"]]
    assert len(asked) < len(QUESTION) / 2, "a key pressed is not a question"
    assert asked[-1].post_data_json == {"queries": [QUESTION], "k": 10}
    first = page.locator("#results li").first
    result = right["queries"][0]["results"][0]
    expect(first.locator(".answer")).to_have_text(
        result["answer"] or "No answer is stored with it."
    )
    expect(first.locator(".facts")).to_contain_text(f"score {result['score']:.3f}")
    expect(first.locator(".facts")).to_contain_text(f"id {result['id']}")
    expect(page.locator("#facts")).to_contain_text(right["generation"])
    shards = ", ".join(map(str, right["queries"][0]["shards_asked"]))
    expect(page.locator("#facts dd").nth(1)).to_have_text(shards)
    expect(page.locator("#facts")).to_contain_text(re.compile(r"Round trip[\d.]+ ms"))
    expect(page.locator("#facts")).to_contain_text("built without labels")


def test_a_link_reproduces_the_question_and_no_log_has_it(
    page: Page, browser: Browser, stack: Stack
):
    write(page, "zyzzyva's & 50% café 東京?")
    page.select_option("#k", "5")
    expect(page.locator("#results li")).to_have_count(5)
    link = page.evaluate("document.getElementById('link').href")
    assert link == page.url
    with opened(browser) as other:
        other.goto(link)
        expect(other.locator("#results li")).to_have_count(5)
        expect(other.locator("#question")).to_have_value("zyzzyva's & 50% café 東京?")
        assert texts(other) == texts(page)
        assert other.locator("#curl").text_content() == page.locator("#curl").text_content()
    logs = [path.read_text(errors="replace") for path in (stack.directory / "log").glob("*.log")]
    assert any('"uri":"/page/main.js"' in log for log in logs)
    assert not any("zyzzyva" in log for log in logs)


def test_an_address_that_changes_is_followed(page: Page):
    write(page, QUESTION)
    page.evaluate("location.hash = '#q=who+wrote+hamlet&k=20&filter=[]'")
    expect(page.locator("#results li")).to_have_count(20)
    expect(page.locator("#question")).to_have_value("who wrote hamlet")
    expect(page.locator("#k")).to_have_value("20")


@pytest.mark.parametrize("clipboard", [True, False], ids=["https", "plain http"])
@pytest.mark.parametrize(
    "question",
    ["it's 'quoted' \"twice\"", "$(reboot) `id` \\n !! $HOME", "-d @/etc/passwd\\'; ls #"],
)
def test_the_curl_that_is_copied_asks_the_same(page: Page, question: str, clipboard: bool):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    if not clipboard:
        page.evaluate(
            "window.kept = navigator.clipboard;"
            "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
        )
    write(page, question)
    page.click("[data-copies=curl]")
    expect(page.locator("#copied")).to_have_text("Copied")
    command = page.evaluate("(window.kept ?? navigator.clipboard).readText()")
    assert command == page.locator("#curl").text_content()
    done = subprocess.run(["sh", "-c", f"{command} --silent"], capture_output=True, text=True)
    found = json.loads(done.stdout)["queries"][0]["results"]
    assert [result["text"] for result in found] == texts(page)
    page.click("[data-copies=link]")
    copied = page.evaluate("(window.kept ?? navigator.clipboard).readText()")
    assert copied == page.url


def test_the_keyboard_is_enough(page: Page):
    page.keyboard.type("who wrote hamlet")  # the question has the focus from the beginning
    page.keyboard.press("Enter")
    expect(page.locator("#results li")).to_have_count(10)
    focused = "[...document.querySelectorAll('#results li')].indexOf(document.activeElement)"
    for key, place in [
        ("ArrowDown", 0),
        ("ArrowDown", 1),
        ("ArrowUp", 0),
        ("ArrowUp", -1),
        ("ArrowUp", -1),
        ("ArrowDown", 0),
        ("Escape", -1),
    ]:
        page.keyboard.press(key)
        assert page.evaluate(focused) == place, key
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#question")).to_have_value("")
    expect(page.locator("#results li")).to_have_count(0)
    expect(page.locator("#hint")).to_be_visible()
    assert page.url == f"{URL}/"
    page.locator("#k").focus()
    page.keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("/")
    expect(page.locator("#question")).to_have_value("/")


def test_filters_that_the_generation_has_are_offered_and_hold(page: Page):
    (field,) = ask("/v1/filters").json["fields"]
    chosen = [value["value"] for value in field["values"][1:3]]
    write(page, QUESTION)
    expect(page.locator("#filters legend")).to_have_text(["set"])
    expect(page.locator("#filters label")).to_have_count(len(field["values"]))
    for value in chosen:
        page.get_by_label(value, exact=False).first.check()
    page.wait_for_timeout(300)
    settled(page)
    right = answer(QUESTION, filter={"set": chosen})["queries"][0]["results"]
    assert {result["metadata"]["set"] for result in right} <= set(chosen)
    assert texts(page) == [result["text"] for result in right]
    page.reload()
    expect(page.locator("#results li")).to_have_count(10)
    assert texts(page) == [result["text"] for result in right]
