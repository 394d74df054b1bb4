"""`askfleet preview`: the same questions of two generations, through a gateway as it is."""

import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from local_fleet import LocalFleet, start_fleet
from scraped import Scraped
from small_generations import TEXTS, SmallGeneration, build_small
from werkzeug.serving import make_server

from app import cli
from app.preview import run_preview
from app.wire.preview import CHARACTERS, SHOWN, Found, K, Pair

NOWHERE = "20260101T000000Z-00000000"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[SmallGeneration]:
    """Two generations with the same ids and other texts."""
    root = tmp_path_factory.mktemp("built")
    first = build_small(root, TEXTS)
    texts = [f"{text}, {text * 60}" for text in TEXTS]
    return [first, build_small(root, texts, artefact=first.artefact)]


@pytest.fixture
def fleet(tmp_path: Path, built: list[SmallGeneration]) -> LocalFleet:
    """Serves generation 0; shards have generation 1 too."""
    return start_fleet(tmp_path, built[0], built[1])


@pytest.fixture
def url(fleet: LocalFleet) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, fleet.gateway.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ids(built: list[SmallGeneration]) -> tuple[str, str]:
    return built[0].manifest.id, built[1].manifest.id


def test_both_generations_answer_each_question(url: str, built: list[SmallGeneration]) -> None:
    questions = list(TEXTS[:3])
    pairs = list(run_preview(url, *ids(built), questions, 10))
    assert [pair.question for pair in pairs] == questions
    for pair in pairs:
        assert pair.before.error == pair.after.error == ""
        assert len(pair.before.results) == len(pair.after.results) == K
        assert pair.before.results[0].text == pair.question
        assert pair.before.results[0].score > pair.after.results[0].score
        assert pair.before.match == pair.before.results[0].id
        assert pair.before.shards_asked
        assert pair.before.ms > 0 < pair.after.ms


def test_texts_are_cut_and_only_of_the_first(url: str, built: list[SmallGeneration]) -> None:
    (pair,) = run_preview(url, *ids(built), TEXTS[:1], 10)
    results = pair.after.results
    assert max(len(found.text) for found in results) == CHARACTERS
    assert all(found.text for found in results[:SHOWN])
    assert results[SHOWN:] == [Found(found.id, found.score) for found in results[SHOWN:]]


def test_a_question_without_an_answer_says_why(url: str, built: list[SmallGeneration]) -> None:
    now, _ = ids(built)
    empty, unknown = run_preview(url, now, NOWHERE, ["", "a"], 10)
    assert empty.before.error == "400 empty_query"
    assert unknown.before.error == ""
    assert unknown.after.error.startswith("409 ")
    (gone,) = run_preview("http://127.0.0.1:9", now, NOWHERE, ["a"], 1)
    assert gone.before.error == gone.after.error == "ConnectionError"


def test_nothing_of_it_counts_as_a_users_question(
    url: str, fleet: LocalFleet, built: list[SmallGeneration]
) -> None:
    list(run_preview(url, *ids(built), TEXTS[:3], 10))
    scraped = Scraped.of(fleet.gateway)
    assert scraped.value("askfleet_gateway_questions_total", source="fleet") == 0
    assert scraped.value("askfleet_gateway_score_count") == 0


def test_the_command_reads_questions_and_prints_pairs(
    url: str,
    built: list[SmallGeneration],
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    before, after = ids(built)
    command = ["preview", f"--url={url}", f"--before={before}", f"--after={after}"]
    given = json.dumps(TEXTS[:2]).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert cli.main(command) == 0
    lines = capsysbinary.readouterr().out.splitlines()
    pairs = [msgspec.json.decode(line, type=Pair) for line in lines]
    assert [pair.question for pair in pairs] == list(TEXTS[:2])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}')))
    assert cli.main(command) == 1
    assert b"no JSON list of questions" in capsysbinary.readouterr().err
