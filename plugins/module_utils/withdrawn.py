"""The list of documents that nobody may answer with: its file, and how two lists become one.

An entry has a revision: odd, and the document is withdrawn; even, and it is back. Of two lists the
higher revision of each document counts, so lists merge in any order to the same, and none that is
behind brings a document back.

Ansible's modules use this file too, on hosts and on the controller: it imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

NAME = "withdrawn.jsonl"
FORMAT = "askfleet withdrawn 1"
MAX_ID = 512
# Of a whole list, in MiB: that is what services tell each other at once, and what plays carry.
MAX_LIST = 32
ALLOWED = f"an id has 1 to {MAX_ID} printable characters, and no white space at its ends"


@dataclass(frozen=True, order=True)
class Entry:
    """One document: ``time`` (ISO 8601, UTC) and ``by`` say when and who changed it last."""

    id: str
    revision: int
    time: str
    by: str

    @property
    def withdrawn(self) -> bool:
        """Whether nobody may answer with it now."""
        return self.revision % 2 == 1


@dataclass(frozen=True)
class Withdrawn:
    """A list, immutable.

    Attributes:
        entries: by id, those that are back included.
        ids: of what is withdrawn now.
        digest: names the content; empty where there is no entry.
        content: the file's: a line that seals the others, and one for each entry. It is made once,
            for a long list takes a second.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    ids: frozenset[str] = field(init=False)
    digest: str = field(init=False)
    content: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out what follows from the entries."""
        ids = frozenset(one.id for one in self.entries.values() if one.withdrawn)
        lines = b"".join(_line(self.entries[name]) for name in sorted(self.entries))
        digest = hashlib.sha256(lines).hexdigest()[:32] if self.entries else ""
        head = {"format": FORMAT, "entries": len(self.entries), "digest": digest}
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "digest", digest)
        object.__setattr__(self, "content", json.dumps(head).encode() + b"\n" + lines)

    def merged(self, other: Withdrawn) -> Withdrawn:
        """Both lists as one; one of them itself where the other one adds nothing."""
        newer = {
            name: entry
            for name, entry in other.entries.items()
            if name not in self.entries or entry > self.entries[name]
        }
        if not newer:
            return self
        entries = {**self.entries, **newer}
        return other if entries == other.entries else Withdrawn(entries)

    def changed(self, ids: Iterable[str], time: str, by: str, *, undo: bool = False) -> Withdrawn:
        """The list after these were withdrawn, or (``undo``) brought back.

        What is so already stays as it is. What was never withdrawn cannot be brought back.
        """
        new = dict(self.entries)
        for name in ids:
            before = self.entries.get(name)
            if undo != (before is not None and before.withdrawn):
                continue
            new[name] = Entry(name, 1 if before is None else before.revision + 1, time, by)
        return self if new == self.entries else Withdrawn(new)

    @property
    def excess(self) -> str:
        """Why the list is too long to be told; empty where it is not."""
        if len(self.content) <= MAX_LIST << 20:
            return ""
        return (
            f"the list of withdrawn documents would take {len(self.content) / (1 << 20):,.1f} MiB "
            f"with its {len(self.entries):,} ids; it may take {MAX_LIST} MiB, which is about "
            f"{(MAX_LIST << 20) // 130 // 10_000 * 10_000:,} ids of 30 characters, or "
            f"{(MAX_LIST << 20) // (MAX_ID + 100) // 10_000 * 10_000:,} of {MAX_ID}"
        )


NOTHING = Withdrawn()


def _line(one: Entry) -> bytes:
    entry = {"id": one.id, "revision": one.revision, "time": one.time, "by": one.by}
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


def parse(content: bytes) -> Withdrawn:
    """Read the ``content`` of a list; raises ValueError saying what is wrong with it."""
    head, _, rest = content.partition(b"\n")
    told = json.loads(head)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ValueError(f"its first line does not say {FORMAT!r}")
    try:
        entries = [Entry(**json.loads(line)) for line in rest.splitlines()]
    except TypeError:
        raise ValueError("a line is no entry") from None
    for one in entries:
        kinds = type(one.id), type(one.revision), type(one.time), type(one.by)
        if kinds != (str, int, str, str) or one.revision < 1 or fault(one.id):
            raise ValueError(f"the entry of {one.id!r} is none")
    found = Withdrawn({one.id: one for one in entries})
    if found.digest != told.get("digest") or len(entries) != told.get("entries"):
        raise ValueError("its entries are not those that its first line seals")
    return found


def read(path: Path) -> Withdrawn:
    """The list in a file, empty where there is none.

    Raises: OSError where it cannot be read; ValueError, naming it, where it is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return NOTHING
    try:
        return parse(content)
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged: {error}; `ansible-playbook withdraw.yml` writes it again"
        ) from error


def fault(name: object) -> str:
    """What is wrong with an id; empty where nothing is."""
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_ID or name != name.strip():
        return ALLOWED
    return "" if name.isprintable() else ALLOWED
