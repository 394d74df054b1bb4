"""The search page with answers that are not the usual one: said in words, and never as HTML."""

import json

import pytest
from page_answers import FIELDS, answering, filterable, found, problem, result
from playwright.sync_api import Page, expect
from stack_processes import URL

EVIL = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


def test_a_document_is_never_html(page: Page):
    title = page.title()
    metadata = {EVIL: EVIL, "list": [EVIL], "__proto__": EVIL}
    evil = result(EVIL, id=EVIL, answer=EVIL, metadata=metadata, matched="answer")
    filterable(page, {**FIELDS[0], "name": EVIL, "values": [{"value": EVIL, "documents": 1}]})
    answering(page, (200, {**found([evil]), "generation": EVIL}))
    page.fill("#question", "img script document title " + EVIL)
    expect(page.locator("#results .text")).to_have_text(EVIL)
    expect(page.locator("#results .answer")).to_have_text(EVIL)
    expect(page.locator("#results .facts")).to_contain_text(f"{EVIL} {EVIL}")
    expect(page.locator("#facts dd").first).to_have_text(EVIL)
    expect(page.locator("#filters legend")).to_have_text(EVIL)
    assert page.locator("main img, main script, aside img, #filters img").count() == 0
    assert page.title() == title


def test_an_error_is_never_html(page: Page):
    answering(page, problem(400, "bad_query", EVIL))
    page.fill("#question", "x")
    expect(page.locator("#notice")).to_contain_text("<img")
    assert page.locator("#notice img").count() == 0


@pytest.mark.parametrize(
    ("results", "changes", "status"),
    [
        ([result()], {"confidence": 0.876}, "1 result"),
        ([result()] * 3, {"match": None, "confidence": 0.1}, "Nothing fits well. The 3 nearest:"),
        ([], {}, "The index has nothing for this"),
        ([], {"partial": True, "shards_missing": [2]}, "No results: parts of the index"),
    ],
    ids=["sure", "not sure", "none", "none because parts are missing"],
)
def test_how_much_was_found_is_said(page: Page, results, changes, status):
    answering(page, (200, found(results, **changes)))
    page.fill("#question", "how do vaccines work")
    expect(page.locator("#status")).to_contain_text(status)
    expect(page.locator("#results li")).to_have_count(len(results))
    if results:
        sure = "88 % sure" if changes["confidence"] > 0.5 else "10 % sure"
        expect(page.locator("#results .sure")).to_have_text([sure])
        expect(page.locator("#facts")).to_contain_text(f"{changes['confidence']:.3f}")


def test_what_was_found_by_its_answer_says_so_and_marks_it(page: Page):
    both = [result(matched="answer"), result(matched="question", answer=None, lexical=None)]
    answering(page, (200, found(both)))
    page.fill("#question", "who can teach me")
    facts = page.locator("#results .facts")
    expect(facts.first).to_contain_text("found by its answer")
    expect(facts.last).not_to_contain_text("found by its answer")
    expect(facts.last).not_to_contain_text("words")
    expect(page.locator("#results .answer mark")).to_have_text(["teach"])
    expect(page.locator("#results .answer").last).to_have_text("No answer is stored with it.")


def test_a_partial_answer_says_which_part_is_missing(page: Page):
    missing = {"partial": True, "shards_missing": [2]}
    answering(page, (200, found([result()], **missing)), (200, found([result()])))
    page.fill("#question", "a")
    expect(page.locator("#notice")).to_contain_text("A part of the index did not answer (shard 2)")
    expect(page.locator("#facts")).to_contain_text("Missing2")
    page.fill("#question", "b")
    expect(page.locator("#notice")).to_be_empty()


def test_a_field_may_have_the_name_of_what_every_object_has(page: Page):
    filterable(page, {"name": "constructor", "type": "number", "values": [], "min": 1, "max": 2})
    page.reload()
    expect(page.locator("#filters legend")).to_have_text(["constructor"])
    expect(page.get_by_label("from")).to_have_value("")


def test_filters_are_offered_asked_and_linked(page: Page):
    filterable(page, *FIELDS)
    asked = answering(page, (200, found([result()])), (200, found([])))
    page.reload()
    page.fill("#question", "vaccines")
    expect(page.locator("#status")).to_have_text("1 result")
    page.get_by_label("BoolQ").check()
    page.get_by_label("<i>odd</i>").check()
    page.get_by_label("from").fill("2001.5")
    expect(page.locator("#filters summary")).to_have_text("Filters (2)")
    page.get_by_label("true").check()
    expect(page.locator("#status")).to_have_text("No document passes these filters")
    wanted = {"set": ["BoolQ", "<i>odd</i>"], "year": {"gte": 2001.5}, "checked": True}
    page.wait_for_timeout(300)
    assert json.loads(asked[-1].post_data or "")["filter"] == wanted
    page.get_by_label("<i>odd</i>").uncheck()
    page.get_by_label("from").fill("")
    page.get_by_label("to").fill("2020")
    page.wait_for_timeout(300)
    wanted = {"checked": True, "set": "BoolQ", "year": {"lte": 2020}}
    assert json.loads(asked[-1].post_data or "")["filter"] == wanted
    assert '"filter":{' in (page.locator("#curl").text_content() or "")
    page.goto("about:blank")
    page.goto(f"{URL}/#q=a&filter=" + json.dumps({**wanted, "set": ["BoolQ", "rare"]}))
    expect(page.get_by_label("BoolQ")).to_be_checked()
    expect(page.get_by_label("rare")).to_be_checked()  # by a link, not among the commonest
    expect(page.get_by_label("to")).to_have_value("2020")
    page.click("text=Clear all filters")
    expect(page.get_by_label("BoolQ")).not_to_be_checked()
    expect(page.get_by_label("rare")).to_have_count(0)
    expect(page.locator("#filters summary")).to_have_text("Filters")
    expect(page).to_have_url(f"{URL}/#q=a")
    page.wait_for_timeout(300)
    assert "filter" not in json.loads(asked[-1].post_data or "")


@pytest.mark.parametrize("status", [404, 200, 500], ids=["no route", "no fields", "an error"])
def test_without_fields_no_filters_are_shown(page: Page, status: int):
    asked: list[str] = []
    body = json.dumps({"generation": "20260101T000000Z-00000000", "fields": []})
    page.route(
        "**/v1/filters",
        lambda route: (asked.append(route.request.url), route.fulfill(status=status, body=body)),
    )
    answering(page, (200, found([result()])))
    for question in ("a", "b", "c"):
        page.fill("#question", question)
        expect(page.locator("#link")).to_have_attribute("href", f"#q={question}")
        expect(page.locator("#status")).to_have_text("1 result")
        page.wait_for_timeout(300)
    expect(page.locator("#filters")).to_be_hidden()
    assert len(asked) == 1, "it is asked once for each generation"
