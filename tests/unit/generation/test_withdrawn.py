"""The list of withdrawn documents: two become one in any order, and nothing damaged is believed."""

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.generation import withdrawn
from app.generation.withdrawn import NOTHING, Entry, Withdrawn, fault, parse, read

NOW, LATER = "2026-11-26T12:00:00Z", "2026-11-26T13:00:00Z"
ENTRIES = st.builds(
    Entry,
    st.sampled_from("abc"),
    st.integers(1, 4),
    st.sampled_from([NOW, LATER]),
    st.sampled_from(["root@one", "root@two"]),
)
LISTS = st.lists(ENTRIES, max_size=4).map(lambda some: Withdrawn({one.id: one for one in some}))


@given(LISTS, LISTS, LISTS)
def test_lists_merge_in_any_order_to_the_same(a: Withdrawn, b: Withdrawn, c: Withdrawn) -> None:
    merged = {x.merged(y).merged(z).digest for x, y, z in permutations((a, b, c))}
    assert len(merged) == 1
    assert a.merged(a) is a
    assert a.merged(a.merged(b)) in (a, a.merged(b))
    assert NOTHING.merged(a) is (a if a.entries else NOTHING)
    assert parse(a.content) == a


def test_a_document_is_withdrawn_brought_back_and_withdrawn_again() -> None:
    first = NOTHING.changed(["a", "b"], NOW, "root@one")
    assert first.ids == {"a", "b"}
    assert first.changed(["a"], LATER, "root@two") is first, "it is withdrawn already"
    back = first.changed(["a"], LATER, "root@two", undo=True)
    assert back.ids == {"b"}
    assert back.entries["a"] == Entry("a", 2, LATER, "root@two")
    assert back.changed(["a", "c"], LATER, "root@two", undo=True) is back
    assert first.merged(back).ids == back.merged(first).ids == {"b"}, (
        "who is behind changes nothing"
    )
    again = back.changed(["a"], LATER, "root@one")
    assert again.merged(first).merged(back).ids == {"a", "b"}


def test_what_two_withdraw_apart_stays_withdrawn() -> None:
    one, two = (NOTHING.changed(["a"], NOW, by) for by in ("root@one", "root@two"))
    assert one.merged(two).ids == {"a"}
    behind = two.changed(["a"], LATER, "root@two", undo=True)
    ahead = one.changed(["a"], NOW, "x", undo=True).changed(["a"], NOW, "x")
    assert ahead.merged(behind).ids == {"a"}


def test_the_digest_names_the_content() -> None:
    assert NOTHING.digest == ""
    one = NOTHING.changed(["a"], NOW, "root@one")
    assert one.digest
    assert one.digest != one.changed(["a"], NOW, "root@one", undo=True).digest


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_a_byte_that_flips_is_seen(place: int) -> None:
    content = bytearray(NOTHING.changed(["a", "né", 'x",y'], NOW, "root@one").content)
    content[place % len(content)] ^= 1
    with pytest.raises(ValueError, match=r"."):
        parse(bytes(content))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]\n", b"\xff\n", NOTHING.changed(["a", "b"], NOW, "x").content[:-40]],
)
def test_what_is_no_list_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(content)


def test_a_file_that_is_not_there_withdraws_nothing(tmp_path: Path) -> None:
    path = tmp_path / "withdrawn.jsonl"
    assert read(path) is NOTHING
    path.write_bytes(NOTHING.changed(["a"], NOW, "x").content[:-3])
    with pytest.raises(ValueError, match=r"withdrawn\.jsonl is damaged.*withdraw\.yml"):
        read(path)


@pytest.mark.parametrize("name", ["a", "né", "a,b", 'x"y', "a b", "x" * 512])
def test_an_id_is_what_a_corpus_may_have(name: str) -> None:
    assert fault(name) == ""


@pytest.mark.parametrize("name", ["", " a", "a\n", "a\tb", "\x00", "x" * 513, "\u2028", 7, None])
def test_another_id_is_refused_by_saying_what_is_allowed(name: object) -> None:
    assert "512 printable characters" in fault(name)


def test_a_list_says_when_it_is_too_long_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    long = NOTHING.changed([f"{number:0400}" for number in range(3000)], NOW, "x")
    assert not long.excess
    monkeypatch.setattr(withdrawn, "MAX_LIST", 1)
    assert "with its 3,000 ids; it may take 1 MiB" in long.excess
    assert parse(long.content) == long, "what is there already is read"
