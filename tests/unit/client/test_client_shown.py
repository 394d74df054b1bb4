"""What a person sees: at any width, without colour in a pipe, and no control of the terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from client_edge import answer
from rich.cells import cell_len
from rich.console import Console

from app import cli as app_cli
from app.cli import main
from client import cli
from client.answer import Asked, plain, show
from client.status import COLUMNS
from client.status import show as show_status

ROOT = Path(__file__).parents[3]


def shown(body: dict[str, Any], width: int = 100) -> str:
    file = io.StringIO()
    show(Console(file=file, width=width, highlight=False), Asked.read(json.dumps(body)))
    return file.getvalue()


def test_an_answer_has_everything_that_decides() -> None:
    text = shown(answer({"matched": "answer"}, confidence=0.834))
    assert text.splitlines() == [
        "1  is it?",
        "   Yes",
        "   score 0.500 · words 0.25 · found by its answer · q1",
        "generation G-1 · shards 2 · 6.6 ms · confidence 0.83",
    ]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"match": None, "confidence": 0.3}, "Nothing fits: confidence 0.30."),
        ({"match": None}, "Nothing fits."),
        ({"match": None, "results": []}, "Nothing was found."),
        ({"partial": True, "shards_missing": [1, 3]}, "Incomplete: no answer from shard 1, 3."),
    ],
)
def test_what_is_missing_is_said(query: dict[str, Any], said: str) -> None:
    assert said in shown(answer(**query)).splitlines()


@pytest.mark.parametrize("width", [20, 60, 100, 160])
def test_lines_are_as_wide_as_the_terminal(width: int) -> None:
    text = shown(answer({"text": "word " * 80, "answer": "答え" * 80}), width)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert all(line.startswith(("1  ", "   ")) for line in lines[:5])


@pytest.mark.parametrize("member", ["text", "answer", "id"])
def test_no_text_commands_the_terminal(member: str) -> None:
    text = shown(answer({member: "a\x1b]0;x\x07b\x9b31m\x7f\r\n\u202ec[bold]d"}))
    bad = [sign for sign in text if sign != "\n" and not sign.isprintable()]
    assert bad == []
    assert "c[bold]d" in text


def test_plain_keeps_what_people_write() -> None:
    assert plain("Straße\t👩‍🚀\u2028x") == "Straße 👩‍🚀 x"


def test_a_pipe_gets_no_colour_and_no_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(json.dumps(answer({"text": "word " * 80})))
    script = (
        "import sys; from client.answer import Asked, show; from client.cli import new_console;"
        "show(new_console(), Asked.read(open(sys.argv[1]).read()))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "body.json"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 4


# --- the table


def found(faults: list[str]) -> dict[str, Any]:
    lengths = {"release": 14, "current": 25, "previous": 25, "model": 16}
    cells = {name: "x" * lengths.get(name, 7) for name in COLUMNS}
    rows = [{**cells, "host": "shard-a", "faults": []}, {**cells, "faults": faults}]
    return {"rows": rows, "serves": "The gateways serve G.", "notes": [], "faults": faults}


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_table_leaves_out_what_does_not_fit(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False)
    show_status(console, found(["it is \x1bdrained"]))
    text = file.getvalue()
    head = text.splitlines()[0].split()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert ("release" in head) == (width == 160)
    assert {"host", "service", "current", "health"} <= set(head)
    assert ("A wider terminal shows release" in text) == (width != 160)
    assert "<- it is \ufffddrained" in text
    assert [line[-2:] for line in text.splitlines()[1:3]] == ["  ", "<-"]


def test_a_fleet_at_rest_says_so() -> None:
    file = io.StringIO()
    show_status(Console(file=file, width=160), found([]))
    assert "Nothing is inconsistent." in file.getvalue()


# --- a shell, and a host


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_completion_knows_commands_and_options(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("ask", "status", "verify-model", "min-confidence", "key-file"):
        assert word in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def completed(script: str, typed: str) -> list[str]:
    words = typed.split(" ")
    lines = f"{script}\nCOMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}"
    lines += "\n_shtab_askfleet; printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(["bash"], input=lines, text=True, capture_output=True, check=False)
    return done.stdout.split()


def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    assert completed(script, "askfleet st") == ["status"]
    assert completed(script, "askfleet ask --min") == ["--min-confidence"]
    assert completed(script, "askfleet completion f") == ["fish"]


def test_a_host_says_that_it_has_not_these_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "client.cli", None)
    assert app_cli.main(["ask", "is it?", "--k=3"]) == 1
    assert capsys.readouterr().err == (
        "error: askfleet ask is a command of the controller, not of a host\n"
    )


def test_a_controller_without_the_packages_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "shtab is not installed here" in capsys.readouterr().err


def test_no_command_waits_for_what_others_import() -> None:
    script = "import sys, app.cli; app.cli.new_parser(); print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    slow = {"numpy", "faiss", "requests", "rich", "shtab", "msgspec"}
    assert slow & set(done.stdout.split()) == set()
