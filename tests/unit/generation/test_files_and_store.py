"""Checksums, unfinished directories and the links that say what is served."""

import hashlib
from pathlib import Path

import pytest

from app.errors import GenerationError, ModelError
from app.generation.files import FileInfo, check, describe, sealing, sha256_of, sync_tree
from app.generation.store import linked, served


def test_every_file_is_described_by_its_relative_path(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "two").write_bytes(b"22")
    (tmp_path / "a").write_bytes(b"")
    assert describe(tmp_path) == {
        "a": FileInfo(0, hashlib.sha256(b"").hexdigest()),
        "b/c/two": FileInfo(2, hashlib.sha256(b"22").hexdigest()),
    }


def test_a_large_file_has_the_sha256_of_all_of_it(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 * 3 + b"tail"
    (tmp_path / "large").write_bytes(data)
    assert sha256_of(tmp_path / "large") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"other", "does not match its sha256 in the manifest: do this"),
        (b"four", "has 4 bytes, the manifest says 5: do this"),
        (None, "is missing: do this"),
    ],
)
@pytest.mark.parametrize("error", [GenerationError, ModelError])
def test_the_error_names_file_and_remedy(
    tmp_path: Path, content: bytes | None, message: str, error: type[GenerationError]
) -> None:
    expected = FileInfo(5, hashlib.sha256(b"right").hexdigest())
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(error, match=message) as caught:
        check(tmp_path, "file", expected, error, "do this")
    assert str(caught.value).startswith(str(tmp_path / "file"))


def test_a_directory_in_a_files_place_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(GenerationError, match="is missing"):
        check(tmp_path, "file", FileInfo(0, ""), GenerationError, "do this")


def test_a_name_that_no_file_can_have_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="cannot be read: File name too long: do this"):
        check(tmp_path, "x" * 300, FileInfo(0, ""), GenerationError, "do this")


class Interrupted(BaseException):
    """As Ctrl-C is: no Exception."""


def test_an_unfinished_directory_goes_with_its_block(tmp_path: Path) -> None:
    def fail() -> None:
        with sealing(tmp_path / "out") as unfinished:
            (unfinished / "file").write_text("half")
            raise Interrupted

    with pytest.raises(Interrupted):
        fail()
    assert list((tmp_path / "out").iterdir()) == []


def test_what_was_renamed_away_stays(tmp_path: Path) -> None:
    with sealing(tmp_path) as unfinished:
        (unfinished / "file").write_text("whole")
        sync_tree(unfinished)
        unfinished.rename(tmp_path / "sealed")
    assert [path.name for path in tmp_path.iterdir()] == ["sealed"]
    assert (tmp_path / "sealed" / "file").read_text() == "whole"


@pytest.fixture
def links(tmp_path: Path) -> Path:
    for name in ("links", "one", "two"):
        (tmp_path / name).mkdir()
    return tmp_path / "links"


def test_the_links_say_what_is_served(links: Path, tmp_path: Path) -> None:
    (links / "current").symlink_to(tmp_path / "two")
    assert served(links) == {"current": tmp_path / "two"}
    (links / "previous").symlink_to(tmp_path / "one")
    assert served(links) == {"current": tmp_path / "two", "previous": tmp_path / "one"}


def test_the_same_generation_twice_is_served_once(links: Path, tmp_path: Path) -> None:
    for name in ("current", "previous"):
        (links / name).symlink_to(tmp_path / "one")
    assert served(links) == {"current": tmp_path / "one"}


def test_without_current_nothing_is_served(links: Path, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"links/current does not exist: run update_index"):
        served(links)
    (links / "previous").symlink_to(tmp_path / "one")
    with pytest.raises(GenerationError, match="current does not exist"):
        served(links)


def test_a_directory_is_no_link(links: Path) -> None:
    (links / "current").mkdir()
    assert linked(links, "current") is None


def test_a_current_that_leads_nowhere_is_named(links: Path, tmp_path: Path) -> None:
    (links / "current").symlink_to(tmp_path / "gone")
    with pytest.raises(GenerationError, match=r"links/current points to .*/gone, which does not"):
        served(links)


def test_a_previous_that_leads_nowhere_never_stops_the_current(
    links: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (links / "current").symlink_to(tmp_path / "one")
    (links / "previous").symlink_to(tmp_path / "gone")
    assert served(links) == {"current": tmp_path / "one"}
    assert "links/previous points to" in caplog.text
