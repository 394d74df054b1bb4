"""Corpus files in, numbered documents on disk out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path

import orjson

from app.errors import CorpusError
from index_builder.corpus.bad_lines import BadLine, BadLines, Fault, Reason
from index_builder.corpus.document import Document
from index_builder.corpus.fields import id_of_text
from index_builder.corpus.names import Names
from index_builder.corpus.readers import format_of, read_file
from index_builder.corpus.reading import Reading, Seen
from index_builder.corpus.store import DocumentWriter
from index_builder.progress import Progress

RULES = 2
"""Raised when the same files are to give other documents, so that nothing stale is reused."""
DOCUMENTS, BAD_LINES, RECORD = "documents.sqlite", "bad_lines.tsv", "ingest.json"


@dataclass(frozen=True, slots=True)
class Ingested:
    """A corpus that is ready to be encoded.

    Attributes:
        documents: SQLite file, `documents(ordinal, id, text, answer, metadata)`, from ordinal 0.
        count: Documents, at least 1.
        digest: sha256 over all documents in order, 64 hex digits.
        bad: Bad lines, the first 20 of each reason.
        bad_counts: Bad lines per reason.
        repeats: Documents without an id whose text was there before; left out, not bad.
        ignored: Keys of JSON records that are no field, and how often they were there.
        assumed: For each file what it was read as, a line each.
    """

    documents: Path
    count: int
    digest: str
    bad: list[BadLine]
    bad_counts: dict[Reason, int]
    repeats: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What a person should know about what was left out, a line each; often none."""
        notes = []
        if self.bad_counts:
            total = sum(self.bad_counts.values())
            parts = ", ".join(f"{count:,} {reason}" for reason, count in self.bad_counts.items())
            where = self.documents.with_name(BAD_LINES)
            notes.append(f"{total:,} bad lines left out ({parts}): {where}")
        if self.repeats:
            notes.append(f"{self.repeats:,} repeated texts without an id left out")
        for key, count in self.ignored.items():
            notes.append(
                f"key {key!r} ignored in {count:,} lines (put it into `metadata` to keep it)"
            )
        return notes


def ingest(
    paths: Sequence[Path],
    workdir: Path,
    max_bad: float = 0.001,
    progress: Progress | None = None,
    reading: Reading | None = None,
) -> Ingested:
    """Read, clean, check and number a corpus.

    A workdir that already holds the result of the same bytes is reused as it is.

    Args:
        paths: Corpus files, read in this order.
        workdir: Made if need be; gets documents.sqlite, bad_lines.tsv and ingest.json.
        max_bad: Largest fraction of lines that may be bad, 0 to 1.
        progress: Where to report to.
        reading: Names of fields and quoting that were asked for.

    Raises:
        CorpusError: A file cannot be read, too many lines are bad, or no document is left.
    """
    if not paths:
        raise CorpusError("no corpus file given")
    if not 0 <= max_bad <= 1:
        raise CorpusError(f"--max-bad is a fraction between 0 and 1, not {max_bad}")
    reading = reading or Reading()
    for path in paths:
        if not format_of(path).named and reading.names != Names():
            raise CorpusError(f"{path}: a line of text has no names, and no field to be named")
    progress = progress or Progress()
    workdir.mkdir(parents=True, exist_ok=True)
    sources = [_fingerprint(path) for path in paths]
    key = _key(sources, max_bad, reading)
    done = _reusable(workdir, key)
    if done is not None:
        progress.say(f"corpus: {done.count:,} documents as read before, in {workdir}")
        return done
    (workdir / RECORD).unlink(missing_ok=True)
    result = _read(paths, workdir, max_bad, progress, reading)
    _record(workdir, key, result)
    for note in [*result.assumed, *result.notes]:
        progress.say(f"corpus: {note}")
    return result


