"""A fleet of more shards than the corpus has texts: healthy, whole answers, canaries pass."""

import json
from pathlib import Path

import pytest
from canary_answers import weight_of
from contract import Process, Search, read
from local_fleet import start_fleet
from small_generations import build_small

from app.generation import canary


@pytest.mark.parametrize("texts", [["one"], ["one", "two"], ["one", "two", "three"], ["one"] * 40])
def test_a_fleet_of_four_shards(tmp_path: Path, texts: list[str]) -> None:
    generation = build_small(tmp_path, texts, shards=4, index="auto")
    fleet = start_fleet(tmp_path, generation)
    held = [shard.documents for shard in generation.manifest.shards]
    filled = [shard for shard, count in enumerate(held) if count]
    assert len(filled) == len(set(texts))
    for shard, client in enumerate(fleet.shards):
        assert client.get("/readyz").status_code == 200
        health = client.get("/health").json
        assert health is not None
        assert health["documents"] == held[shard]
    for text in set(texts):
        answer = read(
            fleet.gateway.post("/process", data=json.dumps({"instances": [text]})), Process
        )
        assert (answer.match, answer.partial) == (text, False)
        for probe in ("auto", "all", 1, 4):
            body = {"queries": [text, "stranger"], "k": 100, "probe": probe}
            found = read(fleet.gateway.post("/v1/search", data=json.dumps(body)), Search)
            assert found.partial is False
            for query in found.queries:
                assert query.results
                assert set(query.shards_asked) <= set(filled)
                assert len(query.results) == len({hit.id for hit in query.results})
            if probe == "all":
                assert len(found.queries[1].results) == len(texts)
    for one in canary.read(generation.directory / canary.NAME):
        body = {"queries": [one.question], "k": len(one.ids)}
        path = "/v1/search" if one.lexical else "/v1/search?rescore=0"
        [query] = read(fleet.gateway.post(path, data=json.dumps(body)), Search).queries
        results, weight = query.results, weight_of(generation.manifest)
        got = canary.keys([hit.score for hit in results], [hit.lexical for hit in results], weight)
        assert canary.difference(one, [hit.id for hit in results], got, weight) is None


def test_an_empty_shard_that_is_dead_costs_nothing(tmp_path: Path) -> None:
    fleet = start_fleet(tmp_path, build_small(tmp_path, ["one", "two"], shards=4))
    for shard in (2, 3):
        fleet.wires[f"shard-{shard}"].dead = True
    body = json.dumps({"queries": ["one"], "probe": "all"})
    answer = read(fleet.gateway.post("/v1/search", data=body), Search)
    assert (answer.partial, answer.queries[0].shards_asked) == (False, [0, 1])
