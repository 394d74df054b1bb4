"""Filters through every service: over links and pools, in URLs and bodies, remembered apart."""

import json
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import pytest
from contract import Search, check_problem, read
from encoder_fakes import vector_of
from local_fleet import LocalFleet, start_fleet
from small_generations import build_small

from app.generation.filters import MAX_FILTER, filter_text
from app.wire import vectors_to_bytes
from index_builder.corpus.document import Document
from index_builder.filterable import wanted_fields
from index_builder.replay import Replay

DOCUMENTS = [
    Document(
        id=f"d{n:04}",
        text=f"question number {n}",
        metadata={"set": ("faq", "news")[n % 2], "n": n, "größe": "é" * (n % 3)},
    )
    for n in range(80)
]
QUESTIONS = ["question number 3", "number 40?", "?"]
FILTERS: list[dict[str, Any]] = [
    {"set": "faq"},
    {"set": ["faq", "news"], "n": {"gte": 10, "lt": 30}},
    {"größe": "éé"},
    {"set": "none such"},
]


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> LocalFleet:
    root = tmp_path_factory.mktemp("filters")
    fields = wanted_fields("set,n,größe")
    return start_fleet(root, build_small(root, documents=DOCUMENTS, shards=4, filterable=fields))


def ids_of(answer: Search) -> list[list[str]]:
    return [[one.id for one in query.results] for query in answer.queries]


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("probe", ["auto", "all", 1])
def test_the_fleet_answers_as_one_process(
    filtered: LocalFleet, wanted: dict[str, Any], probe: Any
) -> None:
    body = json.dumps({"queries": QUESTIONS, "k": 7, "probe": probe, "filter": wanted})
    answer = read(filtered.gateway.post("/v1/search", data=body), Search)
    vectors = np.stack([vector_of(text) for text in QUESTIONS])
    replayed = Replay(filtered.generation.directory).search(vectors, 7, probe, QUESTIONS, wanted)
    assert ids_of(answer) == replayed.ids
    assert not answer.partial
    url = f"/v1/search?q={quote(QUESTIONS[0])}&k=7&probe={probe}&filter={quote(json.dumps(wanted))}"
    assert ids_of(read(filtered.gateway.get(url), Search)) == replayed.ids[:1]


def test_answers_are_remembered_by_their_filter(filtered: LocalFleet) -> None:
    def ask(wanted: Any) -> list[list[str]]:
        body = json.dumps({"queries": QUESTIONS[:1], "filter": wanted})
        return ids_of(read(filtered.gateway.post("/v1/search", data=body), Search))

    def hits() -> int:
        answer = filtered.gateway.get("/health")
        return int(msgspec.json.decode(answer.data)["cache"]["hits"])

    everything = ask({})
    first = {str(wanted): ask(wanted) for wanted in FILTERS}
    before = hits()
    assert {str(wanted): ask(wanted) for wanted in FILTERS} == first
    assert hits() == before + len(FILTERS)
    assert ask({}) == everything
    assert len({str(ids) for ids in [everything, *first.values()]}) == len(FILTERS) + 1


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ("faq", "filter"),
        (["set"], "filter"),
        (None, "filter"),
        ({"colour": "red"}, "filter.colour"),
        ({"set": 1}, "filter.set"),
        ({"n": {"gte": "1"}}, "filter.n.gte"),
        ({"set": "x" * MAX_FILTER}, "filter"),
        ({"set": "\ud800"}, "filter"),
    ],
)
def test_what_is_wrong_is_named(filtered: LocalFleet, wanted: Any, field: str) -> None:
    body = json.dumps({"queries": ["a"], "filter": wanted})
    check_problem(filtered.gateway.post("/v1/search", data=body), 400, "bad_filter", field)


@pytest.mark.parametrize("text", ["", "set", "{", "[1]", "{'set': 'faq'}", '{"n":NaN}'])
def test_a_url_has_json(filtered: LocalFleet, text: str) -> None:
    answer = filtered.gateway.get(f"/v1/search?q=a&filter={quote(text)}")
    check_problem(answer, 400, "bad_filter", "filter")


def test_the_fields_are_told(filtered: LocalFleet, fleet: LocalFleet) -> None:
    told = msgspec.json.decode(filtered.gateway.get("/v1/filters").data)
    assert told["generation"] == filtered.generation.manifest.id
    by_name = {one["name"]: one for one in told["fields"]}
    assert list(by_name) == ["set", "n", "größe"]
    told_of = by_name["set"]
    assert (told_of["type"], told_of["documents"], told_of["distinct"]) == ("keyword", 80, 2)
    assert sorted((one["value"], one["documents"]) for one in told_of["values"]) == [
        ("faq", 40),
        ("news", 40),
    ]
    assert {type(one["value"]) for one in by_name["n"]["values"]} == {int}
    assert (by_name["n"]["min"], by_name["n"]["max"], by_name["n"]["distinct"]) == (0, 79, 80)
    plain = msgspec.json.decode(fleet.gateway.get("/v1/filters").data)
    assert plain == {"generation": fleet.generation.manifest.id, "fields": []}


def test_a_generation_without_fields_says_so(fleet: LocalFleet) -> None:
    body = json.dumps({"queries": ["a"], "filter": {"set": "faq"}})
    problem = check_problem(
        fleet.gateway.post("/v1/search", data=body), 400, "bad_filter", "filter.set"
    )
    assert "built without --filterable" in problem.detail


@pytest.mark.parametrize(
    ("sent", "field"), [(b'{"x":1}', "filter.x"), (b"{", "filter"), (b"\xff", "filter")]
)
def test_a_shard_checks_what_it_is_sent(filtered: LocalFleet, sent: bytes, field: str) -> None:
    manifest = filtered.generation.manifest
    answer = filtered.shards[0].post(
        f"/search?generation={manifest.id}&k=3&filter={len(sent)}",
        data=vectors_to_bytes(filtered.generation.vectors[:2]) + sent,
        headers={"Askfleet-Model": manifest.model.fingerprint},
    )
    check_problem(answer, 400, "bad_filter", field)


def test_a_shard_finds_what_passes(filtered: LocalFleet) -> None:
    manifest, wanted = filtered.generation.manifest, filter_text({"set": "faq"}).encode()
    answer = filtered.shards[0].post(
        f"/search?generation={manifest.id}&k=100&filter={len(wanted)}",
        data=vectors_to_bytes(filtered.generation.vectors[:1]) + wanted,
        headers={"Askfleet-Model": manifest.model.fingerprint},
    )
    [hits] = msgspec.json.decode(answer.data)["results"]
    assert hits
    assert {hit["metadata"]["set"] for hit in hits} == {"faq"}
