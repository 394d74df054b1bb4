import json
import threading
from pathlib import Path

import numpy as np
import pytest
from asgi_client import CALLER_GONE, Client
from encoder_fakes import DIM, FakeEngine, Opener, make_artefact, make_config, vector_of

from app.config import EncoderConfig
from app.encoder import create_app
from app.encoder.batcher import Batcher
from app.errors import GenerationError, ModelError
from app.generation.model import Prompt, Prompts, Side


class Service:
    """An encoder with two fake models."""

    def __init__(
        self, tmp_path: Path, batcher: Batcher | None = None, prompts: Prompts | None = None
    ) -> None:
        self.current = make_artefact(tmp_path / "models", b"one", prompts=prompts)
        self.previous = make_artefact(tmp_path / "models", b"two")
        self.config = make_config(tmp_path, self.current, self.previous)
        self.opener = Opener()
        self.app = create_app(self.config, opener=self.opener, batcher=batcher)
        self.client = Client(self.app)

    @property
    def engine(self) -> FakeEngine:
        return self.opener.engines[self.current.name]


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_vectors_come_as_raw_floats(service: Service) -> None:
    answer = service.client.post("/encode", json={"texts": ["a", "b"]})
    assert answer.status_code == 200
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Askfleet-Model"] == service.current.name
    assert answer.headers["Askfleet-Dim"] == str(DIM)
    vectors = np.frombuffer(answer.data, dtype="<f4").reshape(2, DIM)
    assert np.array_equal(vectors, [vector_of("a"), vector_of("b")])


def test_people_may_ask_for_json(service: Service) -> None:
    accept = {"Accept": "application/json"}
    answer = service.client.post("/encode", json={"texts": ["a"]}, headers=accept)
    assert answer.json is not None
    assert answer.json["model"] == service.current.name
    assert answer.json["dim"] == DIM
    assert np.array_equal(np.float32(answer.json["vectors"]), [vector_of("a")])


def test_nothing_is_encoded_for_who_has_gone(service: Service) -> None:
    there = service.client.post("/encode", json={"texts": ["a"]})
    assert there.status_code == 200
    environ = {CALLER_GONE: lambda: True}
    gone = service.client.post("/encode", json={"texts": ["b"]}, environ_base=environ)
    assert gone.status_code == 408
    assert gone.json is not None
    assert gone.json["code"] == "caller_gone"
    assert service.engine.encoded[-1] == "a"


def test_the_content_type_does_not_matter(service: Service) -> None:
    answer = service.client.post(
        "/encode", data='{"texts": ["a"]}', content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 200


def test_the_previous_model_answers_by_name(service: Service) -> None:
    answer = service.client.post(
        f"/encode?model={service.previous.name}", json={"texts": ["only here"]}
    )
    assert answer.headers["Askfleet-Model"] == service.previous.name
    assert service.opener.engines[service.previous.name].encoded[-1] == "only here"
    assert "only here" not in service.engine.encoded


def test_a_model_that_is_not_loaded_is_a_conflict(service: Service) -> None:
    answer = service.client.post("/encode?model=0123456789abcdef", json={"texts": ["a"]})
    assert answer.status_code == 409
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    assert answer.json["code"] == "model_not_loaded"
    assert service.current.name in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "invalid_json", None),
        (b"{", 400, "invalid_json", None),
        (b"[" * 50_000, 400, "bad_body", None),
        (b"[]", 400, "bad_body", None),
        (b"{}", 400, "bad_body", "texts"),
        (b'{"texts": "a"}', 400, "bad_body", "texts"),
        (b'{"texts": ["a", 1]}', 400, "bad_body", "texts[1]"),
        (b'{"texts": ["a"], "more": 1}', 400, "bad_body", "more"),
        (b'{"texts": ["\xff"]}', 400, "invalid_utf8", None),
        (b'{"texts": []}', 400, "bad_texts", "texts"),
        (b'{"texts": ["a", " "]}', 400, "empty_text", "texts[1]"),
        (json.dumps({"texts": ["a"] * 257}).encode(), 413, "too_many", "texts"),
        (json.dumps({"texts": ["a" * 8001]}).encode(), 413, "too_long", "texts[0]"),
    ],
)
def test_bad_bodies(
    service: Service, body: bytes, status: int, code: str, field: str | None
) -> None:
    answer = service.client.post("/encode", data=body)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    assert answer.json["code"] == code
    assert answer.json.get("field") == field


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud800x"])
def test_half_a_surrogate_pair_is_refused(service: Service, half: str) -> None:
    answer = service.client.post("/encode", data=f'{{"texts": ["a {half} b"]}}')
    assert answer.status_code == 400


def test_wrong_method_wrong_path_too_large(service: Service) -> None:
    assert service.client.get("/encode").status_code == 405
    assert service.client.post("/nothing", data=b"").status_code == 404
    assert service.client.post("/encode", data=b" " * (9 << 20)).status_code == 413


@pytest.fixture
def two_sided(tmp_path: Path) -> Service:
    return Service(tmp_path, prompts=Prompts(Prompt("query: "), Prompt("passage: ")))


def test_texts_are_questions_unless_the_caller_says_documents(two_sided: Service) -> None:
    body = {"texts": ["a"]}
    query: Side = "query"
    for target in ("/encode", "/encode?side=query"):
        answer = two_sided.client.post(target, json=body)
        assert np.array_equal(np.frombuffer(answer.data, dtype="<f4"), vector_of("a", query))
    for _ in range(2):  # the second from the cache, which keeps the sides apart
        answer = two_sided.client.post("/encode?side=document", json=body)
        document = vector_of("a", "document")
        assert np.array_equal(np.frombuffer(answer.data, dtype="<f4"), document)
    assert two_sided.engine.encoded.count("a") == 2, "once a side"


