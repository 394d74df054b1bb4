"""What Prometheus reads, and what the log says of a request that failed."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asgi_client import Client
from certificates import CA
from local_fleet import LocalFleet, start_fleet
from scraped import Scraped
from small_generations import SmallGeneration, build_small, flip, link, shard_config

from app import __version__
from app.config import TlsConfig
from app.service.logs import JsonFormatter
from app.shard import create_app as create_shard

SERVICES = ("gateway", "shard", "encoder")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[SmallGeneration]:
    root = tmp_path_factory.mktemp("metered")
    first = build_small(root)
    return [first, build_small(root, [f"new {n}" for n in range(40)], artefact=first.artefact)]


@pytest.fixture
def fleet(tmp_path: Path, built: list[SmallGeneration]) -> LocalFleet:
    return start_fleet(tmp_path, built[0])


class _Lines(logging.Handler):
    """Keeps what a service's own formatter makes of every record."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter("gateway"))
        self.told: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        assert "\n" not in line
        self.told.append(json.loads(line))


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    handler = _Lines()
    logging.getLogger().addHandler(handler)
    yield handler.told
    logging.getLogger().removeHandler(handler)


def test_every_request_is_counted_and_timed(fleet: LocalFleet) -> None:
    for question in ("a", "b"):
        assert fleet.gateway.get(f"/v1/search?q={question}").status_code == 200
    fleet.gateway.get("/v1/search?q=a&k=0")
    fleet.gateway.get("/made/up/by/callers")
    told = Scraped.of(fleet.gateway)
    asked = {"endpoint": "/v1/search"}
    assert told.value("askfleet_requests_total", status="200", **asked) == 2
    assert told.value("askfleet_requests_total", status="400", **asked) == 1
    assert told.value("askfleet_requests_total", status="404", endpoint="other") == 1
    assert told.value("askfleet_problems_total", code="bad_k") == 1
    assert told.value("askfleet_problems_total", code="not_found") == 1
    assert told.value("askfleet_request_seconds_count", **asked) == 3
    assert told.value("askfleet_request_seconds_sum", **asked) > 0
    assert told.value("askfleet_request_seconds_bucket", le="+Inf", **asked) == 3
    assert "made" not in str(told)


def test_a_gateway_counts_fan_out_memory_and_partial_answers(fleet: LocalFleet) -> None:
    fleet.gateway.get("/v1/search?q=a&probe=2")
    fleet.gateway.get("/v1/search?q=a&probe=2")  # from memory
    fleet.wires["shard-1"].dead = True
    fleet.gateway.get("/v1/search?q=b&probe=all")
    told = Scraped.of(fleet.gateway)
    assert told.value("askfleet_gateway_questions_total", source="memory") == 1
    assert told.value("askfleet_gateway_questions_total", source="fleet") == 2
    assert told.value("askfleet_gateway_shards_asked_sum") == 2 + 3
    assert told.value("askfleet_gateway_shards_asked_count") == 2
    assert told.value("askfleet_gateway_partial_total") == 1
    assert told.value("askfleet_gateway_shard_missing_total", shard="1") == 1


def test_an_encoder_tells_queue_slots_batches_and_cache(fleet: LocalFleet) -> None:
    for texts in (["a", "b", "c"], ["a"]):
        fleet.encoder.post("/encode", data=json.dumps({"texts": texts}))
    told = Scraped.of(fleet.encoder)
    assert told.value("askfleet_encoder_batch_texts_sum") == 4
    assert told.value("askfleet_encoder_batch_texts_count") == 2
    assert told.value("askfleet_encoder_cache_misses_total") == 3
    assert told.value("askfleet_encoder_cache_hits_total") == 1
    assert told.value("askfleet_encoder_queue_pending") == 0
    assert told.value("askfleet_encoder_slots_running") == 0
    assert 0 < told.value("askfleet_encoder_slots") < told.value("askfleet_encoder_queue_limit")


