"""What is answered when nothing is wrong, and when the fleet is."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from contract import Encoded, Process, Search, ShardSearch, check_problem, read
from encoder_fakes import DIM, vector_of
from local_fleet import LocalFleet, start_fleet
from small_generations import TEXTS, build_small

from app import __version__
from app.generation.documents import Documents
from app.wire import vectors_to_bytes
from index_builder.replay import Replay

CURL = {"content_type": "application/x-www-form-urlencoded"}


def test_process_is_the_contract_of_today(fleet: LocalFleet) -> None:
    """curl -d '{"instances":["…"]}' sends a form's content type."""
    body = '{"instances":["question number 7", "question number 3", "who?"]}'
    answer = read(fleet.gateway.post("/process", data=body, **CURL), Process)
    assert answer.match == "question number 7"
    assert answer.matches[:2] == ["question number 7", "question number 3"]
    assert len(answer.matches) == 3
    assert answer.matches[2] in TEXTS
    assert (answer.generation, answer.partial) == (fleet.generation.manifest.id, False)


def test_process_forgives_what_it_does_not_know(fleet: LocalFleet) -> None:
    body = '{"instances":["question number 7"], "signature_name": "serving_default"}'
    assert read(fleet.gateway.post("/process", data=body), Process).match == "question number 7"


def test_search_by_body_and_by_url_are_the_same(fleet: LocalFleet) -> None:
    body = {"queries": ["question number 7"], "k": 5, "probe": "all"}
    posted = read(fleet.gateway.post("/v1/search", data=json.dumps(body), **CURL), Search)
    got = read(fleet.gateway.get("/v1/search?q=question+number+7&k=5&probe=all"), Search)
    assert posted.queries == got.queries
    assert posted.generation == got.generation == fleet.generation.manifest.id
    assert posted.model == fleet.generation.manifest.model.fingerprint
    assert posted.partial is False
    [query] = posted.queries
    assert query.shards_asked == [0, 1, 2]
    assert (query.partial, query.shards_missing) == (False, [])
    scores = [hit.score for hit in query.results]
    assert scores == sorted(scores, reverse=True)
    assert query.results[0].text == "question number 7"
    assert len({hit.id for hit in query.results}) == 5


def test_documents_come_back_as_they_went_in(fleet: LocalFleet) -> None:
    known = {document.id: document for document in fleet.generation.documents}
    for start in range(0, 60, 20):
        body = json.dumps({"queries": TEXTS[start : start + 20], "k": 3})
        for query in read(fleet.gateway.post("/v1/search", data=body), Search).queries:
            for hit in query.results:
                source = known[hit.id]
                assert (hit.text, hit.answer, hit.metadata) == (
                    source.text,
                    source.answer,
                    source.metadata,
                )


def test_all_shards_together_are_one_machine(fleet: LocalFleet) -> None:
    """Through every service: ids and scores with probe=all are those of exact search."""
    questions = [*TEXTS[:20], *[f"stranger {number}" for number in range(20)]]
    body = json.dumps({"queries": questions, "k": 10, "probe": "all"})
    answer = read(fleet.gateway.post("/v1/search?rescore=0", data=body), Search)
    vectors = np.stack([vector_of(text) for text in questions])
    exact = vectors @ fleet.generation.vectors.T
    replayed = Replay(fleet.generation.directory).search(vectors, 10, "all")
    for query, row, hits in zip(answer.queries, exact, replayed.hits, strict=True):
        assert np.allclose([hit.score for hit in query.results], -np.sort(-row)[:10], atol=1e-6)
        ordinals = [int(hit.id[1:]) for hit in query.results]
        assert np.allclose(row[ordinals], -np.sort(-row)[:10], atol=1e-6)
        assert [hit.id for hit in query.results] == [hit.row.id for hit in hits]


def test_by_default_fewer_shards_are_asked_than_there_are(fleet: LocalFleet) -> None:
    body = json.dumps({"queries": TEXTS})
    queries = read(fleet.gateway.post("/v1/search", data=body), Search).queries
    assert all(1 <= len(query.shards_asked) <= 3 for query in queries)
    assert [query.results[0].text for query in queries] == list(TEXTS)


