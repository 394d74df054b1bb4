"""Answers that words order too, and how sure they are: through every service."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from asgi_client import Client
from contract import Process, Search, ShardSearch, check_problem, read
from encoder_fakes import Opener, vector_of
from local_fleet import LocalFleet, start_fleet
from scraped import Scraped
from small_generations import TEXTS, build_small

from app.gateway import create_app as create_gateway
from app.gateway import fleet_of
from app.gateway.upstream import Upstream
from app.generation.rescoring import Rescorer
from app.wire import vectors_to_bytes
from index_builder import pipeline
from index_builder.choose_weight import USUAL
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
        keys = [one.score + USUAL * (one.lexical or 0) for one in ordered.results]
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
        asked(fleet, msgspec.msgpack.encode([rescorer.terms(text).packed for text in texts])),
        ShardSearch,
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
        (msgspec.msgpack.encode([b"\0abc"]), "bad_terms"),
        (msgspec.msgpack.encode([b"\0abc", b"\0ab"]), "bad_terms"),
        (b"\xc1", "bad_terms"),
        (b'["a"]', "bad_terms"),
    ],
)
def test_wrong_terms_are_refused(fleet: LocalFleet, terms: bytes, code: str) -> None:
    check_problem(asked(fleet, terms), 400, code)


def test_terms_of_nothing_order_nothing(fleet: LocalFleet) -> None:
    found = read(asked(fleet, msgspec.msgpack.encode([b"\0", b"\0"])), ShardSearch)
    assert {hit.lexical for hits in found.results for hit in hits} == {0.0}


# --- how sure an answer is --------------------------------------------------------------------


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> LocalFleet:
    """A fleet on a generation with labels: documents fit, strangers do not."""
    root = tmp_path_factory.mktemp("sure")
    texts = [f"question number {number} of many" for number in range(120)]
    labels = [
        *({"question": text, "id": f"d{at:04}", "same": True} for at, text in enumerate(texts)),
        *({"question": f"stranger {at}", "id": "", "same": False} for at in range(40)),
    ]
    told = root / "labels.jsonl"
    told.write_text("".join(json.dumps(label) + "\n" for label in labels))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "open_engine", Opener())
        generation = build_small(root, texts, shards=4, labelled=told)
    return start_fleet(root, generation)


FITS, FITS_NOT = "question number 7 of many", "foreigner 3"


@pytest.mark.parametrize("k", [1, 10])
def test_a_match_must_be_as_sure_as_is_asked(sure: LocalFleet, k: int) -> None:
    for bound in (None, 0, 0.5, 1):
        body = {"queries": [FITS, FITS_NOT], "k": k, "probe": "all"}
        body |= {} if bound is None else {"min_confidence": bound}
        answer = read(sure.gateway.post("/v1/search", data=json.dumps(body)), Search)
        for query in answer.queries:
            assert len(query.results) == k, "results are told in any case"
            assert query.confidence is not None
            passes = query.confidence >= (bound or 0)
            assert query.match == (query.results[0].id if passes else None)
        fits, fits_not = answer.queries
        assert (fits.confidence or 0) > 0.5 > (fits_not.confidence or 0)
    url = f"/v1/search?q=foreigner+3&k={k}&min_confidence=0.5"
    assert read(sure.gateway.get(url), Search).queries[0].match is None


def test_the_fleets_own_bound_is_that_of_process_too(sure: LocalFleet) -> None:
    config = replace(sure.config, min_confidence=0.5)
    gateway = Client(create_gateway(config, Upstream(sure.wires, fleet_of(config))))
    body = json.dumps({"instances": [FITS, FITS_NOT]})
    answer = read(gateway.post("/process", data=body), Process)
    assert (answer.match, answer.matches) == (FITS, [FITS, None])
    query = read(gateway.get("/v1/search?q=foreigner+3"), Search).queries[0]
    assert query.match is None
    assert read(gateway.get("/v1/search?q=foreigner+3&min_confidence=0"), Search).queries[0].match
    unanswered = Scraped.of(gateway).value("askfleet_gateway_unanswered_total")
    assert unanswered == 2
    without = read(sure.gateway.post("/process", data=body), Process)
    assert None not in without.matches


def test_who_cannot_be_sure_says_so(fleet: LocalFleet, sure: LocalFleet) -> None:
    """A bound on an answer that nobody has judged is an error; the fleet's own is let be."""
    body = '{"queries":["a"],"min_confidence":0.5}'
    for asked in (
        fleet.gateway.post("/v1/search", data=body),
        fleet.gateway.get("/v1/search?q=a&min_confidence=5e-1"),
        sure.gateway.post("/v1/search?rescore=0", data=body),
    ):
        check_problem(asked, 409, "no_confidence", "min_confidence")
    zero = fleet.gateway.post("/v1/search", data='{"queries":["a"],"min_confidence":0}')
    assert read(zero, Search).queries[0].confidence is None
    config = replace(fleet.config, min_confidence=0.9)
    gateway = Client(create_gateway(config, Upstream(fleet.wires, fleet_of(config))))
    assert read(gateway.post("/process", data='{"instances":["a"]}'), Process).match


@pytest.mark.parametrize("bound", ["null", '"a"', "true", "-0.1", "1.1", "[]", '"0.5"'])
def test_a_bound_that_is_none_is_named(sure: LocalFleet, bound: str) -> None:
    answer = sure.gateway.post("/v1/search", data=f'{{"queries":["a"],"min_confidence":{bound}}}')
    check_problem(answer, 400, "bad_min_confidence", "min_confidence")