def ingest_documents(documents: Iterable[Document], workdir: Path) -> Ingested:
    """Number documents that are clean already, such as those of `course.read_course`.

    Raises:
        CorpusError: There are none, or two have the same id.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / RECORD).unlink(missing_ok=True)
    with DocumentWriter(workdir / DOCUMENTS) as writer:
        for document in documents:
            if not writer.add(document):
                raise CorpusError(f"two documents have the id {document.id!r}")
        if writer.count == 0:
            raise CorpusError("the corpus has no document")
        return Ingested(workdir / DOCUMENTS, writer.count, writer.seal(), [], {})


def _read(
    paths: Sequence[Path], workdir: Path, max_bad: float, progress: Progress, reading: Reading
) -> Ingested:
    ignored: Counter[str] = Counter()
    assumed: list[str] = []
    repeats = 0
    size = sum(path.stat().st_size for path in paths)
    with (
        DocumentWriter(workdir / DOCUMENTS) as writer,
        BadLines(workdir / BAD_LINES) as bad,
        progress.bar("reading", size, "bytes") as bar,
    ):
        for path in paths:
            seen = Seen()
            for line, outcome in read_file(path, seen, bar.update, reading):
                if isinstance(outcome, Fault):
                    bad.add(BadLine(str(path), line, outcome.reason, outcome.detail))
                elif not writer.add(outcome):
                    if outcome.id == id_of_text(outcome.text):
                        repeats += 1
                    else:
                        bad.add(BadLine(str(path), line, Reason.DUPLICATE_ID, outcome.id))
            ignored.update(seen.ignored)
            assumed.append(f"{path.name}: {seen}")
        _judge(bad, writer.count + repeats, max_bad)
        if writer.count == 0:
            raise CorpusError(f"{', '.join(map(str, paths))}: no document in it")
        count, digest = writer.count, writer.seal()
    return Ingested(
        workdir / DOCUMENTS,
        count,
        digest,
        bad.listed,
        dict(bad.counts),
        repeats,
        dict(ignored),
        assumed,
    )


def _judge(bad: BadLines, good: int, max_bad: float) -> None:
    """Refuse a corpus with more than the tolerated fraction of bad lines."""
    lines = bad.total + good
    if bad.total <= Fraction(str(max_bad)) * lines:  # in floats 0.29 * 100 is under 29
        return
    first = "\n".join(f"  {line}" for line in bad.listed[:10])
    raise CorpusError(
        f"{bad.total:,} of {lines:,} lines are bad ({bad.summary()}); "
        f"{100 * max_bad:g} % are tolerated\n{first}\n"
        f"all of them: {bad.path}\n"
        f"Mend the lines, or accept the loss with --max-bad {_enough(bad.total, lines):g}"
    )


def _enough(bad: int, lines: int) -> float:
    """The smallest fraction of three decimals that admits so many bad lines."""
    return -(-1000 * bad // lines) / 1000


def _fingerprint(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as stored:
            return {"path": str(path), "sha256": hashlib.file_digest(stored, "sha256").hexdigest()}
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "no such file" if missing else f"cannot be read: {error.strerror}"
        raise CorpusError(f"{path}: {reason}") from error


def _key(sources: list[dict[str, str]], max_bad: float, reading: Reading) -> dict[str, object]:
    """What must be the same for a result to be reused."""
    return {"rules": RULES, "sources": sources, "max_bad": max_bad, "reading": asdict(reading)}


def _record(workdir: Path, key: dict[str, object], result: Ingested) -> None:
    record = {
        **key,
        "size": result.documents.stat().st_size,
        "count": result.count,
        "digest": result.digest,
        "bad": [[bad.file, bad.line, bad.reason, bad.detail] for bad in result.bad],
        "bad_counts": {reason.value: count for reason, count in result.bad_counts.items()},
        "repeats": result.repeats,
        "ignored": result.ignored,
        "assumed": result.assumed,
    }
    partial = workdir / f".{RECORD}.partial"
    partial.write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    partial.replace(workdir / RECORD)


def _reusable(workdir: Path, key: dict[str, object]) -> Ingested | None:
    try:
        record = orjson.loads((workdir / RECORD).read_bytes())
        size = (workdir / DOCUMENTS).stat().st_size
    except (OSError, orjson.JSONDecodeError):
        return None
    wanted = {**key, "size": size}
    if {name: record.get(name) for name in wanted} != wanted:
        return None
    return Ingested(
        documents=workdir / DOCUMENTS,
        count=record["count"],
        digest=record["digest"],
        bad=[BadLine(file, line, Reason(why), more) for file, line, why, more in record["bad"]],
        bad_counts={Reason(why): count for why, count in record["bad_counts"].items()},
        repeats=record["repeats"],
        ignored=record["ignored"],
        assumed=record["assumed"],
    )
