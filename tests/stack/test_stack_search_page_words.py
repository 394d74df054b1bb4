"""The page's modules by themselves: what is marked, what a link says, and whose answer counts."""

from typing import Any

import pytest
from playwright.sync_api import Page


def marks(page: Page, text: str, question: str) -> dict[str, str]:
    """Each piece of a text that is marked, with how."""
    pieces: list[Any] = page.evaluate(
        "async ([text, question]) => (await import('/page/words.js')).marked(text, question)",
        [text, question],
    )
    assert "".join(piece["text"] for piece in pieces) == text
    return {piece["text"]: piece["shared"] for piece in pieces if piece["shared"]}


@pytest.mark.parametrize(
    ("text", "question", "found"),
    [
        ("Vaccines and the Flu", "is the flu worse?", {"Flu": "same"}),
        ("Do vaccines work", "do vaccnies wrok", {"vaccines": "alike"}),
        ("a word about code", "work codes", {"code": "alike"}),
        ("Model X1000", "model x2000", {"Model": "same"}),
        ("ﬁle of the CAFÉ", "file cafe\u0301", {"ﬁle": "same", "CAFÉ": "same"}),
        ("Be or do", "to be or not to be", {"Be": "same", "or": "same"}),
        ("東京の天気", "東京", {"東京": "same"}),
        ("nothing here", "", {}),
        ("", "anything", {}),
        ("<b>bold</b> & bold", "bold", {"bold": "same"}),
    ],
)  # fmt: skip
def test_words_that_a_text_shares_are_marked(page: Page, text, question, found):
    assert marks(page, text, question) == found


def test_long_texts_are_marked_in_no_time(page: Page):
    """As long as both may be, of words that are all different and much alike."""
    question = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}s" for n in range(570))
    text = " ".join(
        f"words{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{'s' * 9}" for n in range(20_000)
    )
    milliseconds = page.evaluate(
        """async ([text, question]) => {
            const { marked } = await import('/page/words.js');
            const begun = performance.now();
            marked(text, question);
            return performance.now() - begun;
        }""",
        [text, question],
    )
    assert milliseconds < 5000  # 16 s where each word was compared with each


@pytest.mark.parametrize(
    ("given", "link"),
    [
        ({"question": "", "k": 10, "filter": {}}, ""),
        ({"question": "a&b=c#d?", "k": 7, "filter": {}}, "#q=a%26b%3Dc%23d%3F&k=7"),
        ({"question": "😀 +1%", "k": 10, "filter": {"year": {"gte": 1}, "set": ["a"]}}, None),
    ],
)  # fmt: skip
def test_a_link_says_all_and_is_read_again(page: Page, given, link):
    said, read = page.evaluate(
        """async (state) => {
            const { toHash, fromHash } = await import('/page/state.js');
            return [toHash(state), fromHash(toHash(state))];
        }""",
        given,
    )
    assert read == given
    assert link in (None, said)


@pytest.mark.parametrize(
    "said", ["#q=a&k=0&filter=null", "#q=a&k=101&filter={", "#q=a&k=x&filter=1", "q=a&filter=[1]"]
)
def test_what_a_link_says_wrongly_has_its_default(page: Page, said):
    read = page.evaluate(f"import('/page/state.js').then((state) => state.fromHash('{said}'))")
    assert read == {"question": "a", "k": 10, "filter": {}}


def test_an_older_answer_never_comes_after_a_newer(page: Page):
    """Even where its work cannot be ended, and where it fails late."""
    heard = page.evaluate(
        """async () => {
            const { Latest } = await import('/page/latest.js');
            const latest = new Latest();
            const heard = [], ended = [];
            const pause = (ms) => new Promise((ready) => setTimeout(ready, ms));
            const ask = (name, ms, fails) => latest.run(0, async (signal) => {
                signal.addEventListener('abort', () => ended.push(name));
                await pause(ms);
                if (fails) throw new Error(name);
                return name;
            }, (answer) => heard.push(answer), (error) => heard.push(error.message));
            ask('slow', 150);
            await pause(20);
            ask('fails', 100, true);
            await pause(20);
            latest.run(60, async () => 'never', (answer) => heard.push(answer));
            await pause(20);
            ask('new', 10);
            await pause(250);
            ask('stopped', 50);
            await pause(20);
            latest.stop();
            await pause(100);
            ask('last', 10, true);
            await pause(60);
            return { heard, ended };
        }"""
    )
    assert heard == {"heard": ["new", "last"], "ended": ["slow", "fails", "new", "stopped"]}
