"""A gateway follows its link, holds two generations and answers pinned canaries from a third."""

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asgi_client import Client
from contract import Search, check_problem, read
from local_fleet import LocalFleet, start_fleet
from small_generations import TEXTS, SmallGeneration, build_small, flip
from werkzeug.serving import make_server

from app import cli, gateway
from app.errors import GenerationError
from app.gateway.generations import RETRY_SECONDS, Generations
from app.gateway.search import Searcher
from app.service.withdrawn import Known

CANARY = {"Askfleet-Canary": "1"}
NOWHERE = "20260101T000000Z-00000000"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[SmallGeneration]:
    """Four generations, each with other texts, side by side as on a host."""
    root = tmp_path_factory.mktemp("built")
    first = build_small(root, TEXTS)
    more = [
        build_small(root, [f"{text} of {n}" for text in TEXTS], artefact=first.artefact)
        for n in range(3)
    ]
    return [first, *more]


@pytest.fixture
def fleet(tmp_path: Path, built: list[SmallGeneration]) -> LocalFleet:
    """On generation 1; shards and gateway hold generation 0 too."""
    return start_fleet(tmp_path, built[1], built[0])


def links_of(fleet: LocalFleet) -> Path:
    return fleet.config.links


def asked(fleet: LocalFleet, **headers: str) -> str:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = read(fleet.gateway.get("/v1/search?q=a&probe=all", headers=names), Search)
    assert answer.partial is False
    return str(answer.generation)


def health(fleet: LocalFleet) -> Any:
    return read(fleet.gateway.get("/health"), dict)


def ids(*generations: SmallGeneration) -> list[str]:
    return sorted(generation.manifest.id for generation in generations)


def test_the_rename_of_the_link_is_the_flip(
    fleet: LocalFleet, built: list[SmallGeneration]
) -> None:
    old, new = built[0], built[1]
    assert asked(fleet) == new.manifest.id
    told = health(fleet)
    assert told["generations"] == {"current": new.manifest.id, "previous": old.manifest.id}
    assert told["loaded"] == ids(old, new)
    flip(links_of(fleet), "current", old.directory)
    flip(links_of(fleet), "previous", new.directory)
    assert asked(fleet) == old.manifest.id
    assert health(fleet)["generations"] == {
        "current": old.manifest.id,
        "previous": new.manifest.id,
    }
    body = json.dumps({"instances": ["question number 7"]})
    answer = fleet.gateway.post("/process", data=body).get_json()
    assert (answer["match"], answer["generation"]) == ("question number 7", old.manifest.id)


def test_health_follows_the_link_too(fleet: LocalFleet, built: list[SmallGeneration]) -> None:
    flip(links_of(fleet), "current", built[2].directory)
    told = health(fleet)
    assert told["generations"]["current"] == built[2].manifest.id
    assert told["loaded"] == ids(*built[:3])


def test_a_relative_link_is_followed(fleet: LocalFleet, built: list[SmallGeneration]) -> None:
    links = links_of(fleet)
    shutil.copytree(built[0].directory.parent, links.parent / "generations")
    flip(links, "current", Path("../generations") / built[0].manifest.id)
    assert asked(fleet) == built[0].manifest.id


