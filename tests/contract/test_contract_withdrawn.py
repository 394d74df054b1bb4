"""A withdrawn document leaves every answer of a running fleet, and who was away learns of it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from contract import Process, Search, ShardSearch, check_problem, read
from local_fleet import LocalFleet, start_fleet
from service_process import ServiceProcess, service, shard_process
from small_generations import TEXTS, SmallGeneration, build_small, documents_of, link
from werkzeug.serving import make_server

from app import cli
from app.gateway.withdrawn import Exchange
from app.generation.withdrawn import NAME, NOTHING, Withdrawn
from app.service.withdrawn import Known
from app.wire import vectors_to_bytes

NOW = "2026-11-26T12:00:00Z"
OUT = ("d0003", "d0004", "d0041")
LIST = NOTHING.changed(OUT, NOW, "root@one")
BACK = LIST.changed(OUT, NOW, "root@one", undo=True)
QUESTIONS = [TEXTS[3], TEXTS[4], TEXTS[41], TEXTS[9], "which of them?"]
AT_ONCE = 10.0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("built"))


@pytest.fixture
def fleet(tmp_path: Path, built: SmallGeneration) -> LocalFleet:
    return start_fleet(tmp_path, built)


def put(root: Path, content: Withdrawn) -> None:
    """As the play does: a new file, renamed over the old one."""
    new = root / "new"
    new.write_bytes(content.content)
    new.replace(root / NAME)


def until(true: Callable[[], Any], seconds: float = AT_ONCE) -> None:
    ends = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except (OSError, HTTPException, ValueError):
            pass
        assert time.monotonic() < ends
        time.sleep(0.05)


def digests(fleet: LocalFleet) -> set[str]:
    asked = (fleet.gateway, *fleet.shards)
    return {read(one.get("/health"), dict)["withdrawn"]["digest"] for one in asked}


def answers(fleet: LocalFleet, rescore: int, k: int = 7) -> list[list[tuple[Any, ...]]]:
    """Ids, scores and coverage, by way of every shard."""
    body = json.dumps({"queries": QUESTIONS, "k": k, "probe": "all"})
    answer = read(fleet.gateway.post(f"/v1/search?rescore={rescore}", data=body), Search)
    return [[(r.id, r.score, r.lexical) for r in query.results] for query in answer.queries]


def ids_of(found: list[list[tuple[Any, ...]]]) -> set[str]:
    return {one[0] for query in found for one in query}


def test_every_answer_is_that_of_a_build_without_it_and_undo_brings_it_back(
    fleet: LocalFleet, tmp_path: Path, built: SmallGeneration
) -> None:
    before = {rescore: answers(fleet, rescore) for rescore in (0, 1)}
    assert set(OUT) <= ids_of(before[0])
    put(tmp_path, LIST)
    until(lambda: digests(fleet) == {LIST.digest})
    left = [one for one in documents_of(TEXTS) if one.id not in OUT]
    (tmp_path / "other").mkdir()
    other = build_small(tmp_path / "other", documents=left, artefact=built.artefact)
    without = start_fleet(tmp_path / "other", other)
    assert answers(fleet, 0) == answers(without, 0), "by score: bit for bit"
    words = answers(fleet, 1)
    assert [len(query) for query in words] == [7] * len(QUESTIONS), "as many as were asked for"
    assert not set(OUT) & ids_of(words)
    for place, question in enumerate(QUESTIONS):
        body = json.dumps({"instances": [question]})
        matched = read(fleet.gateway.post("/process", data=body), Process).matches[0]
        assert matched not in {TEXTS[int(name[1:])] for name in OUT}, place
    put(tmp_path, BACK)
    until(lambda: digests(fleet) == {BACK.digest})
    assert {rescore: answers(fleet, rescore) for rescore in (0, 1)} == before


def test_a_shard_asked_by_itself_has_it_no_more(fleet: LocalFleet, tmp_path: Path) -> None:
    manifest, vectors = fleet.generation.manifest, fleet.generation.vectors
    put(tmp_path, LIST)
    until(lambda: digests(fleet) == {LIST.digest})
    found = set()
    for shard in fleet.shards:
        answer = shard.post(
            f"/search?generation={manifest.id}&k=60",
            data=vectors_to_bytes(vectors[:1]),
            headers={"Askfleet-Model": manifest.model.fingerprint},
        )
        found |= {hit.id for hit in read(answer, ShardSearch).results[0]}
    assert found == {one.id for one in fleet.generation.documents} - set(OUT)
    told = {name for shard in fleet.shards for name in shard.get("/withdrawn?found=1").get_json()}
    assert told == set(OUT)


@pytest.mark.parametrize("known", [LIST, NOTHING.changed(["d0012"], NOW, "x")])
def test_canaries_are_answered_as_they_must(
    fleet: LocalFleet,
    tmp_path: Path,
    built: SmallGeneration,
    known: Withdrawn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = make_server("127.0.0.1", 0, fleet.gateway.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    command = ["canary", "--url", url, "--generation-dir", str(built.directory)]
    try:
        put(tmp_path, known)
        until(lambda: digests(fleet) == {known.digest})
        assert cli.main([*command, "--withdrawn", str(tmp_path / NAME)]) == 0
        # The list is what makes the difference.
        assert cli.main([*command, "--withdrawn", str(tmp_path / "none")]) == 1
        assert "canary" in capsys.readouterr().err
        (tmp_path / "damaged").write_text("no list")
        assert cli.main([*command, "--withdrawn", str(tmp_path / "damaged")]) == 1
        assert "damaged is damaged" in capsys.readouterr().err
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_canaries_wait_for_a_list_that_is_on_its_way(
    fleet: LocalFleet, tmp_path: Path, built: SmallGeneration
) -> None:
    """Shards have left it out a moment before this host has the list."""
    server = make_server("127.0.0.1", 0, fleet.gateway.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    here = tmp_path / "here"
    here.mkdir()
    command = ["canary", "--url", f"http://127.0.0.1:{server.server_port}"]
    command += ["--generation-dir", str(built.directory), "--withdrawn", str(here / NAME)]
    try:
        put(tmp_path, LIST)
        until(lambda: digests(fleet) == {LIST.digest})
        late = threading.Timer(1.0, put, (here, LIST))
        late.start()
        assert cli.main(command) == 0
        late.join()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("body", [b"", b"{}", LIST.content[:-9], b"\xff" * 100])
def test_a_shard_refuses_a_damaged_list(fleet: LocalFleet, body: bytes) -> None:
    check_problem(fleet.shards[0].post("/withdrawn", data=body), 400, "bad_withdrawn")
    assert digests(fleet) == {""}


def test_a_gateway_has_no_such_route(fleet: LocalFleet) -> None:
    check_problem(fleet.gateway.get("/withdrawn"), 404)
    check_problem(fleet.gateway.post("/withdrawn", data=LIST.content), 404)


# --- hosts that were away: real shards, each on a host of its own ---------------------------------


def health(process: ServiceProcess) -> dict[str, Any]:
    connection = process.connect()
    try:
        connection.request("GET", "/health")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()


@pytest.fixture
def shards(tmp_path: Path, built: SmallGeneration) -> Iterator[list[ServiceProcess]]:
    with (
        shard_process(built.directory, tmp_path / "shard-a") as one,
        shard_process(built.directory, tmp_path / "shard-b") as two,
    ):
        yield [one, two]


def addresses(shards: list[ServiceProcess]) -> list[str]:
    return [f"127.0.0.1:{one.port}" for one in shards]


def test_what_one_knows_all_know(shards: list[ServiceProcess], tmp_path: Path) -> None:
    """A gateway hears it from one shard and tells the other, which was away; undone likewise."""
    told: list[str] = []
    known = Known(tmp_path / "gateway-1/links")
    exchange = Exchange(known, addresses(shards), None, lambda: told.append("informed"))
    exchange.once()
    assert told == ["informed"]
    assert known.list is NOTHING
    for new in (LIST, BACK):
        put(tmp_path / "shard-a", new)
        until(lambda new=new: health(shards[0])["withdrawn"]["digest"] == new.digest)
        exchange.once()
        assert known.list == new
        assert health(shards[1])["withdrawn"] == known.describe()
    assert told == ["informed"]
    again = BACK.changed(OUT, NOW, "root@two")
    known.hear(again)
    exchange.once()
    assert [health(one)["withdrawn"]["digest"] for one in shards] == [again.digest] * 2
    exchange.once()
    assert known.now.agreed


def test_a_shard_that_starts_anew_makes_a_gateway_forget(
    tmp_path: Path, built: SmallGeneration
) -> None:
    """Its disk has missed the undo: until it is told, it answers without the document."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    bind = f"127.0.0.1:{port}"
    listener.close()
    root = tmp_path / "shard"
    shard = {
        "ASKFLEET_SHARD": "0",
        "ASKFLEET_LINKS": str(link(root / "links", built.directory)),
        "ASKFLEET_DRAIN_FILE": str(root / "drain"),
    }
    put(root, LIST)
    known = Known(tmp_path / "gateway/links")
    known.hear(BACK)
    exchange = Exchange(known, [bind], None, lambda: None)
    seen = set()
    for _ in range(2):
        with service("shard", shard, root, activated=False, bind=bind) as process:
            process.port = port
            told = partial(health, process)
            until(lambda told=told: told()["withdrawn"]["digest"] == LIST.digest)

            def agreed() -> bool:
                exchange.once()
                return known.now.agreed

            until(agreed)
            assert told()["withdrawn"]["digest"] == BACK.digest
            assert known.now not in seen
            seen.add(known.now)
        exchange.once()


