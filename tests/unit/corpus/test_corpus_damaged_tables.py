"""Whatever bytes a packed or binary corpus holds: documents, or a CorpusError that names it."""

import io
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import damaged, fails_only_with
from workbooks import workbook

from app.errors import CorpusError
from index_builder.corpus.bad_lines import Fault
from index_builder.corpus.readers import read_file
from index_builder.corpus.reading import Seen

SOME = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def parquet() -> bytes:
    sink = io.BytesIO()
    table = {"id": [1, 2], "text": ["one", "two"], "n": [1.5, None], "tags": [["a"], None]}
    pyarrow.parquet.write_table(pyarrow.table(table), sink)
    return sink.getvalue()


GOOD = {
    "c.json": b'[{"id": "a", "text": "who?", "metadata": {"n": 1}},\n {"text": "what?"}]\n',
    "c.jsonl.zst": zstd.compress(b'{"text": "who?"}\n' * 3),
    "c.parquet": parquet(),
    "c.xlsx": workbook([["Id", "Question", "Answer"], [7, "one", "eins"], [8, "two"]]),
}


def read(path: Path) -> None:
    with fails_only_with(CorpusError, path.name, "no document"):
        for number, found in read_file(path, Seen()):
            assert number >= 1
            if not isinstance(found, Fault):
                "".join((found.id, found.text, found.answer or "")).encode()


@SOME
@given(data=st.data())
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.slow
def test_a_damaged_file(tmp_path: Path, name: str, data: st.DataObject) -> None:
    path = tmp_path / name
    path.write_bytes(data.draw(damaged(GOOD[name])))
    read(path)


@SOME
@given(data=st.data())
def test_a_workbook_whose_parts_are_damaged(tmp_path: Path, data: st.DataObject) -> None:
    """Whole as a zip file, so that what is inside is read."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD["c.xlsx"])) as good, zipfile.ZipFile(sink, "w") as changed:
        hit = data.draw(st.sampled_from(good.namelist()))
        for name in good.namelist():
            content = good.read(name)
            changed.writestr(name, data.draw(damaged(content)) if name == hit else content)
    path = tmp_path / "c.xlsx"
    path.write_bytes(sink.getvalue())
    read(path)