def test_a_shard_answers_with_its_documents(fleet: LocalFleet) -> None:
    manifest = fleet.generation.manifest
    for shard, client in enumerate(fleet.shards):
        answer = client.post(
            f"/search?generation={manifest.id}&k=1000",
            data=vectors_to_bytes(fleet.generation.vectors[:2]),
            headers={"Askfleet-Model": manifest.model.fingerprint},
        )
        body = read(answer, ShardSearch)
        assert (body.generation, body.shard) == (manifest.id, shard)
        assert [len(hits) for hits in body.results] == [manifest.shards[shard].documents] * 2
        for hits in body.results:
            assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
            assert all(hit.id == f"d{hit.ordinal:04}" for hit in hits)


def test_an_encoder_answers_in_bytes_and_in_json(fleet: LocalFleet) -> None:
    body = '{"texts":["a","b"]}'
    fingerprint = fleet.generation.manifest.model.fingerprint
    raw = fleet.encoder.post(f"/encode?model={fingerprint}", data=body)
    assert (raw.status_code, raw.content_type) == (200, "application/octet-stream")
    assert raw.headers["Askfleet-Model"] == fingerprint
    assert raw.headers["Askfleet-Dim"] == str(DIM)
    vectors = np.frombuffer(raw.data, "<f4").reshape(2, DIM)
    headers = {"Accept": "application/json"}
    shown = read(fleet.encoder.post("/encode", data=body, headers=headers), Encoded)
    assert (shown.model, shown.dim) == (fingerprint, DIM)
    assert np.array_equal(np.float32(shown.vectors), vectors)


HEALTH = {
    "status", "service", "unit", "host", "version", "release", "uptime_seconds", "model",
}  # fmt: skip
MORE = {
    "gateway": {"generations", "loaded", "documents", "cache", "withdrawn"},
    "shard": {"generations", "documents", "shard", "withdrawn"},
    "encoder": {"models", "dim", "precision", "cache", "queue"},
}


@pytest.mark.parametrize("service", MORE)
def test_the_health_pages(fleet: LocalFleet, service: str) -> None:
    client = fleet.clients[service]
    assert read(client.get("/livez"), dict) == {"status": "alive"}
    assert read(client.get("/readyz"), dict) == {"status": "ok"}
    health = read(client.get("/health"), dict)
    assert set(health) == HEALTH | MORE[service]
    assert (health["status"], health["service"]) == ("ok", service)
    assert health["version"] == __version__
    assert health["model"] == fleet.generation.manifest.model.fingerprint
    assert health["uptime_seconds"] >= 0
    if service != "encoder":
        served = {"current": fleet.generation.manifest.id, "previous": None}
        assert health["generations"] == served
        assert health["documents"] > 0


def test_the_requests_id_and_deadline_travel(fleet: LocalFleet) -> None:
    for wire in fleet.wires.values():
        wire.headers.clear()
    headers = {"x-request-id": "r-17", "Cookie": "secret", "Askfleet-Canary": "1"}
    fleet.gateway.get("/v1/search?q=a&probe=all", headers=headers)
    for wire in fleet.wires.values():
        [sent] = wire.headers
        assert sent["X-Request-ID"] == "r-17"
        assert 0 < int(sent["Askfleet-Deadline-Ms"]) <= 5000
        assert "Cookie" not in sent
        assert "Askfleet-Canary" not in sent


@pytest.fixture(scope="module")
def own_fleet(tmp_path_factory: pytest.TempPathFactory) -> LocalFleet:
    """A fleet whose parts may die."""
    root = tmp_path_factory.mktemp("losses")
    return start_fleet(root, build_small(root))


@pytest.fixture
def losing(own_fleet: LocalFleet) -> Iterator[LocalFleet]:
    yield own_fleet
    for wire in own_fleet.wires.values():
        wire.dead = False


def test_a_lost_shard_is_named_and_the_rest_answers(losing: LocalFleet) -> None:
    losing.wires["shard-1"].dead = True
    answer = read(losing.gateway.get("/v1/search?q=a&probe=all&k=100"), Search)
    assert answer.partial is True
    [query] = answer.queries
    assert (query.shards_asked, query.shards_missing) == ([0, 1, 2], [1])
    assert query.partial is True
    assert query.results
    body = json.dumps({"instances": TEXTS})
    assert read(losing.gateway.post("/process", data=body), Process).partial is True


