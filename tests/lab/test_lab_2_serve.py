"""The first index, and every endpoint through nginx."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from lab_corpora import GENERATIONS, K, update
from lab_hosts import (
    GATEWAYS,
    HOSTS,
    SHARDS,
    health,
    links,
    parts,
    run_on,
    serving,
    unit_properties,
)
from lab_plays import URL

EXACT = 20


@pytest.mark.stage
def test_first_update_serves(corpora, tell):
    done = update(corpora, "A").succeeded()
    tell(f"update {done.seconds:.1f} s")
    (generation,) = corpora.ids("A")
    model = corpora.model.name
    for where, now in serving().items():
        assert now == (model if "encoder" in where else generation, None), where
    for where, now in links().items():
        assert now == (model if "encoder" in where else generation, ""), where


def test_each_host_holds_its_own_part_and_nothing_else(corpora):
    (generation,) = corpora.ids("A")
    model = corpora.model.name
    place = f"generations/{generation}"
    shards = {"shard-a": (0, 1), "shard-b": (1, 2), "shard-c": (2, 3), "shard-d": (3, 0)}
    for host in HOSTS:
        held = {path.rpartition("/")[0] if "/shard-" in path else path for path in parts(host)}
        if host in SHARDS:
            wanted = {f"{place}/shard-00{shard}" for shard in shards[host]}
            assert held == wanted | {f"{place}/manifest.json"}, host
        elif host in GATEWAYS:
            routing = {path for path in held if path.startswith(f"{place}/routing/")}
            assert routing
            assert held - routing == {f"{place}/manifest.json", f"{place}/canaries.jsonl"}, host
        elif host == "edge-1":
            assert not held
        else:
            assert held
            assert all(path.startswith(f"models/{model}/") for path in held), host


@pytest.mark.parametrize("user", ["nobody", "www-data"])
def test_a_corpus_is_readable_by_its_service_alone(user):
    """The services read it: they serve."""
    files = "find /srv/askfleet -type f ! -name manifest.json -readable"
    for host in (*SHARDS, *GATEWAYS, "encoder-1"):
        assert run_on(host, "sh", "-c", files).strip()
        readable = run_on(host, "runuser", "-u", user, "--", "sh", "-c", files, check=False)
        assert readable.strip() == "", host


def size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def test_a_service_may_have_the_memory_that_what_it_loads_needs(corpora):
    (generation,) = corpora.ids("A")
    place = GENERATIONS / generation
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    needs = {f"askfleet-shard@{n}": s["memory_bytes"] for n, s in enumerate(manifest["shards"])}
    needs["askfleet-gateway"] = size(place / "routing")
    needs["askfleet-encoder"] = 3 * size(corpora.model)
    for host, unit in ((host, unit) for host, (_, units) in HOSTS.items() for unit in units):
        shown = unit_properties(host, f"{unit}.service", "MemoryMax")["MemoryMax"]
        own = 2**29 if "shard" in unit else 2**31 if "gateway" in unit else 2**30
        assert int(shown) == own + needs[unit], (host, unit)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_health_pages(path):
    response = requests.get(URL + path, timeout=10)
    assert response.status_code == 200
    assert response.json() == {"status": "alive" if path == "/livez" else "ok"}


def test_health_of_a_gateway(corpora):
    body = health()["gateway-1 askfleet-gateway"]
    assert (body["status"], body["service"], body["host"]) == ("ok", "gateway", "gateway-1")
    assert body["generations"] == {"current": corpora.ids("A")[0], "previous": None}
    assert body["model"] == corpora.model.name
    assert body["documents"] == 2000


def test_process_as_users_call_it_today(corpora):
    """`curl -d` sends a form type; the body is JSON all the same."""
    question = corpora.questions[0]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = json.dumps({"instances": [question]})
    answer = requests.post(f"{URL}/process", data=body, headers=form, timeout=10)
    assert answer.status_code == 200
    assert answer.json()["match"] == corpora.answers["A"].auto[question].text


@pytest.mark.parametrize(("probe", "k"), [("all", 10), ("all", 1), ("auto", 100), (1, 10), (2, 10)])
def test_search_by_post_equals_one_process(corpora, probe, k):
    questions = corpora.questions[:EXACT]
    body = {"queries": questions, "k": k, "probe": probe}
    answer = _ok(requests.post(f"{URL}/v1/search", json=body, timeout=20))
    assert [_ids(query) for query in answer["queries"]] == corpora.exact("A", questions, k, probe)
    assert answer["generation"] == corpora.ids("A")[0]
    assert answer["model"] == corpora.model.name
    assert answer["partial"] is False
    if probe == "all":
        assert all(query["shards_asked"] == [0, 1, 2, 3] for query in answer["queries"])


def test_search_by_get_equals_one_process(corpora):
    for question in corpora.questions[:EXACT]:
        answer = _ok(requests.get(f"{URL}/v1/search", {"q": question, "k": K}, timeout=10))
        (query,) = answer["queries"]
        assert _ids(query) == corpora.answers["A"].auto[question].ids
        assert set(query["results"][0]) == {
            "id",
            "text",
            "answer",
            "score",
            "lexical",
            "metadata",
            "matched",
        }


def test_request_id_is_kept_or_made():
    given = requests.get(f"{URL}/livez", headers={"X-Request-ID": "lab-7"}, timeout=10)
    assert given.headers["X-Request-ID"] == "lab-7"
    made = [requests.get(f"{URL}/livez", timeout=10).headers["X-Request-ID"] for _ in range(2)]
    assert made[0] != made[1]
    assert all(len(one) >= 16 for one in made)


def _post(body: bytes, path: str = "/v1/search") -> Mapping[str, Any]:
    return {"method": "POST", "path": path, "body": body}


def _search(**members: object) -> Mapping[str, Any]:
    return _post(json.dumps({"queries": ["why?"], **members}).encode())


FAULTS = {
    "unknown path": (404, None, {"method": "GET", "path": "/nothing"}),
    "unknown path below v1": (404, None, {"method": "GET", "path": "/v1/nothing"}),
    "wrong method": (405, None, {"method": "GET", "path": "/process"}),
    "wrong method of search": (405, None, {"method": "DELETE", "path": "/v1/search"}),
    "too large": (413, None, _post(b'{"queries":["' + b"x" * (1 << 20) + b'"]}')),
    "no body": (400, None, _post(b"")),
    "invalid JSON": (400, None, _post(b'{"queries": [')),
    "invalid UTF-8": (400, None, _post(b'{"queries": ["\xff"]}')),
    "invalid JSON to process": (400, None, _post(b"{", "/process")),
    "no instances": (400, "instances", _post(b"{}", "/process")),
    "no question": (400, "queries", _search(queries=[])),
    "not a string": (400, "queries[0]", _search(queries=[1])),
    "too long": (400, "queries[0]", _search(queries=["x" * 2001])),
    "too many": (400, "queries", _search(queries=["x"] * 65)),
    "k too large": (400, "k", _search(k=101)),
    "k too small": (400, "k", _search(k=0)),
    "bad probe": (400, "probe", _search(probe="most")),
    "no q": (400, "q", {"method": "GET", "path": "/v1/search"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_have_one_shape(fault):
    status, field, asked = FAULTS[fault]
    url = URL + asked["path"]
    answer = requests.request(asked["method"], url, data=asked.get("body"), timeout=10)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "code"} <= set(problem)
    assert problem.get("field") == field
    assert answer.headers["X-Request-ID"]
    assert answer.headers["Server"] == "nginx"


def _ok(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def _ids(query: dict[str, Any]) -> list[str]:
    return [result["id"] for result in query["results"]]
