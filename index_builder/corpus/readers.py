"""A corpus file as (line, document or fault), in the format that its name says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeAlias

from app.errors import CorpusError
from index_builder.corpus import workbooks
from index_builder.corpus.bad_lines import Fault, Reason
from index_builder.corpus.document import JSON, Document
from index_builder.corpus.fields import document_of
from index_builder.corpus.json_records import broken_utf8, json_lines, json_values
from index_builder.corpus.lines import PACKED, OnBytes, numbered_lines, numbered_pieces
from index_builder.corpus.names import Chosen, choose, missing
from index_builder.corpus.reading import Reading, Seen
from index_builder.corpus.rows import delimited, rows
from index_builder.corpus.tables import records, with_metadata

Outcome: TypeAlias = tuple[int, Document | Fault]
Record: TypeAlias = tuple[int, dict[str, JSON] | Fault]


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one suffix are read.

    Attributes:
        shown: What a person calls it.
        read: Yields (line, record or fault).
        columns: Whether other names become metadata, as they do in tables.
        packed: Whether `.gz`, `.bz2` or `.zst` may follow.
        named: Whether a record has names: one of `.txt` is a text.
    """

    shown: str
    read: Callable[[Path, Reading, Seen, OnBytes], Iterator[Record]]
    columns: bool = False
    packed: bool = True
    named: bool = True


def read_file(
    path: Path,
    seen: Seen | None = None,
    on_bytes: OnBytes = lambda _: None,
    reading: Reading | None = None,
) -> Iterator[Outcome]:
    """Read one corpus file.

    Blank lines are skipped. Documents without an id are named after their text.

    Args:
        path: Its name decides the format, see `FORMATS`.
        seen: Gets what was assumed about the file.
        on_bytes: Gets how many more bytes have been read.
        reading: Names and quoting that were asked for.

    Raises:
        CorpusError: An unknown name, an unreadable file, a table without a column for the text.
    """
    seen = seen or Seen()
    reading = reading or Reading()
    form = format_of(path)
    seen.kind.append(form.shown)
    if inner := _inner(path):
        seen.kind.append(f"by the suffix {inner} before .txt")
    for line, record in form.read(path, reading, seen, on_bytes):
        if isinstance(record, Fault):
            yield line, record
            continue
        chosen = choose(tuple(record), reading.names)
        if chosen is None:
            yield line, Fault(Reason.NO_TEXT, missing(reading.names, record) if record else "")
            continue
        seen.count(chosen)
        if form.columns:
            record = with_metadata(record, chosen)
            if isinstance(record, Fault):
                yield line, record
                continue
        else:
            seen.ignored.update(record.keys() - chosen.used)
        for outcome in _documents(record, chosen):
            yield line, outcome


def format_of(path: Path) -> Format:
    """How a file is read, by its suffix; CorpusError if that is unknown.

    `.txt` behind another suffix of text, as in `x.csv.txt`, is what browsers and editors add.
    """
    inner = _inner(path)
    suffix = PurePath(_unpacked(path)).suffix if inner is None else inner
    form = FORMATS.get(suffix)
    packed = path.suffix.lower() in PACKED
    if form is None or (packed and not form.packed):
        raise CorpusError(
            f"{path}: unknown kind of corpus; name it {', '.join(FORMATS)}"
            f" ({', '.join(PACKED)} may follow those of text)"
        )
    return form


def _unpacked(path: Path) -> str:
    name = path.name.lower()
    return name.removesuffix(path.suffix.lower()) if path.suffix.lower() in PACKED else name


def _inner(path: Path) -> str | None:
    name = PurePath(_unpacked(path))
    inner = PurePath(name.stem).suffix
    known = FORMATS.get(inner)
    return inner if name.suffix == ".txt" and known and known.packed and known.named else None


def _documents(record: dict[str, JSON], chosen: Chosen) -> Iterator[Document | Fault]:
    """The document of a record, or the two of one with two questions."""
    fields = {
        "id": record.get(chosen.id or ""),
        "answer": record.get(chosen.answer or ""),
        "metadata": record.get(chosen.metadata or "metadata"),
    }
    for name in chosen.texts:
        yield document_of({**fields, "text": record.get(name)})


def _text(path: Path, _: Reading, seen: Seen, on_bytes: OnBytes) -> Iterator[Record]:
    for number, line in numbered_lines(path, seen, on_bytes):
        if line.strip():
            yield number, broken_utf8(line) or {"text": line}


def _json_lines(path: Path, _: Reading, seen: Seen, on_bytes: OnBytes) -> Iterator[Record]:
    return json_lines(numbered_lines(path, seen, on_bytes))


def _json(path: Path, _: Reading, seen: Seen, on_bytes: OnBytes) -> Iterator[Record]:
    return json_values(path, numbered_pieces(path, seen, on_bytes))


def _csv(path: Path, reading: Reading, seen: Seen, on_bytes: OnBytes) -> Iterator[Record]:
    quoted = reading.quoting == "csv"
    pieces = numbered_pieces(path, seen, on_bytes)
    delimiter, pieces = delimited(pieces, reading.names, quoted=quoted)
    return _delimited(path, delimiter, reading, seen, rows(pieces, delimiter, quoted=quoted))


def _tsv(path: Path, reading: Reading, seen: Seen, on_bytes: OnBytes) -> Iterator[Record]:
    pieces = numbered_pieces(path, seen, on_bytes)
    cells = rows(pieces, "\t", quoted=reading.quoting == "csv")
    return _delimited(path, "\t", reading, seen, cells)


def _delimited(
    path: Path,
    delimiter: str,
    reading: Reading,
    seen: Seen,
    cells: Iterator[tuple[int, list[str] | Fault]],
) -> Iterator[Record]:
    shown = "tab" if delimiter == "\t" else repr(delimiter)
    seen.kind.append(f"{shown} between cells")
    if reading.quoting == "none":
        seen.kind.append("no quoting")
    return records(path, cells, reading.names)


def _sheet(path: Path, reading: Reading, seen: Seen, on_bytes: OnBytes) -> Iterator[Record]:
    yield from records(path, workbooks.sheet_rows(path, seen), reading.names)
    on_bytes(path.stat().st_size)


def _parquet(path: Path, reading: Reading, _: Seen, on_bytes: OnBytes) -> Iterator[Record]:
    yield from workbooks.parquet_records(path, reading.names)
    on_bytes(path.stat().st_size)


FORMATS = {
    ".jsonl": Format("JSON lines", _json_lines),
    ".ndjson": Format("JSON lines", _json_lines),
    ".json": Format("JSON", _json),
    ".csv": Format("CSV", _csv, columns=True),
    ".tsv": Format("TSV", _tsv, columns=True),
    ".txt": Format("text, a line each", _text, named=False),
    ".xlsx": Format("Excel", _sheet, columns=True, packed=False),
    ".parquet": Format("Parquet", _parquet, columns=True, packed=False),
}
