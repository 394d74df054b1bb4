"""Gates fail when they must, and say which questions weigh most; the report and its lines."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from preview_pairs import pair, side

from app.errors import ConfigError, CorpusError
from app.wire.preview import Pair, Side
from index_builder.preview.command import FIGURES, PAGE, Judged, judged
from index_builder.preview.figures import SHOWN
from index_builder.preview.wanted import Gates, Wanted

HOSTILE = '<script>alert(1)</script> \u202e & "it\'s"'
PAIRS = [pair("abcd", "abcd", "same"), pair("abcd", "bacd", "swapped"), pair("ab", "cd", HOSTILE)]
RELEVANT = {"same": frozenset("a"), "swapped": frozenset("a")}


def judge(out: Path, gates: Gates, pairs: list[Pair] = PAIRS) -> Judged:
    wanted = Wanted([one.question for one in pairs], RELEVANT, (), gates)
    return judged(wanted, pairs, ["A", "B"], out)


@pytest.mark.parametrize(
    ("gates", "figure", "named"),
    [
        (Gates(max_changed=0.66), "66.67 % of the questions", "swapped"),
        (Gates(min_overlap=0.67), "66.67 % are the same", "script"),
        (Gates(max_hit_loss=0.49), "from 1.0000 to 0.5000 on 2 labelled", "swapped"),
    ],
)
def test_a_gate_fails_and_names_questions(
    tmp_path: Path, gates: Gates, figure: str, named: str
) -> None:
    (fault,) = judge(tmp_path, gates).faults
    (setting,) = [name for name in ("max_changed", "min_overlap", "max_hit_loss") if name in fault]
    assert f"askfleet_preview_{setting}" in fault
    assert figure in fault
    assert named in fault.partition("most of all")[2]


@pytest.mark.parametrize(
    "gates",
    [Gates(), Gates(max_changed=0.67), Gates(min_overlap=0.66), Gates(max_hit_loss=0.5)],
)
def test_a_gate_that_is_not_reached_passes(tmp_path: Path, gates: Gates) -> None:
    assert judge(tmp_path, gates).faults == []


@pytest.mark.parametrize("questions", [10, 30])
def test_a_gate_that_is_reached_exactly_passes(tmp_path: Path, questions: int) -> None:
    """0.8 - 0.7 is more than 0.1 in floating point, and thirty times 0.9 less than 27."""
    relevant = {str(n): frozenset("a") for n in range(questions)}
    tenths = questions // 10
    pairs = [
        pair(
            "abcdefghij" if n < 8 * tenths else "bacdefghij",
            "abcdefghix" if n < 7 * tenths else "bacdefghix",
            str(n),
        )
        for n in range(questions)
    ]
    gates = Gates(max_changed=0.1, min_overlap=0.9, max_hit_loss=0.1)
    assert judged(Wanted([], relevant, (), gates), pairs, ["A", "B"], tmp_path).faults == []


def test_questions_are_named_that_the_report_does_not_show(tmp_path: Path) -> None:
    lost = [Pair(f"lost {n}", side("ab"), side("ab", match=None)) for n in range(SHOWN)]
    (fault,) = judge(tmp_path, Gates(max_hit_loss=0.1), [*lost, *PAIRS]).faults
    assert fault.endswith("most of all: 'swapped'")


def test_labels_of_which_none_was_answered_fail_the_gate(tmp_path: Path) -> None:
    late = Side(error="504 deadline")
    gone = Pair("same", late, late)
    others = [gone, pair("a", "a", "other")]
    (fault,) = judge(tmp_path, Gates(max_hit_loss=0.1), others).faults
    assert "max_hit_loss cannot be judged: none of the 2 labelled questions" in fault
    assert judge(tmp_path, Gates(max_changed=0.1), others).faults == []


def test_no_answer_at_all_fails_without_a_gate(tmp_path: Path) -> None:
    gone = [Pair("q", side("a"), Side(error="409 generation_not_loaded"))]
    (fault,) = judge(tmp_path, Gates(), gone).faults
    assert "409 generation_not_loaded (1)" in fault


def test_the_report_is_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    found = judge(tmp_path, Gates(max_changed=0.1))
    page = found.report.read_text(encoding="utf-8")
    assert found.report.parent.stat().st_mode & 0o777 == 0o700
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert not re.search(r"""(src|href)=["']?(http|//)""", page)
    assert "A gate failed" in page
    assert "up from 2" in page
    assert ">gone<" in page
    for part in re.findall(r"<div class=\"card scroll\"[^>]*>", page):
        assert 'tabindex="0"' in part, "who has no mouse scrolls it by keys"
    for name in (PAGE, FIGURES):
        assert (found.report.parent / name).stat().st_mode & 0o777 == 0o600
    kept = json.loads((found.report.parent / FIGURES).read_bytes())
    assert kept["changed"] == pytest.approx(2 / 3)
    assert found.lines[0].startswith("Preview of B against A: 3 questions, 66.7 %")
    assert found.lines[-1] == f"Report: {found.report}"


