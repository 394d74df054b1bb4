"""A release is a version, a page of the changelog and a commit, or nothing at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from release import CHANGELOG, GALAXY, INIT, ReleaseError, parts, release

pytestmark = pytest.mark.slow  # git, several times a test

BEFORE = (
    "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n"
    "## [0.1.0] - 2026-11-23\n\n- Old.\n"
)
AFTER = (
    "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- A thing.\n\n"
    "## [0.1.0] - 2026-11-23\n\n- Old.\n"
)


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "t")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "t@example.org")
    (tmp_path / "app").mkdir()
    (tmp_path / INIT).write_text('"""It."""\n\n__version__ = "0.1.0"\n')
    (tmp_path / GALAXY).write_text("name: fleet\nversion: 0.1.0\nreadme: README.md\n")
    (tmp_path / CHANGELOG).write_text(BEFORE)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_a_release_is_one_commit(root: Path) -> None:
    release(root, "0.2.0", "2026-12-01")
    assert (root / CHANGELOG).read_text() == AFTER
    assert '__version__ = "0.2.0"' in (root / INIT).read_text()
    assert (root / GALAXY).read_text() == "name: fleet\nversion: 0.2.0\nreadme: README.md\n"
    assert git(root, "log", "-1", "--format=%s") == "Release 0.2.0\n"
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9"])
def test_an_older_version_changes_nothing(root: Path, version: str) -> None:
    with pytest.raises(ReleaseError, match=r"is not after 0\.1\.0"):
        release(root, version, "2026-12-01")
    assert git(root, "status", "--porcelain") == ""


def test_nothing_to_release_changes_nothing(root: Path) -> None:
    release(root, "0.2.0", "2026-12-01")
    with pytest.raises(ReleaseError, match="nothing is unreleased"):
        release(root, "0.3.0", "2026-12-02")
    assert git(root, "status", "--porcelain") == ""


def test_changes_in_the_tree_are_not_swept_along(root: Path) -> None:
    (root / INIT).write_text("mine")
    with pytest.raises(ReleaseError, match="the tree has changes"):
        release(root, "0.2.0", "2026-12-01")
    assert (root / INIT).read_text() == "mine"


@pytest.mark.parametrize(
    "version", ["1", "v0.2.0", "0.2", "0.2.0rc1", "0.2.0\n", "\u0660.\u0662.\u0660"]
)
def test_a_version_is_three_numbers(version: str) -> None:
    with pytest.raises(ReleaseError, match="three numbers"):
        parts(version)
