"""The documents of a shard: what was written is read, by many threads, and damage is an error."""

import os
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import damaged, fails_only_with

from app.errors import GenerationError
from app.generation import documents
from app.generation.documents import BLOCK, Documents, write
from app.generation.rows import Row, everything, ordinals, record_of, row_of


def rows(count: int) -> list[Row]:
    return [
        Row(
            ordinal=n * 3,
            id=f"id-{n}",
            text=f'text {n} né \x00 🙂 ","score":',
            answer=None if n % 2 else "yes",
            metadata=msgspec.Raw(b'{"a":[1,"\xc3\xa9"]}' if n % 3 else b"null"),
        )
        for n in range(count)
    ]


def stored(directory: Path, count: int) -> Documents:
    write(directory / "d.bin", rows(count))
    return Documents(directory / "d.bin")


def test_documents_come_back_as_they_were(tmp_path: Path) -> None:
    store = stored(tmp_path, 10)
    assert store.count == 10
    assert [row_of(record) for record in store.fetch([7, 2, 7])] == [
        rows(10)[7], rows(10)[2], rows(10)[7],
    ]  # fmt: skip
    assert store.fetch([]) == []


def test_a_record_is_the_documents_part_of_an_answer(tmp_path: Path) -> None:
    [record] = stored(tmp_path, 3).fetch([1])
    assert (
        record
        == (
            '{"ordinal":3,"id":"id-1","text":"text 1 né \\u0000 🙂 \\",\\"score\\":","answer":null,'
            '"metadata":{"a":[1,"é"]},"score":'
        ).encode()
    )
    assert msgspec.json.decode(record + b"0.5}")["score"] == 0.5


@pytest.mark.parametrize(
    "count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK, 3 * BLOCK + 1, 400]
)
def test_as_many_as_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(documents, "BATCH", 3)
    store = stored(tmp_path, count)
    assert store.count == count
    assert all(a == b for a, b in zip(everything(store), rows(count), strict=True))


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, iter(rows(500)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_ordinals_are_those_of_the_rows_in_that_order(tmp_path: Path) -> None:
    wanted = np.arange(200)[::-1]
    assert (ordinals(stored(tmp_path, 200), wanted) == wanted * 3).all()


def test_one_document_more_changes_little_of_the_tables(tmp_path: Path) -> None:
    """So that rsync sends little."""
    write(tmp_path / "a", rows(3000))
    write(tmp_path / "b", [Row(9, "new", "new", None, msgspec.Raw(b"null")), *rows(3000)[1:]])
    tables = [
        data[int.from_bytes(data[16:24], "little") :]
        for data in ((tmp_path / name).read_bytes() for name in "ab")
    ]
    pairs = zip(*tables, strict=True)
    assert sum(a != b for a, b in pairs) < 0.06 * len(tables[0])


def test_many_threads_read_at_the_same_time(tmp_path: Path) -> None:
    store, wrong = stored(tmp_path, 200), []
    records = [record_of(row) for row in rows(200)]

    def read(start: int) -> None:
        wrong.extend(n for n in range(start, 200) if store.fetch([n]) != [records[n]])

    threads = [threading.Thread(target=read, args=(190 + n % 4,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("content", [None, b"", b"not a store, but long enough " * 40])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "d.bin").write_bytes(content)
    with pytest.raises(GenerationError, match=r"d\.bin"):
        Documents(tmp_path / "d.bin")


@given(data=st.data(), count=st.sampled_from([1, 3, BLOCK, 150]))
@pytest.mark.slow
def test_a_damaged_file_is_an_error_with_a_name_or_reads_as_documents(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    """Nothing else, whatever the bytes: no crash, no memory, no record that was not written."""
    path = tmp_path_factory.mktemp("any") / "d.bin"
    write(path, rows(count))
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    with fails_only_with(GenerationError, "d.bin"):
        records = (store := Documents(path)).fetch(range(store.count))
        assert set(records) <= {record_of(row) for row in rows(count)}


@pytest.mark.parametrize("place", [0, 1, 5, BLOCK, BLOCK + 1, 2 * BLOCK + 2])
def test_damaged_tables_are_never_believed(tmp_path: Path, place: int) -> None:
    store = stored(tmp_path, 2 * BLOCK + 1)
    data = bytearray((tmp_path / "d.bin").read_bytes())
    data[store._table + 4 * place] ^= 255
    (tmp_path / "d.bin").write_bytes(data)
    with pytest.raises(GenerationError, match=r"d\.bin is damaged"):
        Documents(tmp_path / "d.bin").fetch(range(store.count))


def test_a_file_that_is_cut_while_it_is_served_is_an_error_until_it_is_whole(
    tmp_path: Path,
) -> None:
    """And not the end of the process, which a mapped file would be."""
    store, path = stored(tmp_path, 3000), tmp_path / "d.bin"
    whole, content = store.fetch(range(3000)), path.read_bytes()
    for size in (0, 4096, len(content) - 1):
        os.truncate(path, size)
        with pytest.raises(GenerationError, match=r"d\.bin cannot be read: it ends too early"):
            store.fetch([2999])
    with path.open("r+b") as same:
        same.write(content)
    assert store.fetch(range(3000)) == whole


@pytest.mark.parametrize("lost", [bytes(4096), b"\0" * 23 + b"x"])
def test_bytes_that_were_lost_while_it_is_served_are_an_error(tmp_path: Path, lost: bytes) -> None:
    store, path = stored(tmp_path, 300), tmp_path / "d.bin"
    with path.open("r+b") as same:
        same.write(lost + b"x")
    with pytest.raises(GenerationError, match=r"d\.bin is damaged at document 0"):
        store.fetch([0])


def test_a_store_that_is_removed_or_replaced_is_read_to_the_end_as_it_was(tmp_path: Path) -> None:
    store, path = stored(tmp_path, 3000), tmp_path / "d.bin"
    path.unlink()
    write(path, rows(1))
    assert list(everything(store)) == rows(3000)


def test_files_are_closed_with_their_stores(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        stored(tmp_path, 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_row_that_is_not_there_is_damage(tmp_path: Path) -> None:
    store = stored(tmp_path, 3)
    for row in (3, -1):
        with pytest.raises(GenerationError, match=f"no document {row}"):
            store.fetch([2, row])