def test_what_cannot_be_loaded_changes_nothing_and_is_logged_once(
    fleet: LocalFleet, built: list[SmallGeneration], caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = built[0].directory.parent / NOWHERE
    flip(links_of(fleet), "current", nowhere)
    for _ in range(3):
        assert asked(fleet) == built[1].manifest.id
        assert health(fleet)["generations"]["current"] == built[1].manifest.id
    assert len([r for r in caplog.records if "is not a sealed generation" in r.message]) == 1
    (links_of(fleet) / "current").unlink()
    assert asked(fleet) == built[1].manifest.id
    flip(links_of(fleet), "current", built[0].directory)
    assert asked(fleet) == built[0].manifest.id


def test_a_generation_of_more_shards_than_the_fleet_has_is_not_followed(
    fleet: LocalFleet, built: list[SmallGeneration], tmp_path: Path
) -> None:
    four = build_small(tmp_path / "four", artefact=built[0].artefact, shards=4)
    flip(links_of(fleet), "current", four.directory)
    assert asked(fleet) == built[1].manifest.id


@pytest.mark.parametrize("grows", [True, False])
def test_a_fleet_grows_and_shrinks_by_an_update(
    built: list[SmallGeneration], tmp_path: Path, grows: bool
) -> None:
    """Each generation is asked by its own number of shards; the others have nothing of it."""
    two = build_small(tmp_path / "two", artefact=built[0].artefact, shards=2)
    old, new = (two, built[0]) if grows else (built[0], two)
    fleet = start_fleet(tmp_path, new, old, 3)
    flip(links_of(fleet), "current", old.directory)
    flip(links_of(fleet), "previous", new.directory)
    assert asked(fleet) == old.manifest.id
    flip(links_of(fleet), "current", new.directory)
    flip(links_of(fleet), "previous", old.directory)
    assert asked(fleet) == new.manifest.id
    for generation in (old, new):
        answer = read(
            fleet.gateway.get(
                "/v1/search?q=question number 7&probe=all",
                headers={**CANARY, "Askfleet-Generation": generation.manifest.id},
            ),
            Search,
        )
        (query,) = answer.queries
        assert (answer.generation, query.results[0].text) == (
            generation.manifest.id,
            "question number 7",
        )
        assert query.shards_asked == list(range(len(generation.manifest.shards)))
    told = read(fleet.shards[2].get("/health"), dict)
    assert told["status"] == "ok"
    assert told["generations"] == {"current": new.manifest.id, "previous": old.manifest.id}
    assert (told["documents"] > 0) is grows


def test_a_shard_that_its_generation_does_not_have_finds_nothing(
    built: list[SmallGeneration], tmp_path: Path
) -> None:
    fleet = start_fleet(tmp_path, built[0], count=4)
    vectors = built[0].vectors[:2].tobytes()
    asked_for = f"/search?generation={built[0].manifest.id}&k=3"
    headers = {"Askfleet-Model": built[0].manifest.model.fingerprint}
    answer = fleet.shards[3].post(asked_for, headers=headers, data=vectors)
    assert (answer.status_code, answer.get_json()["results"]) == (200, [[], []])
    refused = fleet.shards[3].post(
        f"/search?generation={NOWHERE}&k=3", headers=headers, data=vectors
    )
    check_problem(refused, 409, "generation_not_loaded", "generation")


def test_a_faulty_previous_is_left_out(
    tmp_path: Path, built: list[SmallGeneration], caplog: pytest.LogCaptureFixture
) -> None:
    damaged = damaged_copy(built[0], tmp_path)
    fleet = start_fleet(tmp_path, built[1])
    (links_of(fleet) / "previous").symlink_to(damaged)
    client = Client(gateway.create_app(fleet.config))
    assert "the previous generation is not loaded" in caplog.text
    told = read(client.get("/health"), dict)
    assert told["generations"] == {"current": built[1].manifest.id, "previous": None}
    assert told["loaded"] == ids(built[1])


def damaged_copy(generation: SmallGeneration, root: Path) -> Path:
    directory = Path(shutil.copytree(generation.directory, root / generation.manifest.id))
    (directory / "routing/centroids.npy").write_bytes(b"not an array")
    return directory


# --- pinned canaries ---------------------------------------------------------------------------


def test_a_pinned_canary_is_answered_by_its_generation(
    fleet: LocalFleet, built: list[SmallGeneration]
) -> None:
    old = built[0].manifest.id
    assert asked(fleet, Askfleet_Generation=old, **CANARY) == old
    assert asked(fleet, Askfleet_Generation=old) == built[1].manifest.id, "no canary: not a choice"
    assert asked(fleet, **CANARY) == built[1].manifest.id


def test_a_pinned_canary_loads_from_beside_the_current_one(
    fleet: LocalFleet, built: list[SmallGeneration]
) -> None:
    pin = {**CANARY, "Askfleet-Generation": built[2].manifest.id}
    # The shards of this fleet have not loaded it, which the gateway does not hide.
    check_problem(fleet.gateway.get("/v1/search?q=a", headers=pin), 503, "shards_unavailable")
    assert health(fleet)["loaded"] == ids(*built[:3])
    assert asked(fleet) == built[1].manifest.id


def test_at_most_three_are_kept(fleet: LocalFleet, built: list[SmallGeneration]) -> None:
    for generation in built[2:]:
        pin = {**CANARY, "Askfleet-Generation": generation.manifest.id}
        fleet.gateway.get("/v1/search?q=a", headers=pin)
    assert health(fleet)["loaded"] == ids(built[0], built[1], built[3])
    flip(links_of(fleet), "previous", built[1].directory)
    flip(links_of(fleet), "current", built[2].directory)
    assert health(fleet)["loaded"] == ids(*built[1:])


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (NOWHERE, "is not a sealed generation"),
        ("../../etc", "is not the id of a generation"),
        (f"{NOWHERE}/..", "is not the id of a generation"),
        ("", "is not the id of a generation"),
        ("\xe9", "is not the id of a generation"),
    ],
)
def test_what_cannot_be_pinned_is_a_409_that_says_why(
    fleet: LocalFleet, wanted: str, reason: str
) -> None:
    answer = fleet.gateway.get("/v1/search?q=a", headers={**CANARY, "Askfleet-Generation": wanted})
    problem = check_problem(answer, 409, "generation_not_loaded", "Askfleet-Generation")
    assert reason in problem.detail


