"""Files of a sealed directory: sizes, checksums, and the atomic step from unfinished to sealed."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.errors import AskfleetError

CHUNK = 1 << 20


class FileInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size in bytes and sha256 (hex) of one file."""

    size: int
    sha256: str


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def describe(directory: Path) -> dict[str, FileInfo]:
    """Size and checksum of every file below ``directory``, by relative path, sorted."""
    return {
        str(path.relative_to(directory)): FileInfo(path.stat().st_size, sha256_of(path))
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def check(
    directory: Path, name: str, expected: FileInfo, error: type[AskfleetError], remedy: str
) -> None:
    """Check one file against its entry; raises ``error`` naming the file and the remedy."""
    check_size(directory, name, expected, "the manifest", error, remedy)
    path = directory / name
    try:
        digest = sha256_of(path)
    except OSError as fault:
        raise error(f"{path} cannot be read: {fault.strerror}: {remedy}") from fault
    if digest != expected.sha256:
        raise error(f"{path} does not match its sha256 in the manifest: {remedy}")


def check_size(
    directory: Path,
    name: str,
    expected: FileInfo,
    listed_in: str,
    error: type[AskfleetError],
    remedy: str,
) -> None:
    """Check that a file is there in its size; raises ``error`` naming it and the remedy."""
    path = directory / name
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as fault:
        raise error(f"{path} cannot be read: {fault.strerror}: {remedy}") from fault
    if size is None:
        raise error(f"{path} is missing: {remedy}")
    if size != expected.size:
        raise error(f"{path} has {size} bytes, {listed_in} says {expected.size}: {remedy}")


@contextmanager
def sealing(parent: Path) -> Iterator[Path]:
    """A new unfinished directory in ``parent``, removed unless the body renames it away."""
    parent.mkdir(parents=True, exist_ok=True)
    unfinished = parent / f".unfinished-{secrets.token_hex(4)}"
    unfinished.mkdir()
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def sync_tree(directory: Path) -> None:
    """Flush every file and directory below ``directory`` to the disk (fsync)."""
    for path in [directory, *directory.rglob("*")]:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
