"""The documents of a shard: what was written is read, by many threads, and never changed."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from app.errors import GenerationError
from app.generation.documents import BATCH, CONNECTIONS, Documents, Row, write, write_over


def rows(count: int) -> list[Row]:
    return [
        Row(n, n * 3, f"id-{n}", f"text {n} né \x00 🙂", None if n % 2 else "yes", None)
        for n in range(count)
    ]


def test_documents_come_back_as_they_were(tmp_path: Path) -> None:
    write(tmp_path / "d.sqlite", rows(10))
    store = Documents(tmp_path / "d.sqlite")
    assert store.count == 10
    assert store.fetch([7, 2, 7]) == {7: rows(10)[7], 2: rows(10)[2]}
    assert store.fetch([]) == {}


def test_more_than_one_statements_worth(tmp_path: Path) -> None:
    count = 2 * BATCH + 1
    write(tmp_path / "d.sqlite", rows(count))
    assert Documents(tmp_path / "d.sqlite").fetch(range(count)) == dict(enumerate(rows(count)))


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, rows(500))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_ordinals_are_those_of_the_rows_in_that_order(tmp_path: Path) -> None:
    write(tmp_path / "d.sqlite", rows(2 * BATCH))
    wanted = np.arange(2 * BATCH)[::-1]
    assert (Documents(tmp_path / "d.sqlite").ordinals(wanted) == wanted * 3).all()


@pytest.mark.parametrize("count", [1, 2990, 3000, 3100])
def test_a_store_over_another_holds_its_own_rows_and_keeps_the_pages_of_the_others(
    tmp_path: Path, count: int
) -> None:
    base, path = tmp_path / "base", tmp_path / "d.sqlite"
    write(base, rows(3000))
    untouched = base.read_bytes()
    wanted = rows(count)
    if count > 1000:
        wanted[1000] = wanted[1000]._replace(id="other", text="longer than it was " * 9)
    write_over(path, base, wanted)
    store = Documents(path)
    assert store.fetch(range(store.count)) == dict(enumerate(wanted))
    assert base.read_bytes() == untouched
    assert (b"id-1000" in path.read_bytes()) is False
    if count > 1000:
        pages = [
            {data[at : at + 4096] for at in range(0, len(data), 4096)}
            for data in (untouched, path.read_bytes())
        ]
        assert len(pages[1] - pages[0]) <= 10, f"of {len(pages[0])} pages"


def test_the_same_rows_over_the_same_store_are_its_bytes(tmp_path: Path) -> None:
    write(tmp_path / "base", rows(500))
    write_over(tmp_path / "d.sqlite", tmp_path / "base", rows(500))
    assert (tmp_path / "d.sqlite").read_bytes() == (tmp_path / "base").read_bytes()


def test_names_that_a_uri_would_misread(tmp_path: Path) -> None:
    directory = tmp_path / "a?b#c%20d"
    directory.mkdir()
    write(directory / "d.sqlite", rows(2))
    assert Documents(directory / "d.sqlite").count == 2


def test_many_threads_read_at_the_same_time(tmp_path: Path) -> None:
    write(tmp_path / "d.sqlite", rows(200))
    store, wrong = Documents(tmp_path / "d.sqlite"), []

    def read(start: int) -> None:
        wrong.extend(n for n in range(start, 200) if store.fetch([n])[n] != rows(200)[n])

    threads = [threading.Thread(target=read, args=(190 + n % 4,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_is_written_beside_or_into_it(tmp_path: Path) -> None:
    write(tmp_path / "d.sqlite", rows(3))
    before = (tmp_path / "d.sqlite").read_bytes()
    store = Documents(tmp_path / "d.sqlite")
    store.fetch([1])
    with (
        pytest.raises(sqlite3.OperationalError, match="readonly"),
        store._connection() as connection,
    ):
        connection.execute("DELETE FROM documents")
    assert (tmp_path / "d.sqlite").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["d.sqlite"]


@pytest.mark.parametrize("content", [None, b"", b"not a database, but long enough " * 40])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "d.sqlite").write_bytes(content)
    with pytest.raises(GenerationError, match=r"d\.sqlite is not a document store"):
        Documents(tmp_path / "d.sqlite")


def test_a_damaged_page_is_an_error_with_a_name(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    write(path, rows(3000))
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = bytes(len(data) - 4096 * 2)
    path.write_bytes(bytes(data))
    with pytest.raises(GenerationError, match=r"d\.sqlite"):
        Documents(path).fetch(range(0, 3000, 7))


def test_a_store_that_is_removed_or_replaced_is_read_to_the_end_as_it_was(tmp_path: Path) -> None:
    """By threads that had not read of it before, too."""
    path = tmp_path / "d.sqlite"
    write(path, rows(3000))
    store = Documents(path)
    path.unlink()
    write(path, rows(1))
    with ThreadPoolExecutor(3 * CONNECTIONS) as pool:
        found = list(pool.map(lambda n: store.fetch([n])[n], range(3000)))
    assert found == rows(3000)


def test_a_row_that_is_not_there_is_damage(tmp_path: Path) -> None:
    write(tmp_path / "d.sqlite", rows(3))
    store = Documents(tmp_path / "d.sqlite")
    with pytest.raises(GenerationError, match="only 1 of 2"):
        store.fetch([2, 3])
    with pytest.raises(GenerationError, match="no document 3"):
        store.ordinals(np.array([2, 3]))
