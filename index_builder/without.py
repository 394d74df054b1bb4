"""Withdrawn documents that a corpus still has: a build leaves them out, and says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation.withdrawn import FORMAT, fault, read
from index_builder.corpus.ingest import Ingested, ingest_documents
from index_builder.corpus.store import read_documents
from index_builder.document_rows import DocumentRows

SHOWN = 10


def read_without(path: Path) -> frozenset[str]:
    """The ids in a file: the controller's list of what is withdrawn, or one id a line.

    Raises: BuildError naming the file and what is wrong.
    """
    try:
        content = path.read_bytes()
        if FORMAT.encode() in content.partition(b"\n")[0]:
            return read(path).ids
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except OSError as error:
        raise BuildError(f"--without {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BuildError(f"--without {path}: not UTF-8") from error
    except ValueError as error:
        raise BuildError(f"--without {error}") from error
    for number, line in enumerate(lines, 1):
        if line and fault(line):
            raise BuildError(f"--without {path}:{number}: {fault(line)}")
    return frozenset(filter(None, lines))


@dataclass(frozen=True, slots=True)
class Left:
    """A corpus without some documents.

    Attributes:
        corpus: what is left of it.
        places: (n,) in the whole corpus, of what is left; None where that is all of it.
        ids: of what was left out, sorted.
    """

    corpus: Ingested
    places: NDArray[np.int64] | None = None
    ids: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What a person should know; empty where nothing was left out."""
        if not self.ids:
            return ""
        more = ", …" if len(self.ids) > SHOWN else ""
        return f"{len(self.ids):,} left out of the corpus: {', '.join(self.ids[:SHOWN])}{more}"


def leave_out(corpus: Ingested, ids: frozenset[str]) -> Left:
    """The corpus without these documents; what it does not have is nobody's business.

    Raises: CorpusError where no document is left.
    """
    held = {name: place for place, name in _places(corpus, sorted(ids))}
    if not held:
        return Left(corpus)
    documents = (one for one in read_documents(corpus.documents) if one.id not in held)
    left = ingest_documents(documents, corpus.documents.parent / "without")
    places = np.setdiff1d(np.arange(corpus.count), np.array(list(held.values())))
    return Left(replace(left, assumed=corpus.assumed), places, tuple(sorted(held)))


def _places(corpus: Ingested, ids: list[str]) -> list[tuple[int, str]]:
    numbered = ((name, number) for number, name in enumerate(ids))
    found = DocumentRows(corpus.documents).places(numbered)
    return [(place, ids[number]) for place, number in found]
