"""`askfleet ask` against a real server: what it sends, what it says, how it ends."""

from __future__ import annotations

import io
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_edge import Edge, answer, serving

from app.cli import main
from client.answer import AskError
from client.wanted import filters


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    for name in os.environ:
        if name.startswith("ASKFLEET_"):
            monkeypatch.delenv(name)
    with serving() as found:
        monkeypatch.setenv("ASKFLEET_URL", found.url + "/")
        yield found


def problem(status: int, code: str, detail: str, **more: str) -> dict[str, Any]:
    return {"status": status, "code": code, "title": "Title", "detail": detail, **more}


def test_a_question_is_asked_as_typed(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["--k=3", "--filter=set=a", "--min-confidence=0.5"]
    assert main(["ask", "is it?", *typed]) == 0
    [(path, headers, body)] = edge.asked
    assert path == "/v1/search"
    wanted = {"queries": ["is it?"], "k": 3, "filter": {"set": "a"}, "min_confidence": 0.5}
    assert body == wanted
    assert "Authorization" not in headers
    assert "Yes" in capsys.readouterr().out


def test_a_question_is_read_from_standard_input(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("is it\nso?\n"))
    assert main(["ask", "-"]) == 0
    assert edge.asked[0][2]["queries"] == ["is it\nso?\n"]


def test_json_is_the_body_as_it_came(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    edge.body = json.dumps(answer(), indent=3)
    assert main(["ask", "--json", "x"]) == 0
    assert capsys.readouterr().out == edge.body + "\n"
    edge.status, edge.body = 400, problem(400, "bad_k", "no", field="k")
    assert main(["ask", "--json", "x"]) == 2
    assert json.loads(capsys.readouterr().out) == edge.body


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 0),
        ({"match": None, "confidence": 0.1}, 1),
        ({"match": None, "results": []}, 1),
        ({"match": None, "results": [], "partial": True, "shards_missing": [2]}, 3),
    ],
)
def test_the_exit_status_says_whether_something_fits(
    edge: Edge, query: dict[str, Any], status: int
) -> None:
    edge.body = answer(**query)
    assert main(["ask", "x"]) == status


@pytest.mark.parametrize(
    ("told", "headers", "status", "said"),
    [
        (problem(400, "bad_k", "k is 1 to 100", field="k"), {}, 2, "k is 1 to 100 (400 bad_k)"),
        (problem(400, "bad_filter", "no such", field="filter.x"), {}, 2, "filter.x: no such"),
        (problem(401, "missing_key", "a key"), {}, 3, "--key-file names a file with your key"),
        (problem(403, "unknown_key", "not known"), {}, 3, "not known"),
        (problem(413, "too_much_text", "too long"), {}, 2, "too long"),
        (problem(429, "overloaded", "id 1"), {"Retry-After": "2"}, 3, "try again in 2 s"),
        (problem(503, "encoder_unavailable", "none"), {"Retry-After": "1"}, 3, "in 1 s (503 enc"),
        (problem(404, "not_found", "id 1"), {}, 3, "Title: id 1 (404 not_found)"),
        (problem(500, "internal_error", "\x1b[31mred\x07"), {}, 3, "\ufffd[31mred\ufffd"),
    ],
    ids=lambda one: one.get("code") if isinstance(one, dict) else None,
)
def test_what_the_fleet_refuses_is_told_in_its_words(
    edge: Edge,
    capsys: pytest.CaptureFixture[str],
    told: dict[str, Any],
    headers: dict[str, str],
    status: int,
    said: str,
) -> None:
    edge.status, edge.body, edge.headers = told["status"], told, headers
    assert main(["ask", "x"]) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert said in shown.err
    assert "\x1b" not in shown.err


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>hello</html>"),
        (200, "{"),
        (200, "[]"),
        (200, '{"generation": "G", "queries": [], "timings_ms": {}}'),
        (200, '{"generation": 1, "queries": [{"match": {}}]}'),
        (404, "<html>"),
        (400, "The plain HTTP request was sent to HTTPS port"),
        (502, ""),
        (204, ""),
    ],
)
def test_who_is_no_edge_is_told_so(
    edge: Edge, capsys: pytest.CaptureFixture[str], status: int, body: str
) -> None:
    edge.status, edge.body = status, body
    assert main(["ask", "x"]) == 3
    assert "is no edge of askfleet" in capsys.readouterr().err


