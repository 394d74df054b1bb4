"""A replica that cannot answer says so, refuses, and comes back by itself."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from asgi_client import Client
from contract import Search, check_problem, read
from local_fleet import LocalFleet, start_fleet
from scraped import Scraped
from small_generations import build_small

from app.service.breaker import IN_A_ROW
from app.wire import vectors_to_bytes

ALL = "/v1/search?q=question+number+1&k=60&probe=all&cache=0"


@pytest.fixture
def fleet(tmp_path: Path) -> LocalFleet:
    """A fleet of its own for each case, which breaks it; stores of more than a page."""
    texts = [f"question number {number} " + "x" * 20_000 for number in range(200)]
    return start_fleet(tmp_path, build_small(tmp_path / "built", texts))


def search(fleet: LocalFleet, shard: int = 1) -> Any:
    manifest = fleet.generation.manifest
    return fleet.shards[shard].post(
        f"/search?generation={manifest.id}&k=100",
        data=vectors_to_bytes(fleet.generation.vectors[:1]),
        headers={"Askfleet-Model": manifest.model.fingerprint},
    )


def check_status(client: Client, status: str) -> dict[str, Any]:
    """The health pages and the metrics agree."""
    code = 200 if status == "ok" else 503
    for path in ("/readyz", "/health"):
        told = client.get(path, headers={"Askfleet-Canary": "1"})
        assert (told.status_code, told.json and told.json["status"]) == (code, status)
    assert client.get("/livez").status_code == 200
    scraped = Scraped.of(client)
    assert scraped.value("askfleet_broken") == (status == "broken")
    assert scraped.value("askfleet_ready") == (status == "ok")
    body: dict[str, Any] = told.json or {}
    assert ("fault" in body) == (status == "broken")
    return body


def test_what_is_served_is_open_to_the_end(fleet: LocalFleet) -> None:
    """By a start after which nothing was asked; the self-query has touched one row."""
    whole = build_answers(fleet)
    shutil.rmtree(fleet.generation.directory)
    shutil.rmtree(fleet.generation.artefact)
    assert build_answers(fleet) == whole
    for client in fleet.clients.values():
        check_status(client, "ok")


def build_answers(fleet: LocalFleet) -> list[Any]:
    answer = read(fleet.gateway.get(ALL), Search)
    assert not answer.partial
    return [(hit.id, hit.text) for hit in answer.queries[0].results]


@pytest.mark.parametrize("canary", [False, True])
def test_a_damaged_store_is_out_at_once_and_back_when_it_is_mended(
    fleet: LocalFleet, canary: bool
) -> None:
    file = fleet.generation.directory / "shard-001/documents.bin"
    content = file.read_bytes()
    os.truncate(file, 4096)
    check_problem(search(fleet), 503, "replica_broken")
    body = check_status(fleet.shards[1], "broken")
    assert str(file) in body["fault"]
    headers = {"Askfleet-Canary": "1"} if canary else {}
    check_problem(fleet.shards[1].post("/search", headers=headers), 503, "replica_broken")
    assert read(fleet.gateway.get(ALL), Search).queries[0].shards_missing == [1]
    check_status(fleet.shards[0], "ok")
    with file.open("r+b") as same:
        same.write(content)
    ends = time.monotonic() + 10
    while search(fleet).status_code != 200:
        assert time.monotonic() < ends
        time.sleep(0.1)
    check_status(fleet.shards[1], "ok")
    assert not read(fleet.gateway.get(ALL), Search).partial


@pytest.mark.parametrize("service", ["encoder", "gateway"])
def test_unforeseen_errors_in_a_row_are_a_broken_replica_until_it_answers(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    client = fleet.clients[service]
    target, ask = {
        "encoder": (
            "app.encoder._encode",
            lambda: client.post("/encode", json={"texts": ["a"]}),
        ),
        "gateway": ("app.gateway.parse_query_string", lambda: client.get("/v1/search?q=a")),
    }[service]

    def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(target, fail)
        for _ in range(IN_A_ROW):
            check_status(client, "ok")
            check_problem(ask(), 500, "internal_error")
        assert "RuntimeError" in check_status(client, "broken")["fault"]
        check_problem(ask(), 500, "internal_error")
    assert ask().status_code == 200
    check_status(client, "ok")


def test_a_vector_that_is_not_finite_never_leaves_an_encoder(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def infinite(_: object, texts: list[Any]) -> Any:
        return [[float("nan")] * 8 for _ in texts]

    monkeypatch.setattr("encoder_fakes.FakeEngine.run", infinite)
    answer = fleet.encoder.post("/encode", json={"texts": ["never asked before"]})
    check_problem(answer, 500, "internal_error")