def test_where_it_cannot_be_kept_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="the report cannot be kept"):
        judge(tmp_path / "file", Gates())


@pytest.mark.parametrize("value", ["much", -0.1, 1.5, "nan"])
def test_what_is_no_part_is_no_gate(value: object) -> None:
    with pytest.raises(ConfigError, match="askfleet_preview_max_changed"):
        Gates.read({"max_changed": value, "min_overlap": None})


def test_questions_are_read_once_each_and_sampled(tmp_path: Path) -> None:
    lines = tmp_path / "asked.txt"
    lines.write_text("".join(f"question {n}\n" for n in range(30)) + "question 1\n")
    (tmp_path / "more.jsonl").write_text('{"id": "x", "text": "question 2"}\n{"text": "new"}\n')
    files = [lines, tmp_path / "more.jsonl"]
    whole = Wanted.read(files)
    assert len(whole.texts) == 31
    assert whole.remarks == ()
    some = Wanted.read(files, limit=10, gates={"max_hit_loss": "0.1"})
    assert some.texts == Wanted.read(files, limit=10).texts
    assert len(some.texts) == 10
    assert some.remarks[0] == "10 of 31 questions are asked, drawn at random."
    assert "not judged" in some.remarks[1]


def test_labelled_questions_are_asked_before_others(tmp_path: Path) -> None:
    asked, qrels = tmp_path / "asked.jsonl", tmp_path / "qrels.tsv"
    asked.write_text("".join(f'{{"id": "{n}", "text": "question {n}"}}\n' for n in range(100)))
    qrels.write_text("".join(f"{n}\ta\t1\n" for n in range(90, 95)))
    some = Wanted.read([asked], qrels, limit=20)
    assert set(some.relevant) < set(some.texts)
    assert len(some.texts) == 20
    assert some.remarks == (
        "20 of 100 questions are asked, drawn at random: 5 with labels, 15 without.",
    )
    assert set(Wanted.read([asked], qrels, limit=3).texts) < set(some.relevant)


def test_ids_of_two_files(tmp_path: Path) -> None:
    one, two, qrels = tmp_path / "one.jsonl", tmp_path / "two.jsonl", tmp_path / "qrels.tsv"
    one.write_text('{"id": "x", "text": "one"}\n')
    two.write_text('{"id": "x", "text": "two"}\n')
    qrels.write_text("x\ta\t1\n")
    assert Wanted.read([one, two]).texts == ["one", "two"]
    with pytest.raises(CorpusError, match=r"two.jsonl: the id 'x' is another question's"):
        Wanted.read([one, two], qrels)


def test_labels_need_their_questions(tmp_path: Path) -> None:
    asked, qrels = tmp_path / "asked.jsonl", tmp_path / "qrels.tsv"
    asked.write_text('{"id": "x", "text": "one"}\n{"id": "y", "text": "two"}\n')
    qrels.write_text("query\tdocument\tgrade\nx\ta\t1\nx\tb\t1\ny\tc\t0\n")
    assert Wanted.read([asked], qrels).relevant == {"one": frozenset("ab")}
    qrels.write_text("z\ta\t1\n")
    with pytest.raises(CorpusError, match=r"qrels.tsv:1: no question has the id 'z'"):
        Wanted.read([asked], qrels)
    asked.write_text('{"id": "x", "text": "one"}\nno json\n')
    with pytest.raises(CorpusError, match=r"asked.jsonl:2"):
        Wanted.read([asked])


def test_it_is_light_enough_for_a_play() -> None:
    """Ansible's own process imports it, which torch would not bear."""
    heavy = "[m for m in ('torch', 'faiss', 'sklearn', 'onnxruntime') if m in sys.modules]"
    code = f"import sys, index_builder.preview.command; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_generation_that_often_fails_to_answer_fails(tmp_path: Path) -> None:
    gone = Side(error="503 shards_unavailable")
    good = [pair("a", "a", f"q{n}") for n in range(148)]
    lost = [Pair("x", side("a"), gone), Pair("y", side("a"), gone)]
    (fault,) = judge(tmp_path, Gates(), good + lost).faults
    assert fault.startswith("2 of 150 questions that were answered are not answered by the new")
    assert "503 shards_unavailable (2)" in fault
    assert judge(tmp_path, Gates(), good + lost[:1]).faults == []
    both = Pair("x", gone, gone)  # as before
    assert judge(tmp_path, Gates(), [*good, both, both]).faults == []
