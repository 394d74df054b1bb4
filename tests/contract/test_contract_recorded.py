"""What a gateway keeps of users' questions: nothing, or samples in memory for its own host."""

import json
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from asgi_client import Client
from local_fleet import LocalFleet, start_fleet
from small_generations import build_small
from werkzeug.serving import make_server

from app import cli
from app.gateway import create_app, fleet_of
from app.gateway.recorded import Recorded, Sample
from app.gateway.results import QueryResult
from app.gateway.upstream import ShardHit, Upstream
from app.wire import RECORDED_PATH

CANARY = {"Askfleet-Canary": "1"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> LocalFleet:
    root = tmp_path_factory.mktemp("recorded")
    return start_fleet(root, build_small(root))


@pytest.fixture
def gateway(fleet: LocalFleet) -> Client:
    """One that keeps four questions."""
    config = replace(fleet.config, record_questions=4)
    return Client(create_app(config, Upstream(fleet.wires, fleet_of(config))))


def told(gateway: Client, address: str = "127.0.0.1") -> Any:
    answer = gateway.get(RECORDED_PATH, environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == 200, answer.data
    (alone,) = json.loads(answer.data)["processes"]
    return alone


def test_it_keeps_what_users_asked_wherever_they_did(gateway: Client) -> None:
    gateway.get("/v1/search?q=one")
    gateway.post("/v1/search", json={"queries": ["two", " three\u200b "]})
    gateway.post("/process", json={"instances": ["four"]})
    gateway.get("/v1/search?q=nobody", headers=CANARY)
    gateway.get("/v1/search?q=")  # refused
    kept = told(gateway)
    assert kept["asked"] == {"seen": 4, "texts": ["one", "two", "three", "four"]}
    assert kept["unanswered"] == {"seen": 0, "texts": [], "nearest": []}


def test_what_is_unanswered_is_kept_apart() -> None:
    recorded = Recorded(9)
    found = ShardHit(
        id="a", text="known", answer=None, score=0.5, ordinal=0, metadata=msgspec.Raw(b"null")
    )
    results = [
        QueryResult([found], [0], [], 0.7),
        QueryResult([found], [0], [], 0.3),
        QueryResult([], [0], []),
        QueryResult([], [0], [0]),  # the missing shard may have it
    ]
    recorded.note(["sure", "unsure", "nothing", "partial"], results, 0.5)
    kept = recorded.told()
    assert kept["asked"]["seen"] == 4
    assert kept["unanswered"] == {
        "seen": 2,
        "texts": ["unsure", "nothing"],
        "nearest": ["known", ""],
    }
    assert recorded.told({"a"})["unanswered"]["nearest"] == ["", ""]  # withdrawn since


def test_it_keeps_no_more_than_it_may(gateway: Client) -> None:
    for number in range(20):
        gateway.get(f"/v1/search?q=question {number}")
    kept = told(gateway)["asked"]
    assert kept["seen"] == 20
    assert len(set(kept["texts"])) == 4


@pytest.mark.parametrize("address", ["198.18.0.11", "fe80::1", "10.0.0.1"])
def test_another_host_is_told_nothing(gateway: Client, address: str) -> None:
    answer = gateway.get(RECORDED_PATH, environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == 404


def test_who_comes_through_a_proxy_is_told_nothing(gateway: Client) -> None:
    """An edge on the gateway's own host calls from loopback; nginx says for whom."""
    assert gateway.get(RECORDED_PATH, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_is_only_read(gateway: Client, method: str) -> None:
    gateway.get("/v1/search?q=Quetzalcoatlus")
    answer = gateway.open(RECORDED_PATH, method=method)
    assert b"Quetzalcoatlus" not in answer.data


def test_no_other_page_tells_a_question(gateway: Client) -> None:
    gateway.get("/v1/search?q=Quetzalcoatlus")
    for path in ("/health", "/metrics", "/readyz", "/livez", "/openapi.json", "/v1/filters"):
        assert b"Quetzalcoatlus" not in gateway.get(path).data


def test_off_there_is_no_such_path(fleet: LocalFleet) -> None:
    assert fleet.gateway.get(RECORDED_PATH).status_code == 404


def test_a_sample_takes_all_alike() -> None:
    """Chi-square of 20 places against the same chance: below 43.8 in 999 of 1,000 runs."""
    counts: Counter[str] = Counter()
    for _ in range(3000):
        sample: Sample[str] = Sample(5)
        for number in range(20):
            sample.add(str(number))
        counts.update(sample.kept)
    wanted = 3000 * 5 / 20
    assert sum((counts[str(n)] - wanted) ** 2 / wanted for n in range(20)) < 60


def test_the_command_prints_them_or_says_what_to_set(
    gateway: Client, fleet: LocalFleet, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.get("/v1/search?q=one")
    for client, status in ((gateway, 0), (fleet.gateway, 1)):
        server = make_server("127.0.0.1", 0, client.application, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert cli.main(["recorded", f"--url=http://127.0.0.1:{server.server_port}"]) == status
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
    told = capsys.readouterr()
    assert json.loads(told.out)["processes"][0]["asked"]["texts"] == ["one"]
    assert "set askfleet_record_questions" in told.err
    assert cli.main(["recorded", "--url=http://127.0.0.1:9"]) == 1
