"""Directories that cannot be written to are refused by name, with the fix."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_sources import load_filter

room = load_filter("room")
WELL = {"error": "", "why": "", "free": room.BYTES, "inodes": room.INODES}


def faults(**tried: Any) -> list[str]:
    looks = {"shard-a": {"writes": {"/srv/x": WELL}}, "shard-b": {"writes": {"/var/y": tried}}}
    found: list[str] = room.askfleet_room_faults(looks)
    return found


def test_what_can_be_written_is_no_fault() -> None:
    assert faults(**WELL) == []
    assert faults(**{**WELL, "inodes": None}) == [], "a file system that does not count inodes"
    assert room.askfleet_room_faults({"shard-a": {}}) == []


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (
            {"error": "EROFS", "why": "Read-only file system"},
            "cannot be written: Read-only file system: mount it read-write",
        ),
        (
            {"error": "ENOSPC", "why": "No space left on device", "free": 0},
            "cannot be written: No space left on device: make room there",
        ),
        ({"error": "EACCES", "why": "Permission denied"}, "Permission denied: repair its owner"),
        ({"error": "", "why": "Strange"}, ""),
        ({"free": 999_999}, "has 999999 bytes free, 1000000 are needed: make room there"),
        ({"inodes": 99}, "has 99 inodes free, 100 are needed: remove files there"),
    ],
)
def test_host_directory_and_fix_are_named(tried: dict[str, Any], words: str) -> None:
    found = faults(**{**WELL, **tried})
    assert bool(found) == bool(words)
    for fault in found:
        assert fault.startswith("shard-b: /var/y ")
        assert words in fault