def test_a_damaged_or_misnamed_generation_is_not_pinned(
    fleet: LocalFleet, built: list[SmallGeneration], tmp_path: Path
) -> None:
    beside = tmp_path / "beside"
    shutil.copytree(built[1].directory, beside / built[1].manifest.id)
    damaged = damaged_copy(built[2], beside)
    shutil.copytree(built[3].directory, beside / NOWHERE)
    flip(links_of(fleet), "current", beside / built[1].manifest.id)
    for wanted, reason in [
        (damaged.name, "centroids.npy has "),
        (NOWHERE, f"holds generation {built[3].manifest.id}"),
    ]:
        headers = {**CANARY, "Askfleet-Generation": wanted}
        answer = fleet.gateway.get("/v1/search?q=a", headers=headers)
        problem = check_problem(answer, 409, "generation_not_loaded", "Askfleet-Generation")
        assert reason in problem.detail
        assert health(fleet)["generations"]["current"] == built[1].manifest.id


@pytest.fixture
def url(fleet: LocalFleet) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, fleet.gateway.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_canary_command_can_pin(
    url: str, built: list[SmallGeneration], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["canary", "--url", url, "--generation-dir"]
    assert cli.main([*command, str(built[1].directory)]) == 0
    told = capsys.readouterr().out.split()
    assert told[1:7] == ["canaries", "answered", "as", "they", "must", "in"]
    assert int(told[0]) == built[1].manifest.canaries > 0
    assert cli.main([*command, str(built[0].directory)]) == 1
    assert "answered by generation" in capsys.readouterr().err
    assert cli.main([*command, str(built[0].directory), "--pin"]) == 0


# --- the class, with a loader that the test holds -----------------------------------------------


def loader(fleet: LocalFleet) -> Any:
    def load(directory: Path) -> Searcher:
        known = Known(fleet.config.links)
        return gateway.load_searcher(directory, fleet.config, None, known)  # type: ignore[arg-type]  # never searched

    return load


def test_while_one_request_loads_the_others_go_on(
    fleet: LocalFleet, built: list[SmallGeneration]
) -> None:
    begun, go, loads = threading.Event(), threading.Event(), []
    load = loader(fleet)

    def slow(directory: Path) -> Searcher:
        if directory == built[2].directory:
            loads.append(directory)
            begun.set()
            assert go.wait(10)
        return load(directory)  # type: ignore[no-any-return]  # as above

    generations = Generations(links_of(fleet), slow)
    flip(links_of(fleet), "current", built[2].directory)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(generations.active)
        assert begun.wait(10)
        for _ in range(3):
            assert generations.active().manifest.id == built[1].manifest.id
        go.set()
        assert first.result().manifest.id == built[2].manifest.id
    assert generations.active().manifest.id == built[2].manifest.id
    assert loads == [built[2].directory]


def test_a_failed_target_is_tried_again_later(
    fleet: LocalFleet,
    built: list[SmallGeneration],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, broken, load = [100.0], [True], loader(fleet)
    monkeypatch.setattr("app.gateway.generations.time.monotonic", lambda: now[0])
    tried = []

    def load_or_fail(directory: Path) -> Searcher:
        tried.append(directory)
        if broken[0] and directory == built[2].directory:
            raise GenerationError("not staged yet")
        return load(directory)  # type: ignore[no-any-return]  # as above

    generations = Generations(links_of(fleet), load_or_fail)
    tried.clear()
    flip(links_of(fleet), "current", built[2].directory)
    for _ in range(3):
        assert generations.active().manifest.id == built[1].manifest.id
    assert len(tried) == 1
    now[0] += RETRY_SECONDS + 0.1
    assert generations.active().manifest.id == built[1].manifest.id
    assert len(tried) == 2
    assert caplog.text.count("not staged yet") == 1
    broken[0] = False
    now[0] += RETRY_SECONDS + 0.1
    assert generations.active().manifest.id == built[2].manifest.id


def test_no_answer_mixes_generations_under_flips(
    fleet: LocalFleet, built: list[SmallGeneration]
) -> None:
    """Every document's text names its generation, so a mixed answer would be seen."""
    links, stop = links_of(fleet), threading.Event()

    def ask() -> int:
        count = 0
        while not stop.is_set():
            answer = msgspec.json.decode(fleet.gateway.get("/v1/search?q=a&probe=all").data)
            texts = [found["text"] for found in answer["queries"][0]["results"]]
            newer = answer["generation"] == built[1].manifest.id
            assert texts
            assert all(text.endswith(" of 0") is newer for text in texts), answer
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(ask) for _ in range(4)]
        for round_ in range(40):
            flip(links, "current", built[round_ % 2].directory)
            stop.wait(0.01)
        stop.set()
        assert all(caller.result() > 0 for caller in callers)