def test_no_shard_is_unavailable(losing: LocalFleet) -> None:
    for shard in range(3):
        losing.wires[f"shard-{shard}"].dead = True
    for answer in (
        losing.gateway.get("/v1/search?q=a&cache=0"),
        losing.gateway.post("/process?cache=0", data='{"instances":["a"]}'),
    ):
        check_problem(answer, 503, "shards_unavailable")
        assert int(answer.headers["Retry-After"]) > 0


def test_no_encoder_is_unavailable(losing: LocalFleet) -> None:
    losing.wires["encoder"].dead = True
    answer = losing.gateway.post("/process?cache=0", data='{"instances":["a"]}')
    check_problem(answer, 503, "encoder_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_health_does_not_depend_on_others(losing: LocalFleet) -> None:
    for wire in losing.wires.values():
        wire.dead = True
    assert losing.gateway.get("/health").status_code == 200


def test_a_partial_answer_is_not_remembered(losing: LocalFleet) -> None:
    question = "/v1/search?q=remembered&probe=all"
    losing.wires["shard-1"].dead = True
    assert read(losing.gateway.get(question), Search).partial is True
    losing.wires["shard-1"].dead = False
    whole = read(losing.gateway.get(question), Search)
    assert whole.partial is False
    for wire in losing.wires.values():
        wire.dead = True
    again = read(losing.gateway.get(question), Search)
    assert (again.partial, again.queries) == (False, whole.queries)
    not_remembered = losing.gateway.get(f"{question}&cache=0")
    canary = losing.gateway.get(question, headers={"Askfleet-Canary": "1"})
    for answer in (not_remembered, canary):
        check_problem(answer, 503, "encoder_unavailable")


def test_what_is_remembered_is_of_one_question_k_and_probe(fleet: LocalFleet) -> None:
    seen = {}
    for _ in range(2):
        for query in ("q=b&k=3&probe=all", "q=b&k=4&probe=all", "q=b&k=3&probe=1", "q=c&k=3"):
            [answer] = read(fleet.gateway.get(f"/v1/search?{query}"), Search).queries
            assert seen.setdefault(query, answer) == answer
    assert len(seen["q=b&k=4&probe=all"].results) == 4
    assert len(seen["q=b&k=3&probe=1"].shards_asked) == 1


# --- the calls that a question costs: more of them would be slower on any machine ----------------


@pytest.fixture
def calls(fleet: LocalFleet) -> Callable[[], dict[str, int]]:
    for wire in fleet.wires.values():
        wire.headers.clear()
    return lambda: {name: len(wire.headers) for name, wire in fleet.wires.items() if wire.headers}


def test_a_question_is_one_call_to_an_encoder_and_one_to_each_shard_asked(
    fleet: LocalFleet, calls: Callable[[], dict[str, int]]
) -> None:
    [query] = read(fleet.gateway.get("/v1/search?q=new+a&k=100&cache=0"), Search).queries
    assert calls() == {"encoder": 1, **{f"shard-{n}": 1 for n in query.shards_asked}}


def test_questions_that_wait_together_are_fewer_calls_and_the_same_answers(
    fleet: LocalFleet, calls: Callable[[], dict[str, int]]
) -> None:
    texts = [f"question of caller {number}" for number in range(40)]

    def asked(text: str) -> object:
        headers = {"X-Request-ID": text.replace(" ", "-")}
        body = json.dumps({"queries": [text], "k": 7, "probe": "all"})
        answer = fleet.gateway.post("/v1/search?cache=0", data=body, headers=headers)
        return read(answer, Search).queries

    with ThreadPoolExecutor(20) as clients:
        together = list(clients.map(asked, texts))
    made = calls()
    sent = [told["X-Request-ID"] for told in fleet.wires["encoder"].headers]
    assert sum(made.values()) < 0.75 * 4 * len(texts), made
    assert sorted(",".join(sent).split(",")) == sorted(text.replace(" ", "-") for text in texts)
    assert [asked(text) for text in texts] == together


def test_many_questions_are_no_more_calls(
    fleet: LocalFleet, calls: Callable[[], dict[str, int]]
) -> None:
    body = json.dumps({"queries": [f"new {n}" for n in range(64)], "probe": "all"})
    read(fleet.gateway.post("/v1/search?cache=0", data=body), Search)
    assert calls() == {"encoder": 1, "shard-0": 1, "shard-1": 1, "shard-2": 1}


def test_what_is_remembered_costs_no_call(
    fleet: LocalFleet, calls: Callable[[], dict[str, int]]
) -> None:
    body = json.dumps({"queries": ["new b", "new c"], "probe": "all"})
    first = read(fleet.gateway.post("/v1/search", data=body), Search)
    assert calls() == {"encoder": 1, "shard-0": 1, "shard-1": 1, "shard-2": 1}
    assert read(fleet.gateway.post("/v1/search", data=body), Search).queries == first.queries
    assert sum(calls().values()) == 4
    body = json.dumps({"queries": ["new b", "new d"], "probe": "all"})
    read(fleet.gateway.post("/v1/search", data=body), Search)
    assert sum(calls().values()) == 8, "only what is new is asked, in one call each"


def test_a_shards_winners_are_read_once_and_not_decoded(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    own = Documents.fetch

    def counted(documents: Documents, rows: Sequence[int]) -> list[bytes]:
        reads.append(len(rows))
        return own(documents, rows)

    monkeypatch.setattr(Documents, "fetch", counted)
    monkeypatch.setattr("app.generation.shard_part.row_of", None)
    [query] = read(fleet.gateway.get("/v1/search?q=new+e&k=10&cache=0"), Search).queries
    assert reads == [10] * len(query.shards_asked)


def test_an_answer_never_mixes_two_generations(tmp_path: Path) -> None:
    """A shard that was flipped too early is missing from the answer, not part of it."""
    old = build_small(tmp_path / "old")
    new = build_small(tmp_path / "new", [f"new {t}" for t in TEXTS], artefact=old.artefact)
    for name in ("fleet-old", "fleet-new"):
        (tmp_path / name).mkdir()
    fleet = start_fleet(tmp_path / "fleet-old", old)
    other = start_fleet(tmp_path / "fleet-new", new)
    fleet.wires["shard-2"].app = other.wires["shard-2"].app
    answer = read(fleet.gateway.get("/v1/search?q=a&probe=all&k=100"), Search)
    assert answer.generation == old.manifest.id
    [query] = answer.queries
    assert query.shards_missing == [2]
    assert {hit.text for hit in query.results} <= set(TEXTS)


@pytest.mark.parametrize("service", ["gateway", "shard", "encoder"])
def test_a_drained_service(tmp_path: Path, service: str) -> None:
    fleet = start_fleet(tmp_path, build_small(tmp_path))
    client = fleet.clients[service]
    flag = {
        "gateway": fleet.config.drain_file,
        "shard": tmp_path / "shard" / "drain",
        "encoder": tmp_path / "encoder" / "drain",
    }[service]
    url, body = {
        "gateway": ("/process", '{"instances":["a"]}'),
        "shard": (
            f"/search?generation={fleet.generation.manifest.id}&k=1",
            vectors_to_bytes(fleet.generation.vectors[:1]),
        ),
        "encoder": ("/encode", '{"texts":["a"]}'),
    }[service]
    headers = {"Askfleet-Model": fleet.generation.manifest.model.fingerprint}
    canary = {**headers, "Askfleet-Canary": "1"}
    flag.touch()
    refusal = 502 if service == "gateway" else 503
    refused = client.post(url, data=body, headers=headers)
    check_problem(refused, refusal, "draining")
    assert int(refused.headers["Retry-After"]) > 0
    check_problem(client.get("/nothing"), refusal, "draining")
    assert client.post(url, data=body, headers=canary).status_code == 200
    assert client.get("/livez").status_code == 200
    for path in ("/readyz", "/health"):
        told = client.get(path)
        assert (told.status_code, told.json and told.json["status"]) == (503, "draining")
        assert client.get(path, headers=canary).status_code == 200
    flag.unlink()
    assert client.post(url, data=body, headers=headers).status_code == 200
    assert client.get("/readyz").status_code == 200
