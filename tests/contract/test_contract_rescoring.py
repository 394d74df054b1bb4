"""Answers that words order too: through every service, and what a shard says to wrong terms."""

import json
from typing import Any

import numpy as np
import pytest
from contract import Search, ShardSearch, check_problem, read
from encoder_fakes import vector_of
from local_fleet import LocalFleet
from small_generations import TEXTS

from app.generation.rescoring import Rescorer
from app.wire import terms_to_bytes, vectors_to_bytes
from index_builder.replay import Replay

QUESTIONS = [*TEXTS[:10], "number 7 of any questions", "questoin nmber 12", "?"]


@pytest.mark.parametrize("probe", ["auto", "all"])
def test_the_fleet_answers_as_one_process(fleet: LocalFleet, probe: Any) -> None:
    body = json.dumps({"queries": QUESTIONS, "k": 7, "probe": probe})
    answer = read(fleet.gateway.post("/v1/search", data=body), Search)
    vectors = np.stack([vector_of(text) for text in QUESTIONS])
    replayed = Replay(fleet.generation.directory).search(vectors, 7, probe, QUESTIONS)
    for query, hits in zip(answer.queries, replayed.hits, strict=True):
        assert [(one.id, one.score, one.lexical) for one in query.results] == [
            (hit.row.id, hit.score, hit.lexical) for hit in hits
        ]
        assert all(0 <= (one.lexical or 0) <= 1 for one in query.results)
    assert answer.queries[0].results[0].lexical == 1, "a document has all words of itself"


def test_by_score_alone_on_demand(fleet: LocalFleet) -> None:
    """The same by each way of asking; remembered apart from what words have ordered."""
    for _ in range(2):
        by_url = read(fleet.gateway.get("/v1/search?q=number+7&rescore=0&probe=all"), Search)
        body = '{"queries":["number 7"],"probe":"all"}'
        by_body = read(fleet.gateway.post("/v1/search?rescore=0", data=body), Search)
        usual = read(fleet.gateway.get("/v1/search?q=number+7&probe=all"), Search)
        [plain], [ordered] = by_url.queries, usual.queries
        assert [plain] == by_body.queries
        scores = [one.score for one in plain.results]
        assert scores == sorted(scores, reverse=True)
        assert {one.lexical for one in plain.results} == {None}
        assert all(one.lexical is not None for one in ordered.results)
        keys = [one.score + 0.2 * (one.lexical or 0) for one in ordered.results]
        assert keys == sorted(keys, reverse=True)


@pytest.mark.parametrize("path", ["/v1/search?q=a&", "/v1/search?", "/process?"])
def test_a_wrong_switch_is_named(fleet: LocalFleet, path: str) -> None:
    body = '{"queries":["a"]}' if "search" in path else '{"instances":["a"]}'
    ask = fleet.gateway.get if "q=" in path else fleet.gateway.post
    more: dict[str, Any] = {} if "q=" in path else {"data": body}
    for name in ("rescore", "cache"):
        check_problem(ask(f"{path}{name}=yes", **more), 400, f"bad_{name}", name)


def asked(fleet: LocalFleet, terms: bytes, k: int = 3) -> Any:
    manifest = fleet.generation.manifest
    return fleet.shards[0].post(
        f"/search?generation={manifest.id}&k={k}&terms={len(terms)}",
        data=vectors_to_bytes(fleet.generation.vectors[:2]) + terms,
        headers={"Askfleet-Model": manifest.model.fingerprint},
    )


def test_a_shard_tells_what_it_has_beside_its_hits(fleet: LocalFleet) -> None:
    generation = fleet.generation
    rescorer = Rescorer.load(generation.directory, generation.manifest)
    assert rescorer is not None
    texts = [document.text for document in generation.documents[:2]]
    found = read(
        asked(fleet, terms_to_bytes([rescorer.terms(text).packed for text in texts])), ShardSearch
    )
    assert found.rest is not None
    held = generation.manifest.shards[0].documents
    for hits, (ordinals, scores) in zip(found.results, found.rest, strict=True):
        assert len(hits) + len(ordinals) == min(held, 50)
        assert len(hits) >= 3
        assert not {hit.ordinal for hit in hits} & set(ordinals)
        assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (terms_to_bytes([b"\0abc"]), "bad_terms"),
        (terms_to_bytes([b"\0abc", b"\0ab"]), "bad_terms"),
        (b"\xc1", "bad_terms"),
        (b'["a"]', "bad_terms"),
    ],
)
def test_wrong_terms_are_refused(fleet: LocalFleet, terms: bytes, code: str) -> None:
    check_problem(asked(fleet, terms), 400, code)


def test_terms_of_nothing_order_nothing(fleet: LocalFleet) -> None:
    found = read(asked(fleet, terms_to_bytes([b"\0", b"\0"])), ShardSearch)
    assert {hit.lexical for hits in found.results for hit in hits} == {0.0}
