"""Every endpoint through nginx, against the answers worked out in one process."""

import json
import subprocess
from urllib.parse import quote

import pytest
from stack_processes import BIN, SERVICES, URL, Stack, ask, model

from app.generation.engine import open_engine
from index_builder.replay import Replay

QUESTIONS = (
    "how do you turn on an iphone?",
    "Why so serious?",
    "is it safe to take aspirin every day",
    "who wrote the book that the film was based on",
)


@pytest.fixture(scope="module")
def replay(stack: Stack) -> Replay:
    return Replay(stack.generation)


def right(replay: Replay, question: str, k: int, probe: str) -> list[tuple[str, float]]:
    vector = open_engine(model()).encode([question])
    hits = replay.search(vector, k, "all" if probe == "all" else "auto", [question]).hits[0]
    return [(hit.row.id, hit.score) for hit in hits]


def test_process_answers_plain_curl(stack: Stack):
    body = json.dumps({"instances": list(QUESTIONS)})
    done = subprocess.run(
        ["curl", "--silent", "--fail", "-d", body, f"{URL}/process"],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer["match"] == answer["matches"][0]
    assert len(answer["matches"]) == len(QUESTIONS)
    assert answer["generation"] == stack.generation.name
    assert answer["partial"] is False


@pytest.mark.parametrize("probe", ["auto", "all"])
def test_search_gives_the_ids_and_scores_of_one_process(stack: Stack, replay: Replay, probe):
    body = json.dumps({"queries": list(QUESTIONS), "k": 7, "probe": probe}).encode()
    answer = ask("/v1/search", body).json
    assert answer["generation"] == stack.generation.name
    for question, found in zip(QUESTIONS, answer["queries"], strict=True):
        expected = right(replay, question, 7, probe)
        assert [(one["id"], one["score"]) for one in found["results"]] == expected
        if probe == "all":
            assert found["shards_asked"] == [0, 1, 2, 3]


def test_search_by_url(replay: Replay):
    answer = ask(f"/v1/search?q={quote(QUESTIONS[0])}&k=3&probe=2").json["queries"][0]
    assert len(answer["results"]) == 3
    assert len(answer["shards_asked"]) == 2
    by_all = ask(f"/v1/search?q={quote(QUESTIONS[0])}&k=3&probe=all").json["queries"][0]
    got = [(one["id"], one["score"]) for one in by_all["results"]]
    assert got == right(replay, QUESTIONS[0], 3, "all")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_health_through_the_edge(path):
    assert ask(path).status == 200


def test_health_of_each_service_names_what_it_serves(stack: Stack):
    for name in SERVICES:
        told = ask("/health", url=stack.service(name)).json
        assert told["status"] == "ok"
        assert told["unit"] == name
        served = told["models"] if name == "encoder" else told["generations"]
        expected = model().name if name == "encoder" else stack.generation.name
        assert served["current"] == expected


def test_the_generations_own_canaries_pass(stack: Stack):
    command = [f"{BIN}/askfleet", "canary", "--url", URL, "--generation-dir"]
    done = subprocess.run([*command, str(stack.generation)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "canaries answered as they must" in done.stdout


@pytest.mark.parametrize(
    ("path", "body", "method", "status", "field"),
    [
        ("/process", b"{}", None, 400, "instances"),
        ("/process", b"not json", None, 400, None),
        ("/process", b'{"instances": [3]}', None, 400, "instances[0]"),
        ("/v1/search", b'{"queries": ["a"], "k": 0}', None, 400, "k"),
        ("/v1/search?q=a&k=101", None, None, 400, "k"),
        ("/process", None, "GET", 405, None),
        ("/process", None, "OPTIONS", 405, None),
        ("/livez", None, "OPTIONS", 405, None),
        ("/v1/search", None, "TRACE", 405, None),
        ("/v1/nothing", None, None, 404, None),
        ("/nothing", None, None, 404, None),
        ("/process", b" " * (2 << 20), None, 413, None),
        ("/v1/search?q=" + "a" * 20000, None, None, 414, None),
    ],
    ids=lambda value: str(value)[:24],
)
def test_errors_are_problems(path, body, method, status, field):
    answer = ask(path, body, method=method)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert {"type", "title", "detail", "code"} <= answer.json.keys()
    assert ("allow" in answer.headers) == (status == 405)
    assert "OPTIONS" not in answer.headers.get("allow", "")
    assert "access-control-allow-origin" not in answer.headers
    if field:
        assert answer.json["field"] == field


def test_the_most_text_that_a_request_may_have_is_answered():
    """64 questions of 125 characters: within the deadline wherever the fleet may run."""
    words = "how do you turn on an iphone when its screen is dark and nothing happens "
    heavy = [(words * 3)[place : place + 124].strip().ljust(125, "?") for place in range(64)]
    body = json.dumps({"queries": heavy, "k": 1}).encode()
    assert len(ask("/v1/search?cache=0", body).json["queries"]) == 64
    more = json.dumps({"queries": [*heavy[:-1], heavy[-1] + "?"], "k": 1}).encode()
    refused = ask("/v1/search?cache=0", more)
    assert (refused.status, refused.json["code"]) == (413, "too_much_text")
    assert "8,001 characters" in refused.json["detail"]


def test_a_header_that_is_too_long_is_a_problem():
    answer = ask("/health", headers={"X-Long": "a" * 40000})
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_request_id_comes_back():
    assert ask("/health", headers={"X-Request-ID": "me-1"}).headers["x-request-id"] == "me-1"
    assert ask("/health").headers["x-request-id"]
