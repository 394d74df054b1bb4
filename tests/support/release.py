"""``make release VERSION=…``: the version, its page of the changelog, a commit (RELEASE.md)."""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHANGELOG, INIT, GALAXY = "CHANGELOG.md", "app/__init__.py", "galaxy.yml"
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)", re.ASCII)
UNRELEASED = "## [Unreleased]\n"


class ReleaseError(Exception):
    """Why there is no release, and what to do."""


def parts(version: str) -> tuple[int, ...]:
    """The three numbers of a version; raises ReleaseError."""
    found = VERSION.fullmatch(version)
    if found is None:
        raise ReleaseError(f"{version!r} is no version: use three numbers, as in 0.2.0")
    return tuple(map(int, found.groups()))


def with_page(changelog: str, version: str, day: str) -> str:
    """The changelog whose unreleased entries are this version's; raises ReleaseError."""
    before, found, after = changelog.partition(UNRELEASED)
    page = after.partition("\n## [")[0]
    if not found:
        raise ReleaseError(f"{CHANGELOG} has no line {UNRELEASED.strip()!r}")
    if not re.search(r"^- ", page, re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG}: nothing is unreleased, so there is nothing to release")
    return f"{before}{UNRELEASED}\n## [{version}] - {day}\n{after}"


def with_version(name: str, source: str, version: str) -> str:
    """A file's source with this version; raises ReleaseError where it is not a later one."""
    found = re.search(r'^(__version__ = "|version: )([^"\n]+)', source, re.MULTILINE)
    if found is None:
        raise ReleaseError(f"{name} names no version")
    if parts(version) <= parts(found[2]):
        raise ReleaseError(f"{version} is not after {found[2]}, the version of {name}")
    return source.replace(found[0], f"{found[1]}{version}")


def release(root: Path, version: str, day: str) -> None:
    """Write the files and commit them; nothing is written where something is refused."""

    def git(*arguments: str) -> str:
        done = subprocess.run(  # no shell, and no input of others
            ["git", *arguments],  # the one that the user has
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ReleaseError(f"git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    if git("status", "--porcelain"):
        raise ReleaseError("the tree has changes: commit them first, or put them away")
    made = {
        root / CHANGELOG: with_page((root / CHANGELOG).read_text("utf-8"), version, day),
        **{
            root / name: with_version(name, (root / name).read_text("utf-8"), version)
            for name in (INIT, GALAXY)
        },
    }
    for path, text in made.items():
        path.write_text(text, "utf-8")
    git("commit", "--quiet", "--message", f"Release {version}", CHANGELOG, INIT, GALAXY)


def main() -> int:
    """Run the command; 1 where it is refused."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[2].strip())
    parser.add_argument("version")
    version = parser.parse_args().version
    try:
        parts(version)
        release(ROOT, version, datetime.datetime.now(datetime.UTC).date().isoformat())
    except ReleaseError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    sys.stdout.write(
        f"committed. Read it (git show), then:\n"
        f'    git tag --annotate v{version} --message "askfleet {version}"\n'
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
