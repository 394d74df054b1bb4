"""Tables that are no text: the first sheet of an .xlsx workbook, and .parquet."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from app.errors import CorpusError
from index_builder.corpus.document import JSON
from index_builder.corpus.names import Names, check_columns
from index_builder.corpus.optional import optional
from index_builder.corpus.reading import Seen
from index_builder.corpus.tables import Rows, plain

MAX_SHEET = 1 << 30
"""Largest workbook in bytes, unpacked: its reader holds a whole sheet in memory."""
BATCH = 1000


def sheet_rows(path: Path, seen: Seen) -> Rows:
    """Yield (row of the sheet from 1, cells) of the first sheet; cells as a person reads them.

    Raises: CorpusError for a file that is no workbook, or too large.
    """
    reader = optional("python_calamine", "python-calamine", path)
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > MAX_SHEET:
            raise CorpusError(
                f"{path}: {size / 1e9:.1f} GB unpacked, {MAX_SHEET / 1e9:.1f} at most: save as CSV"
            )
        book = reader.CalamineWorkbook.from_path(str(path))
        names = book.sheet_names
        seen.kind.append(f"sheet {names[0]!r}, the first of {len(names)}")
        sheet = book.get_sheet_by_index(0)
        first = (sheet.start or (0, 0))[0] + 1
        for number, row in enumerate(sheet.iter_rows(), first):
            yield number, [_shown(cell) for cell in row]
    except (zipfile.BadZipFile, reader.CalamineError, IndexError) as error:
        raise CorpusError(f"{path}: damaged .xlsx file: {error}") from error
    except OSError as error:
        raise CorpusError(f"{path}: {_why(error)}") from error


def parquet_records(path: Path, names: Names) -> Iterator[tuple[int, dict[str, JSON]]]:
    """Yield (row from 1, record); empty cells are left out.

    Raises: CorpusError for a file that is not parquet, or names no text.
    """
    arrow = optional("pyarrow", "pyarrow", path)
    parquet = optional("pyarrow.parquet", "pyarrow", path)
    number = 0
    try:
        with path.open("rb") as stored, parquet.ParquetFile(stored) as table:
            columns = tuple(table.schema_arrow.names)
            check_columns(path, names, columns)
            for batch in table.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield (
                        number,
                        {name: plain(cell) for name, cell in row.items() if cell not in (None, "")},
                    )
    except (arrow.ArrowException, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorpusError(f"{path}: damaged .parquet file: {first}") from error
    except OSError as error:
        raise CorpusError(f"{path}: {_why(error)}") from error


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"cannot be read: {error.strerror or error}"


def _shown(cell: object) -> str:
    """Numbers of a sheet are floating point; whole ones lose the `.0`."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
