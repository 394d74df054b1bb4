"""Labels: which document means the same as a question, and which does not, told by people.

One JSON object a line: ``{"question": "…", "id": "…", "same": true}``. A question may have several
lines; the last one about a document counts. An empty ``id`` with ``false`` says that nothing fits.
What ``python -m index_builder label`` writes is read here.
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
    """Whether the document ``id`` means the same as the question; "" for all documents."""

    question: str
    id: str
    same: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question, and places of documents: of those that mean the same, and of those that do not.

    ``nothing``: no document means the same.
    """

    question: str
    right: tuple[int, ...]
    wrong: tuple[int, ...] = ()
    nothing: bool = False

    def judged(self, place: int) -> bool | None:
        """Whether a first result is right; None where nobody has said so."""
        if place in self.right:
            return True
        return False if self.right or self.nothing or place in self.wrong else None


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

    A question whose right documents, or all of whose documents, have gone is left out.

    Raises: CorpusError where a line is no label, or fewer than 100 questions are left.
    """
    labels = read_labels(path)
    # A later label of the same pair counts.
    said = {(label.question, label.id): label.same for label in labels}
    numbers = {name: at for at, name in enumerate(dict.fromkeys(name for _, name in said if name))}
    places = {at: place for place, at in rows.places(numbers.items())}
    by_question: dict[str, list[tuple[int | None, bool]]] = {}
    for (question, name), same in said.items():
        place = places.get(numbers[name]) if name else None
        by_question.setdefault(question, []).append((place, same))
    gone = sum(1 for _, name in said if name and numbers[name] not in places)
    questions = []
    for question, own in by_question.items():
        right = tuple(sorted(place for place, same in own if same and place is not None))
        wrong = tuple(sorted(place for place, same in own if not same and place is not None))
        nothing = not right and (question, "") in said
        # Where its right documents have gone, nobody knows what is right now.
        lost = not right and any(same and place is None for place, same in own)
        if not lost and (right or wrong or nothing):
            questions.append(Labelled(question, right, wrong, nothing))
    if len(questions) < LEAST:
        left = f" ({gone} of its labels name documents that the corpus lacks)" if gone else ""
        raise CorpusError(
            f"{path} has {len(questions)} labelled questions{left}, at least {LEAST} are needed: "
            "python -m index_builder label makes more"
        )
    return questions, gone
