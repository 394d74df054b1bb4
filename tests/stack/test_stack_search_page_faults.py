"""The search page where the fleet does not answer: what it says, and that it asks again."""

import pytest
from page_answers import answering, found, problem, result
from playwright.sync_api import Page, expect
from stack_processes import URL

GOOD = (200, found([result()]))


@pytest.mark.parametrize(
    ("told", "words", "button"),
    [
        (problem(429, "overloaded", Retry_After="1"), "Too many questions", "Ask again"),
        (problem(503, "shards_unavailable", Retry_After="1"), "cannot answer right", "Ask again"),
        (problem(502, "starting", Retry_After="1"), "starting, or being restarted", "Ask again"),
        (problem(504, "deadline", Retry_After="1"), "took too long", "Ask again"),
        (problem(500, "internal_error"), "Something broke", "Ask again"),
        (problem(400, "too_long", "a question has more"), "A question has more.", None),
        ((502, "<html>Bad Gateway</html>"), "starting, or being restarted", "Ask again"),
        ((200, "<html>Welcome to the hotel</html>"), "starting, or being restarted", "Ask again"),
        ((200, {"hotel": "Welcome"}), "starting, or being restarted", "Ask again"),
        ((200, {"queries": []}), "starting, or being restarted", "Ask again"),
    ],
    ids=["429", "503", "502", "504", "500", "400", "not ours", "a portal", "odd", "nothing"],
)  # fmt: skip
def test_a_fault_is_said_in_words(page: Page, told, words, button):
    answering(page, GOOD, told)
    page.fill("#question", "a")
    expect(page.locator("#results li")).to_have_count(1)
    page.fill("#question", "b")
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text(words)
    expect(page.locator("#results li")).to_have_count(0)  # those were of another question
    expect(page.locator("#facts")).to_be_hidden()
    expect(page.locator("body")).not_to_have_attribute("aria-busy", "true")
    expect(notice.get_by_role("button")).to_have_text([button] if button else [])
    if len(told) > 2 and button:
        expect(notice).to_contain_text("Request r-4711")


def test_what_passes_is_asked_again_by_itself(page: Page):
    asked = answering(page, problem(429, "overloaded", Retry_After="2"), GOOD)
    page.fill("#question", "a")
    expect(page.locator("#notice")).to_contain_text("asked again in 2 seconds")
    assert len(asked) == 1
    expect(page.locator("#status")).to_have_text("1 result")
    expect(page.locator("#notice")).to_be_empty()
    assert len(asked) == 2


def test_who_types_on_is_not_kept_waiting(page: Page):
    asked = answering(page, problem(503, "encoder_unavailable", Retry_After="60"), GOOD)
    page.fill("#question", "a")
    expect(page.locator("#notice")).to_contain_text("asked again in 60 seconds")
    page.fill("#question", "ab")
    expect(page.locator("#status")).to_have_text("1 result")
    assert len(asked) == 2


def test_who_is_told_to_wait_for_ages_does_not_ask_at_once(page: Page):
    """A timer of more than 24 days would begin at once."""
    asked = answering(page, problem(503, "encoder_unavailable", Retry_After="99999999"), GOOD)
    page.fill("#question", "a")
    expect(page.locator("#notice")).to_contain_text("asked again in 86400 seconds")
    page.wait_for_timeout(300)
    assert len(asked) == 1


def test_a_fleet_that_stays_away_is_left_alone_in_the_end(page: Page):
    page.clock.install()
    asked = answering(page, problem(503, "encoder_unavailable", Retry_After="1"))
    page.fill("#question", "a")
    for _ in range(12):
        page.clock.run_for(20_000)
        page.wait_for_timeout(50)
    assert len(asked) == 6
    expect(page.locator("#notice")).not_to_contain_text("asked again")
    page.click("text=Ask again")
    page.clock.run_for(10)
    page.wait_for_timeout(50)
    assert len(asked) == 7


def test_a_connection_that_is_gone_and_comes_back(page: Page):
    page.context.set_offline(True)
    page.fill("#question", "how do vaccines work")
    expect(page.locator("#notice")).to_contain_text("You are offline")
    page.context.set_offline(False)
    expect(page.locator("#results li")).to_have_count(10)
    expect(page.locator("#notice")).to_be_empty()


def test_a_server_that_is_gone_is_asked_again(page: Page):
    page.route("**/v1/search", lambda route: route.abort("connectionrefused"))
    page.fill("#question", "how do vaccines work")
    expect(page.locator("#notice")).to_contain_text("The fleet cannot be reached")
    page.unroute("**/v1/search")
    expect(page.locator("#results li")).to_have_count(10)


def test_a_key_is_asked_for_sent_and_kept_in_the_tab_alone(page: Page):
    def judged(request):
        key = request.headers.get("x-api-key")
        if key == "right":
            return GOOD
        return problem(403, "unknown_key") if key else problem(401, "missing_key")

    answering(page, judged)
    page.fill("#question", "vaccines")
    expect(page.locator("#notice")).to_contain_text("wants an API key")
    expect(page.locator("#curl")).not_to_contain_text("X-API-Key")
    page.fill("#key-text", "wrong")
    page.click("text=Use it")
    expect(page.locator("#notice")).to_contain_text("not known")
    page.fill("#key-text", " right ")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("1 result")
    expect(page.locator("#key")).to_be_hidden()
    expect(page.locator("#curl")).to_contain_text('-H "X-API-Key: $KEY"')
    assert "right" not in page.content()
    kept = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert kept == [0, 1, ""]
    page.reload()
    expect(page.locator("#status")).to_have_text("1 result")
    page.click("text=Forget the API key")
    expect(page.locator("#notice")).to_contain_text("wants an API key")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_browser_that_keeps_nothing_keeps_the_key_in_the_page(page: Page):
    page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('blocked'); }})"
    )

    def judged(request):
        return GOOD if request.headers.get("x-api-key") == "right" else problem(401, "missing_key")

    answering(page, judged)
    page.reload()
    page.fill("#question", "vaccines")
    page.fill("#key-text", "right")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("1 result")
    page.click("text=Forget the API key")
    expect(page.locator("#notice")).to_contain_text("wants an API key")


def test_a_key_that_is_refused_can_be_forgotten(page: Page):
    """There is no answer then, and none of its facts."""
    answering(page, problem(403, "unknown_key"))
    page.fill("#question", "vaccines")
    page.fill("#key-text", "wrong")
    page.keyboard.press("Enter")
    page.click("text=Forget the API key")
    assert page.evaluate("sessionStorage.length") == 0


def test_filters_that_a_link_brought_can_be_left_out(page: Page):
    page.goto("about:blank")
    bad = problem(400, "bad_filter", "filter.colour: no such field")
    asked = answering(page, bad, GOOD)
    page.goto(f'{URL}/#q=a&filter={{"colour":"red"}}')
    expect(page.locator("#notice")).to_contain_text("Filter.colour: no such field.")
    page.click("text=Ask without filters")
    expect(page.locator("#status")).to_have_text("1 result")
    assert asked[-1].post_data_json == {"queries": ["a"], "k": 10}
