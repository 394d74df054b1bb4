"""The shard service: two generations live, never another one's data."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from asgi_client import Client
from encoder_fakes import DIM, make_artefact
from small_generations import TEXTS, SmallGeneration, build_small, link, shard_config

from app.errors import GenerationError
from app.generation.filters import MAX_FILTER
from app.shard import create_app
from app.wire import vectors_to_bytes


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[SmallGeneration]:
    """Three generations: the first two by one model, the third by another."""
    root = tmp_path_factory.mktemp("three")
    one = build_small(root / "one")
    two = build_small(root / "two", [f"new {text}" for text in TEXTS], artefact=one.artefact)
    third = build_small(root / "third", artefact=make_artefact(root / "other", b"other"))
    return [one, two, third]


def ask(
    client: Client, generation: SmallGeneration, *, model: str | None = None, k: int = 60
) -> tuple[int, dict[str, object]]:
    answer = client.post(
        f"/search?generation={generation.manifest.id}&k={k}",
        data=vectors_to_bytes(generation.vectors[:3]),
        headers={"Askfleet-Model": model or generation.manifest.model.fingerprint},
    )
    assert answer.json is not None
    return answer.status_code, answer.json


def texts_of(body: dict[str, object]) -> set[str]:
    results = body["results"]
    assert isinstance(results, list)
    return {hit["text"] for hits in results for hit in hits}


def test_both_generations_answer_each_with_its_own(
    three: list[SmallGeneration], tmp_path: Path
) -> None:
    one, two, third = three
    links = link(tmp_path, two.directory, one.directory)
    client = Client(create_app(shard_config(links, 1)))
    for generation in (one, two):
        status, body = ask(client, generation)
        assert status == 200
        assert (body["generation"], body["shard"]) == (generation.manifest.id, 1)
        assert texts_of(body) <= {document.text for document in generation.documents}
        assert len(texts_of(body)) == generation.manifest.shards[1].documents
    status, body = ask(client, third)
    assert (status, body["code"], body["field"]) == (409, "generation_not_loaded", "generation")
    assert one.manifest.id in str(body["detail"])
    assert two.manifest.id in str(body["detail"])
    health = client.get("/health").json
    assert health is not None
    assert health["generations"] == {"current": two.manifest.id, "previous": one.manifest.id}
    assert health["documents"] == two.manifest.shards[1].documents


def test_a_vector_of_another_model_is_refused(three: list[SmallGeneration], tmp_path: Path) -> None:
    one, _, third = three
    links = link(tmp_path, third.directory, one.directory)
    client = Client(create_app(shard_config(links, 0)))
    assert ask(client, one)[0] == ask(client, third)[0] == 200
    status, body = ask(client, one, model=third.manifest.model.fingerprint)
    assert (status, body["code"]) == (409, "model_mismatch")


def test_a_batch_answers_as_single_questions_do(
    three: list[SmallGeneration], tmp_path: Path
) -> None:
    one = three[0]
    client = Client(create_app(shard_config(link(tmp_path, one.directory), 2)))
    url = f"/search?generation={one.manifest.id}&k=5"
    headers = {"Askfleet-Model": one.manifest.model.fingerprint}

    def results(vectors: np.ndarray) -> list[object]:
        answer = client.post(url, data=vectors_to_bytes(vectors), headers=headers).json
        assert answer is not None
        return list(answer["results"])

    alone = [results(one.vectors[row : row + 1])[0] for row in range(20)]
    assert results(one.vectors[:20]) == alone


@pytest.mark.parametrize("name", ["index.faiss", "documents.bin"])
def test_a_damaged_current_keeps_the_service_down(
    three: list[SmallGeneration], tmp_path: Path, name: str
) -> None:
    bad = Path(shutil.copytree(three[0].directory, tmp_path / "bad"))
    path = bad / "shard-001" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # FAISS would read it all the same
    path.write_bytes(content)
    with pytest.raises(GenerationError, match=rf"shard-001/{name} does not match its sha256"):
        create_app(shard_config(link(tmp_path / "links", bad), 1))


@pytest.mark.parametrize("damage", ["index.faiss", "documents.bin", "everything"])
def test_a_damaged_previous_is_left_out(
    three: list[SmallGeneration], tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    one, two, _ = three
    bad = Path(shutil.copytree(one.directory, tmp_path / "bad"))
    links = link(tmp_path / "links", two.directory, bad)
    if damage == "everything":
        shutil.rmtree(bad)
    else:
        (bad / "shard-001" / damage).write_bytes(b"torn")
    client = Client(create_app(shard_config(links, 1)))
    assert ask(client, two)[0] == 200
    assert ask(client, one)[0] == 409
    health = client.get("/health").json
    assert health is not None
    assert health["generations"] == {"current": two.manifest.id, "previous": None}
    assert "previous" in caplog.text


def test_a_shard_that_the_generation_has_not(three: list[SmallGeneration], tmp_path: Path) -> None:
    """It has loaded the generation, and nothing of it (decision 57)."""
    client = Client(create_app(shard_config(link(tmp_path, three[0].directory), 3)))
    told = client.get("/health").get_json()
    assert (told["status"], told["documents"]) == ("ok", 0)
    assert told["generations"]["current"] == three[0].manifest.id


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [
        (0, 400, "bad_vectors"),
        (DIM * 4 - 1, 400, "bad_vectors"),
        (DIM * 4 + 4, 400, "bad_vectors"),
        (DIM * 4 * 1024, 200, None),
        (DIM * 4 * 1025, 413, "too_many"),
        (DIM * 4 * 1024 + (1 << 18) + MAX_FILTER + 1, 413, "request_entity_too_large"),
    ],
)
def test_the_size_of_a_body(
    three: list[SmallGeneration], tmp_path: Path, size: int, status: int, code: str | None
) -> None:
    one = three[0]
    client = Client(create_app(shard_config(link(tmp_path, one.directory), 0)))
    answer = client.post(
        f"/search?generation={one.manifest.id}&k=1",
        data=b"\0" * size,
        headers={"Askfleet-Model": one.manifest.model.fingerprint},
    )
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json.get("code") == code