def test_a_drained_shard_takes_part(shards: list[ServiceProcess], tmp_path: Path) -> None:
    (tmp_path / "shard-a/drain").touch()
    put(tmp_path / "shard-a", LIST)
    until(lambda: health(shards[0])["withdrawn"]["digest"] == LIST.digest)
    known = Known(tmp_path / "gateway-1/links")
    Exchange(known, addresses(shards), None, lambda: None).once()
    assert known.ids == set(OUT)


@pytest.mark.parametrize("dead", ["refuses", "hangs"])
def test_a_shard_that_is_dead_keeps_nobody(
    shards: list[ServiceProcess], tmp_path: Path, dead: str
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    if dead == "refuses":
        silent.close()
    put(tmp_path / "shard-a", LIST)
    until(lambda: health(shards[0])["withdrawn"]["digest"] == LIST.digest)
    told: list[str] = []
    known = Known(tmp_path / "gateway-1/links")
    begun = time.monotonic()
    exchange = Exchange(known, [address, *addresses(shards)], None, lambda: told.append("informed"))
    exchange.once()
    assert time.monotonic() - begun < 3
    assert known.ids == set(OUT)
    assert told == ["informed"]
    silent.close()


def test_a_gateway_that_was_away_answers_nobody_before_it_knows(
    tmp_path: Path, built: SmallGeneration
) -> None:
    """Its host has no list, and no shard is there when it starts; then one comes, which knows."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    environ = {
        "ASKFLEET_LINKS": str(link(tmp_path / "gateway/links", built.directory)),
        "ASKFLEET_DRAIN_FILE": str(tmp_path / "drain"),
        "ASKFLEET_ENCODER_URL": "http://127.0.0.1:9",
        "ASKFLEET_SHARD_URLS": ",".join(["http://127.0.0.1:9"] * 3),
        "ASKFLEET_SHARD_REPLICAS": ",".join([f"127.0.0.1:{port}"] * 3),
    }

    def asked(process: ServiceProcess, **headers: str) -> Any:
        connection = process.connect()
        connection.request("GET", "/v1/search?q=a", headers=headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        return answer.status, told["code"]

    with service("gateway", environ, tmp_path / "gateway") as gateway:
        gateway.ready()
        assert health(gateway)["status"] == "starting"
        assert asked(gateway) == (502, "withdrawn_unknown")
        assert asked(gateway, **{"Askfleet-Canary": "1"}) == (502, "withdrawn_unknown")
        put_shard = tmp_path / "shard-a"
        put_shard.mkdir()
        put(put_shard, LIST)
        shard = {
            "ASKFLEET_SHARD": "0",
            "ASKFLEET_LINKS": str(link(put_shard / "links", built.directory)),
            "ASKFLEET_DRAIN_FILE": str(put_shard / "drain"),
        }
        with service("shard", shard, put_shard, activated=False, bind=f"127.0.0.1:{port}") as told:
            told.wait_for("READY=1")
            until(lambda: health(gateway)["status"] == "ok")
            assert health(gateway)["withdrawn"] == {"documents": 3, "digest": LIST.digest}
            assert asked(gateway)[1] != "withdrawn_unknown"


def test_nobody_starts_with_a_damaged_list(tmp_path: Path, built: SmallGeneration) -> None:
    (tmp_path / NAME).write_bytes(LIST.content[:-3])
    environ = {
        "ASKFLEET_SHARD": "0",
        "ASKFLEET_LINKS": str(link(tmp_path / "links", built.directory)),
        "ASKFLEET_DRAIN_FILE": str(tmp_path / "drain"),
    }
    with service("shard", environ, tmp_path) as process:
        process.wait_for_log("cannot start")
        assert "withdraw.yml" in process.log.read_text()
