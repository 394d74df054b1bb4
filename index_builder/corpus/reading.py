"""How a corpus is to be read, and what was found out about a file while it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from index_builder.corpus.names import Chosen, Names

Quoting = Literal["csv", "none"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was asked for: names of fields, and whether cells may be in quotes."""

    names: Names = field(default_factory=Names)
    quoting: Quoting = "csv"


@dataclass(slots=True)
class Seen:
    """What was assumed about one file.

    Attributes:
        kind: What it was read as, and how: `CSV`, `';' between cells`.
        names: Names that served as text, id and answer, each with how often.
        ignored: Keys of JSON records that no field has, and how often they were there.
    """

    kind: list[str] = field(default_factory=list)
    names: dict[str, Counter[str]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)

    def count(self, chosen: Chosen) -> None:
        """Note which names one record was read by."""
        parts = {"text": " and ".join(chosen.texts), "id": chosen.id, "answer": chosen.answer}
        for part, name in parts.items():
            if name is not None:
                self.names.setdefault(part, Counter())[name] += 1

    def __str__(self) -> str:
        """`CSV, ';' between cells, text from 'Question', answer from 'Answer'`."""
        fields = [
            f"{part} from {' or '.join(repr(name) for name, _ in names.most_common(4))}"
            for part, names in self.names.items()
        ]
        return ", ".join([*self.kind, *fields])