@pytest.mark.parametrize("side", ["", "passage", "Query"])
def test_a_side_that_does_not_exist_is_refused(service: Service, side: str) -> None:
    answer = service.client.post(f"/encode?side={side}", json={"texts": ["a"]})
    assert answer.status_code == 400
    assert answer.json is not None
    assert (answer.json["code"], answer.json["field"]) == ("bad_side", "side")


def test_a_deadline_that_passed_is_kept(service: Service) -> None:
    late = {"Askfleet-Deadline-Ms": "0"}
    answer = service.client.post("/encode", json={"texts": ["a"]}, headers=late)
    assert answer.status_code == 504
    assert "a" not in service.engine.encoded
    bad = {"Askfleet-Deadline-Ms": "soon"}
    assert service.client.post("/encode", json={"texts": ["a"]}, headers=bad).status_code == 400


def test_waiting_ends_with_the_deadline(tmp_path: Path) -> None:
    service = Service(tmp_path, Batcher(passes=1, largest=1, waiting=9))
    service.engine.go = threading.Event()
    first = threading.Thread(target=lambda: service.client.post("/encode", json={"texts": ["a"]}))
    first.start()
    assert service.engine.started.wait(10)
    soon = {"Askfleet-Deadline-Ms": "50"}
    late = Client(service.app).post("/encode", json={"texts": ["late"]}, headers=soon)
    service.engine.go.set()
    first.join()
    assert late.status_code == 504
    assert late.json is not None
    assert late.json["code"] == "deadline"
    service.client.post("/encode", json={"texts": ["b"]})
    assert "late" not in service.engine.encoded


def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    service = Service(tmp_path, Batcher(passes=1, largest=1, waiting=1))
    service.engine.go = threading.Event()
    answers: list[int] = []

    def ask(texts: list[str]) -> None:
        answer = Client(service.app).post("/encode", json={"texts": texts})
        answers.append(answer.status_code)

    first = threading.Thread(target=ask, args=(["a", "b"],))
    first.start()
    assert service.engine.started.wait(10)
    refused = service.client.post("/encode", json={"texts": ["c"]})
    service.engine.go.set()
    first.join()
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert answers == [200]
    health = service.client.get("/health").json
    assert health is not None
    assert health["queue"] == {"pending": 0, "limit": 2, "running": 0, "slots": 1, "refused": 1}


def test_an_empty_queue_takes_any_request(tmp_path: Path) -> None:
    service = Service(tmp_path, Batcher(passes=1, largest=1, waiting=1))
    answer = service.client.post("/encode", json={"texts": [f"text {n}" for n in range(50)]})
    assert answer.status_code == 200


def test_texts_of_a_request_share_passes_and_that_is_told(service: Service) -> None:
    service.engine.passes.clear()
    service.client.post("/encode", json={"texts": [f"{n:03}" for n in range(20)]})
    assert sorted(service.engine.passes) == [4, 16]
    told = service.client.get("/metrics").get_data(as_text=True)
    assert "askfleet_encoder_pass_texts_sum 20.0" in told
    assert "askfleet_encoder_pass_texts_count 2.0" in told


def test_the_same_question_is_encoded_once(service: Service) -> None:
    first = service.client.post("/encode", json={"texts": ["again", "x"]})
    second = service.client.post("/encode", json={"texts": ["y", "again"]})
    row = DIM * 4
    assert first.data[:row] == second.data[row:]
    assert service.engine.encoded.count("again") == 1
    health = service.client.get("/health").json
    assert health is not None
    assert health["cache"] == {"entries": 3, "hits": 1, "misses": 3, "hit_rate": 0.25}


def test_health_names_the_models(service: Service) -> None:
    assert service.client.get("/livez").status_code == 200
    assert service.client.get("/readyz").status_code == 200
    health = service.client.get("/health").json
    assert health is not None
    assert health["status"] == "ok"
    assert health["model"] == service.current.name
    assert health["models"] == {"current": service.current.name, "previous": service.previous.name}


def test_a_drained_encoder_says_so(service: Service) -> None:
    service.config.drain_file.touch()
    assert service.client.post("/encode", json={"texts": ["a"]}).status_code == 503
    canary = {"Askfleet-Canary": "1"}
    answer = service.client.post("/encode", json={"texts": ["a"]}, headers=canary)
    assert answer.status_code == 200


def test_without_a_model_there_is_no_service(tmp_path: Path) -> None:
    config = make_config(tmp_path, tmp_path / "nowhere")
    with pytest.raises(GenerationError, match="does not exist"):
        create_app(config, opener=Opener())


def test_a_damaged_current_model_is_not_served(tmp_path: Path) -> None:
    current = make_artefact(tmp_path / "models", b"one")
    (current / "model.onnx").write_bytes(b"two")
    config: EncoderConfig = make_config(tmp_path, current)
    with pytest.raises(ModelError, match=r"model\.onnx does not match its sha256"):
        create_app(config, opener=Opener())


def test_a_model_that_fails_its_self_query_is_not_served(tmp_path: Path) -> None:
    config = make_config(tmp_path, make_artefact(tmp_path / "models", b"one", probe="other"))
    with pytest.raises(ModelError, match="self-query: cosine"):
        create_app(config, opener=Opener())


def test_a_damaged_previous_model_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    current = make_artefact(tmp_path / "models", b"one")
    previous = make_artefact(tmp_path / "models", b"two")
    (previous / "model.onnx").unlink()
    app = create_app(make_config(tmp_path, current, previous), opener=Opener())
    health = Client(app).get("/health").json
    assert health is not None
    assert health["models"] == {"current": current.name, "previous": None}
    assert "the previous model is not served" in caplog.text