def test_a_shard_counts_searches(fleet: LocalFleet) -> None:
    fleet.gateway.get("/v1/search?q=a&probe=all")
    body = json.dumps({"queries": ["x", "y"], "probe": "all"})
    fleet.gateway.post("/v1/search", data=body)
    for shard in fleet.shards:
        told = Scraped.of(shard)
        assert told.value("askfleet_shard_searches_total") == 3
        assert told.value("askfleet_documents") > 0


@pytest.mark.parametrize("service", SERVICES)
def test_what_serves_is_told_by_every_service(fleet: LocalFleet, service: str) -> None:
    told = Scraped.of(fleet.clients[service])
    manifest = fleet.generation.manifest
    assert told.labels("askfleet_info") == {
        "version": __version__,
        "release": "development",
        "model": manifest.model.fingerprint,
        "generation": "" if service == "encoder" else manifest.id,
        "previous": "",
    }
    if service == "encoder":
        assert told.labels("askfleet_model_loaded") == {"model": manifest.model.fingerprint}
    else:
        assert told.labels("askfleet_generation_loaded") == {"generation": manifest.id}
    assert (told.value("askfleet_ready"), told.value("askfleet_drained")) == (1, 0)
    assert 0 < told.value("askfleet_disk_free_bytes") < told.value("askfleet_disk_bytes")
    assert told.value("process_resident_memory_bytes") > 0


def test_after_a_flip_the_info_is_of_the_new_generation(
    fleet: LocalFleet, built: list[SmallGeneration]
) -> None:
    old, new = built
    Scraped.of(fleet.gateway)
    flip(fleet.config.links, "current", new.directory)
    (fleet.config.links / "previous").symlink_to(old.directory)
    scraped = Scraped.of(fleet.gateway)
    told = scraped.labels("askfleet_info")
    assert (told["generation"], told["previous"]) == (new.manifest.id, old.manifest.id)
    for generation in (old, new):
        loaded = {"generation": generation.manifest.id}
        assert scraped.value("askfleet_generation_loaded", **loaded) == 1


def test_a_drained_service_still_tells(fleet: LocalFleet) -> None:
    fleet.config.drain_file.touch()
    assert fleet.gateway.get("/v1/search?q=a").status_code == 502
    told = Scraped.of(fleet.gateway)
    assert (told.value("askfleet_ready"), told.value("askfleet_drained")) == (0, 1)
    assert told.value("askfleet_problems_total", code="draining") == 1


def test_a_failed_request_is_one_line_with_its_id(
    fleet: LocalFleet, lines: list[dict[str, object]]
) -> None:
    fleet.wires["encoder"].dead = True
    fleet.gateway.get("/v1/search?q=a", headers={"X-Request-ID": "r-17"})
    cause, line = lines
    assert cause["request_id"] == line["request_id"] == "r-17"
    assert "encoder" in str(cause["message"])
    assert line["logger"] == "askfleet.request"
    assert {name: line[name] for name in ("method", "endpoint", "status", "code")} == {
        "method": "GET",
        "endpoint": "/v1/search",
        "status": 503,
        "code": "encoder_unavailable",
    }
    assert line["message"] == "no encoder answers; try again"


def test_one_request_id_goes_from_the_gateway_to_the_shards_log(
    fleet: LocalFleet, built: list[SmallGeneration], lines: list[dict[str, object]]
) -> None:
    """The gateway is on a generation that no shard has loaded."""
    flip(fleet.config.links, "current", built[1].directory)
    fleet.gateway.get("/v1/search?q=a&probe=all", headers={"X-Request-ID": "r-18"})
    assert {line.get("request_id") for line in lines} == {"r-18"}
    refused = [line for line in lines if line.get("endpoint") == "/search"]
    assert [line["code"] for line in refused] == ["generation_not_loaded"] * 3
    (failed,) = [line for line in lines if line.get("endpoint") == "/v1/search"]
    assert (failed["status"], failed["code"]) == (503, "shards_unavailable")


def test_answers_and_callers_mistakes_are_no_lines(
    fleet: LocalFleet, lines: list[dict[str, object]]
) -> None:
    fleet.gateway.get("/v1/search?q=a")
    fleet.gateway.get("/v1/search?q=a&k=0")
    fleet.gateway.get("/nothing")
    assert lines == []


