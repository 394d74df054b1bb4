"""What a process knows of withdrawn documents follows its file, and never goes back by a fault."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import GenerationError
from app.generation.withdrawn import NAME, NOTHING, Withdrawn
from app.service.withdrawn import Known, Watch

NOW = "2026-11-26T12:00:00Z"
ONE = NOTHING.changed(["a"], NOW, "root@one")
BACK = ONE.changed(["a"], NOW, "root@one", undo=True)


def put(root: Path, content: bytes) -> None:
    """As the play does: a new file, renamed over the old one."""
    new = root / "new"
    new.write_bytes(content)
    new.replace(root / NAME)


def eventually(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_without_a_file_nothing_is_withdrawn(tmp_path: Path) -> None:
    known = Known(tmp_path / "gateway")
    assert known.ids == frozenset()
    assert known.describe() == {"documents": 0, "digest": ""}


def test_the_file_is_followed_and_applied_before_it_is_told(tmp_path: Path) -> None:
    applied: list[tuple[frozenset[str], Withdrawn]] = []
    known = Known(tmp_path / "shard", lambda ids: applied.append((ids, known.list)))
    watch = Watch(known)
    put(tmp_path, ONE.content)
    eventually(lambda: known.ids == {"a"})
    assert applied == [({"a"}, NOTHING)]
    assert known.describe() == {"documents": 1, "digest": ONE.digest}
    put(tmp_path, BACK.content)
    eventually(lambda: not known.ids)
    assert applied[-1] == (frozenset(), ONE)
    watch.stop()


@pytest.mark.parametrize("content", [b"", b"damaged", ONE.content[:-2], None])
def test_a_file_that_is_damaged_or_gone_brings_nothing_back(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, ONE.content)
    known = Known(tmp_path / "gateway")
    if content is None:
        (tmp_path / NAME).unlink()
    else:
        put(tmp_path, content)
    known.refresh()
    known.refresh()
    assert known.ids == {"a"}
    assert sum("what was known" in line for line in caplog.messages) == (content is not None)
    put(tmp_path, BACK.content)
    known.refresh()
    assert known.ids == frozenset()


def test_a_file_that_cannot_be_read_for_a_moment_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known = Known(tmp_path / "gateway")
    put(tmp_path, ONE.content)

    def fails(_: Path) -> bytes:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as moment:
        moment.setattr(Path, "read_bytes", fails)
        known.refresh()
        known.refresh()
    assert sum("Too many open files" in line for line in caplog.messages) == 1
    known.refresh()
    assert known.ids == {"a"}


def test_an_older_file_brings_nothing_back(tmp_path: Path) -> None:
    again = BACK.changed(["a"], NOW, "root@one")
    put(tmp_path, again.content)
    known = Known(tmp_path / "gateway")
    put(tmp_path, BACK.content)
    known.refresh()
    known.hear(BACK)
    assert known.ids == {"a"}
    assert known.list.digest == again.digest


def test_nobody_starts_without_knowing(tmp_path: Path) -> None:
    put(tmp_path, ONE.content[:-2])
    with pytest.raises(GenerationError, match=r"damaged.*withdraw\.yml"):
        Known(tmp_path / "gateway")


def test_what_cannot_be_applied_is_not_told_and_tried_again(tmp_path: Path) -> None:
    broken = True

    def apply(ids: frozenset[str]) -> None:
        if ids and broken:
            raise GenerationError("a record is damaged")

    known = Known(tmp_path / "shard", apply)
    put(tmp_path, ONE.content)
    with pytest.raises(GenerationError):
        known.refresh()
    assert known.list is NOTHING
    broken = False
    known.refresh()
    assert known.list.digest == ONE.digest


def test_whether_all_agree_is_of_one_list(tmp_path: Path) -> None:
    """Each change is another object: that is all that requests compare."""
    known = Known(tmp_path / "gateway")
    assert known.now.agreed, "an empty list is older than no other"
    known.hear(ONE)
    told, before = known.list, known.now
    assert not before.agreed
    known.agree(NOTHING, agreed=True)
    known.agree(told, agreed=False)
    assert known.now is before
    known.agree(told, agreed=True)
    agreed = known.now
    assert agreed.agreed
    known.agree(told, agreed=True)
    assert known.now is agreed
    known.agree(told, agreed=True, anew=True)
    assert known.now is not agreed
    known.hear(BACK)
    known.agree(told, agreed=True)
    assert not known.now.agreed