def test_it_goes_nowhere_else(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    edge.status, edge.body = 308, ""
    edge.headers = {"Location": "https://fleet.example/v1/search"}
    assert main(["ask", "x"]) == 2
    assert "--url https://fleet.example\n" in capsys.readouterr().err
    assert len(edge.asked) == 1


# --- nobody is reached


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert main(["ask", "x", "--url", f"http://127.0.0.1:{port}"]) == 3
    assert "refuses connections" in capsys.readouterr().err


def test_nobody_says_anything(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert main(["ask", "x", "--timeout=0.2", "--url", url]) == 3
    assert "did not answer within 0.2 s" in capsys.readouterr().err


def test_no_such_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "x", "--url", "http://nowhere.invalid"]) == 3
    assert "http://nowhere.invalid cannot be reached: " in capsys.readouterr().err


def test_tls_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=edge -days 9"
    )
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *made.split(), *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with serving(context) as edge:
        assert main(["ask", "x", "--url", edge.url]) == 3
        assert "not trusted: self-signed certificate; --ca names" in capsys.readouterr().err
        assert main(["ask", "x", "--url", edge.url, "--ca", str(tmp_path / "cert")]) == 0
        assert main(["ask", "x", "--url", edge.url, "--ca", str(tmp_path / "key")]) == 2
        assert main(["ask", "x", "--url", edge.url.replace("https", "http")]) == 3
    with serving() as edge:
        assert main(["ask", "x", "--url", edge.url.replace("http", "https")]) == 3
    assert "does not speak TLS; try http://" in capsys.readouterr().err


# --- what is typed


@pytest.mark.parametrize(
    ("typed", "filter_"),
    [
        (["set=BoolQ"], {"set": "BoolQ"}),
        (["lang=en,de", "n=4"], {"lang": ["en", "de"], "n": 4}),
        (["ok=true", 'id="4"', "when=Infinity"], {"ok": True, "id": "4", "when": "Infinity"}),
        (["year>=2020", "year<2025"], {"year": {"gte": 2020, "lt": 2025}}),
        (['{"a b": [1]}', "set=x=y"], {"a b": [1], "set": "x=y"}),
        (["set="], {"set": ""}),
    ],
)
def test_filters_are_typed_as_pairs_or_json(typed: list[str], filter_: dict[str, Any]) -> None:
    assert filters(typed) == filter_


@pytest.mark.parametrize("typed", [["set"], ["{"], ["=x"], ["year=1", "year>2"]])
def test_another_filter_is_refused(typed: list[str]) -> None:
    with pytest.raises(AskError):
        filters(typed)


@pytest.mark.parametrize(
    "typed",
    [
        ["--url=ftp://x"],
        ["--url=fleet.example"],
        ["--url=http://"],
        ["--url=http://x:y"],
        ["--url=http://name:secret@x"],
        ["--filter=x"],
        ["--timeout=0"],
        ["--timeout=nan"],
        ["--ca=/nowhere"],
        ["--key-file=/nowhere"],
    ],
)
def test_what_is_mistyped_is_refused_before_anybody_is_asked(
    edge: Edge, capsys: pytest.CaptureFixture[str], typed: list[str]
) -> None:
    assert main(["ask", "x", *typed]) == 2
    assert edge.asked == []
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "secret" not in error


def test_an_unknown_setting_is_an_error(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASKFLEET_LAB_PORT", "8081")
    assert main(["ask", "x"]) == 0
    monkeypatch.setenv("ASKFLEET_ULR", edge.url)
    assert main(["ask", "x"]) == 2
    assert "ASKFLEET_ULR" in capsys.readouterr().err


# --- keys


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_key_comes_from_a_file(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    if way == "variable":
        monkeypatch.setenv("ASKFLEET_KEY_FILE", str(file))
    assert main(["ask", "x", *(["--key-file", str(file)] if way == "option" else [])]) == 0
    assert edge.asked[0][1]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("s3cret", 0o640, "chmod 600"),
        ("", 0o600, "has no API key"),
        ("two\nlines", 0o600, "has no API key"),
        ("schlüssel", 0o600, "has no API key"),
    ],
)
def test_another_file_is_refused_without_its_content(
    edge: Edge,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    mode: int,
    said: str,
) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    file.chmod(mode)
    assert main(["ask", "x", "--key-file", str(file)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert not content or content not in error
    assert edge.asked == []
