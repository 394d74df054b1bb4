"""Labels: which document means the same as a question, and which does not, told by people.

One JSON object a line: ``{"question": "…", "id": "…", "same": true}``. A question may have several
lines. What ``python -m index_builder label`` writes is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from app.errors import CorpusError
from app.generation.text import clean
from index_builder.document_rows import DocumentRows

LEAST = 100


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the document ``id`` means the same as the question."""

    question: str
    id: str
    same: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question, and the places of the documents that mean the same; none where nothing does."""

    question: str
    right: tuple[int, ...]


def read_labels(path: Path) -> list[Label]:
    """Read them; raises CorpusError naming the line that is none."""
    decoder = msgspec.json.Decoder(Label)
    labels = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            wanted = '{"question": "…", "id": "…", "same": true}'
            raise CorpusError(f"{path}:{number}: not a label ({error}); write {wanted}") from error
        question = clean(one.question)
        if not question:
            raise CorpusError(f"{path}:{number}: the question is empty")
        labels.append(msgspec.structs.replace(one, question=question))
    return labels


def read_labelled(path: Path, rows: DocumentRows) -> tuple[list[Labelled], int]:
    """The questions of a file of labels, and how many labels name documents that have gone.

    A question whose right documents have all gone is left out.

    Raises: CorpusError where a line is no label, or fewer than 100 questions are left.
    """
    labels = read_labels(path)
    numbers = {name: at for at, name in enumerate(dict.fromkeys(label.id for label in labels))}
    places = {at: place for place, at in rows.places(numbers.items())}
    right: dict[str, set[int]] = {}
    lost: set[str] = set()
    gone = 0
    for label in labels:
        place = places.get(numbers[label.id])
        gone += place is None
        own = right.setdefault(label.question, set())
        if label.same and place is None:
            lost.add(label.question)
        elif label.same and place is not None:
            own.add(place)
    questions = [
        Labelled(question, tuple(sorted(own)))
        for question, own in right.items()
        if own or question not in lost
    ]
    if len(questions) < LEAST:
        left = f" ({gone} of its labels name documents that the corpus lacks)" if gone else ""
        raise CorpusError(
            f"{path} has {len(questions)} labelled questions{left}, at least {LEAST} are needed: "
            "python -m index_builder label makes more"
        )
    return questions, gone