def test_an_unforeseen_error_is_one_line_with_its_trace_and_without_the_question(
    fleet: LocalFleet, lines: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(query: bytes) -> None:
        raise RuntimeError(query.decode())

    monkeypatch.setattr("app.gateway.parse_query_string", broken)
    fleet.gateway.get("/v1/search?q=secret", headers={"X-Request-ID": "r-19"})
    trace, line = lines
    assert "in broken" in str(trace["exception"])
    assert str(trace["exception"]).endswith("RuntimeError")
    assert "secret" not in str(lines)
    assert trace["request_id"] == line["request_id"] == "r-19"
    assert (trace["level"], line["code"]) == ("error", "internal_error")
    assert Scraped.of(fleet.gateway).value("askfleet_problems_total", code="internal_error") == 1


ROOT = Path(__file__).parents[2]
# Of programs that do not run here: blackbox_exporter, node_exporter and mtail. The lab runs them.
OTHERS = {"probe_success", "probe_ssl_earliest_cert_expiry"}
OTHERS |= {"node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
OTHERS |= {"nginx_edge_answers_total", "nginx_edge_answer_seconds_bucket"}


def expressions() -> dict[str, str]:
    """Everything that names metrics: alerts, dashboard, the table of the documentation."""
    dashboard = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
    asked = [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])]
    table = (ROOT / "docs/operations.md").read_text().partition("\n| metric | of | what |")[2]
    return {
        "alerts": (ROOT / "templates/monitoring/alerts.yml.j2").read_text(),
        "dashboard": "\n".join(asked),
        "page": table.partition("\n\n")[0],
    }


@pytest.fixture
def told(fleet: LocalFleet, tmp_path: Path) -> set[str]:
    """Every metric there is, once each has something to tell."""
    links = link(tmp_path / "encrypted", fleet.generation.directory)
    tls = TlsConfig("require", CA().write(tmp_path / "tls", "shard"))
    encrypted = Client(create_shard(replace(shard_config(links, 0), tls=tls)))
    fleet.gateway.get("/v1/search?q=a&k=0")
    fleet.wires["shard-1"].dead = True
    fleet.gateway.get("/v1/search?q=a&probe=all")
    clients = [encrypted, *(fleet.clients[service] for service in SERVICES)]
    names = set().union(*(Scraped.of(client).names for client in clients))
    nginx = (ROOT / "templates/nginx/metrics.conf.j2").read_text()
    kinds = re.findall(r"\('(\w+)', '(?:gauge|counter)'", nginx)
    return names | {f"nginx_connections_{kind}" for kind in kinds}


@pytest.mark.parametrize("where", ["alerts", "dashboard", "page"])
def test_every_metric_that_is_named_exists(told: set[str], where: str) -> None:
    """Histograms are named without their end on the page."""
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in told | OTHERS}
    named = re.findall(
        r"\b(?:askfleet|nginx|process|probe|node)_[a-z_]*[a-z]\b", expressions()[where]
    )
    assert len(set(named)) > 10
    assert set(named) - told - OTHERS - (families if where == "page" else set()) == set()


def test_every_metric_of_ours_is_described(told: set[str]) -> None:
    page = expressions()["page"]
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in told if "process_" not in name}
    assert {name for name in ours if f"`{name}`" not in page} == set()


def test_what_is_found_is_counted_by_score_and_without_an_answer(fleet: LocalFleet) -> None:
    for _ in range(2):  # from memory, too
        assert fleet.gateway.get("/v1/search?q=a").status_code == 200
    assert fleet.gateway.get("/v1/search?q=b", headers={"Askfleet-Canary": "1"}).status_code == 200
    scraped = Scraped.of(fleet.gateway)
    assert scraped.value("askfleet_gateway_score_count") == 2
    first = json.loads(fleet.gateway.get("/v1/search?q=a").data)["queries"][0]["results"][0]
    least = 0 if first["answer"] else 2
    assert scraped.value("askfleet_gateway_answerless_total") == least
