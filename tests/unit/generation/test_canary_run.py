"""What is withdrawn loosens the canaries of a generation that has it, and of no other."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from small_generations import TEXTS, SmallGeneration, build_small
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from app import canary_run
from app.canary_run import run_canaries
from app.errors import GenerationError
from app.generation import canary
from app.generation.manifest import Manifest
from app.generation.withdrawn import NOTHING


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("built"), TEXTS)


@pytest.fixture
def url(built: SmallGeneration) -> Iterator[str]:
    """Whoever answers there puts a stranger first, wherever words order an answer."""
    by_question = {one.question: one for one in canary.read(built.directory / canary.NAME)}

    def answer(environ: Any, start: Any) -> Any:
        one = by_question[json.loads(Request(environ).get_data())["queries"][0]]
        padded = one.lexical or (None,) * len(one.ids)
        hits = [
            {"id": name, "score": score, "lexical": lexical}
            for name, score, lexical in zip(one.ids, one.scores, padded, strict=True)
        ]
        if one.lexical:
            hits = [{**hits[0], "id": "stranger"}, *hits[:-1]]
        query = {"results": hits, "partial": False}
        body = json.dumps({"generation": built.manifest.id, "queries": [query]})
        return Response(body)(environ, start)

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write the list of a host, and say what a build left out."""
    monkeypatch.setattr(canary_run, "PATIENCE", 0.0)
    load = Manifest.load

    def write(*ids: str, left_out: str = "", absent: str = "") -> Path:
        def left(directory: Path) -> Manifest:
            known = {"withdrawn": tuple(left_out), "absent": tuple(absent)}
            return msgspec.structs.replace(load(directory), **known)

        monkeypatch.setattr(Manifest, "load", left)
        path = tmp_path / "withdrawn.jsonl"
        path.write_bytes(NOTHING.changed(ids, "2026-11-26T12:00:00Z", "x").content)
        return path

    return write


def test_a_stranger_may_come_for_what_is_withdrawn(
    built: SmallGeneration, url: str, known: Any
) -> None:
    assert run_canaries(url, built.directory, 30, withdrawn=known("x")) == built.manifest.canaries


@pytest.mark.parametrize("ids", ["", "x", "xyz"])
@pytest.mark.parametrize("kind", ["left_out", "absent"])
def test_none_may_for_what_was_withdrawn_before_the_build(
    built: SmallGeneration, url: str, known: Any, ids: str, kind: str
) -> None:
    """The canaries were made without it, whether the corpus had it or not."""
    list_ = known(*ids, **{"left_out": "y", kind: "xyz"})
    with pytest.raises(GenerationError, match="instead of"):
        run_canaries(url, built.directory, 30, withdrawn=list_)
