"""The OpenAPI document is the API: its routes, limits, codes and examples, and what is answered."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from local_fleet import LocalFleet, start_fleet
from small_generations import build_small

from app.gateway import API_DOCUMENT, KEYED, body
from app.generation.text import clean
from index_builder.filterable import wanted_fields

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/api.md").read_text()
DOCUMENT = json.loads(API_DOCUMENT.read_text())


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """References in a schema of the document point into the document."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def resolve(value: dict[str, Any]) -> dict[str, Any]:
    found: Any = value
    while "$ref" in found:
        kind, name = found["$ref"].removeprefix("#/components/").split("/")
        found = DOCUMENT["components"][kind][name]
    return found


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> LocalFleet:
    root = tmp_path_factory.mktemp("described")
    return start_fleet(root, build_small(root / "built", filterable=wanted_fields("word")))


def test_every_reference_leads_somewhere_and_every_component_is_a_schema() -> None:
    for kind, name in re.findall(r'"#/components/(\w+)/(\w+)"', API_DOCUMENT.read_text()):
        assert name in DOCUMENT["components"][kind]
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def let_through(path: str) -> bool:
    """Whether the edge passes a path on to the gateways."""
    edge = (ROOT / "templates/nginx/edge.conf.j2").read_text()
    patterns = re.findall(r"location ~ (\S+) \{", edge) + re.findall(r"location = (\S+) \{", edge)
    return any(re.search(f"^{pattern}$", path) for pattern in patterns)


def test_the_routes_are_those_of_the_gateway_that_the_edge_lets_through(fleet: LocalFleet) -> None:
    described = {
        (path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item
    }
    served = {
        (path, method)
        for path, methods in fleet.gateway.service.routes().items()
        for method in methods - {"HEAD"}
        if let_through(path)
    }
    assert described == served


def test_the_limits_are_those_of_the_parser() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Question"]["maxLength"] == body.MAX_CHARACTERS
    assert f"{body.MAX_TOTAL:,} characters" in schemas["Questions"]["description"]
    assert f"{body.MAX_TOTAL:,} characters" in PAGE
    assert schemas["Questions"]["maxItems"] == body.MAX_QUERIES
    assert (schemas["K"]["maximum"], schemas["K"]["default"]) == (body.MAX_K, body.DEFAULT_K)
    assert schemas["Probe"]["oneOf"][1]["maximum"] == body.MAX_PROBE


@given(
    st.text()
    | st.text("a \u00a0\u200b\u200d\ufe0f\u00ad\x00\x85\u3164\u17b5\U000e0041\U0001bca0\ufff1")
)
def test_the_pattern_of_a_question_is_what_the_parser_finds_empty(text: str) -> None:
    pattern = DOCUMENT["components"]["schemas"]["Question"]["pattern"]
    assert bool(re.search(pattern, text)) == bool(clean(text))


def codes_of(response: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for part in response["content"]["application/problem+json"]["schema"]["allOf"]:
        if "properties" in part:
            status = str(part["properties"]["status"]["const"])
            yield from ((code, status) for code in part["properties"]["code"]["enum"])


def test_the_codes_and_their_statuses_are_those_of_the_page() -> None:
    section = PAGE.partition("\n## Errors")[2].partition("\n## ")[0]
    page = set(re.findall(r"^\| `(\w+)` \| (\d{3})", section, re.MULTILINE))
    document = {
        pair
        for response in DOCUMENT["components"]["responses"].values()
        for pair in codes_of(response)
    }
    assert document == page


def test_every_operation_has_every_status_that_any_can_have() -> None:
    unlike = {"NotFound", "MethodNotAllowed", "UnsupportedEncoding", "NotReady", "NotHealthy"}
    unlike |= {"MissingKey", "UnknownKey", "Conflict"}
    names = DOCUMENT["components"]["responses"].keys() - unlike
    common = {status for name in names for _, status in codes_of(resolve(pointer(name)))}
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            more = {"415"} if method == "post" else set()
            more |= {"401", "403"} if path.startswith(KEYED) else set()
            more |= {"409"} if path == "/v1/search" else set()
            assert operation["responses"].keys() == {"200", *common, *more}, path
            for status, response in operation["responses"].items():
                codes = set() if status == "200" else set(codes_of(resolve(response)))
                assert {one for _, one in codes} <= {status}


def pointer(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/{name}"}


def test_retry_after_is_where_the_page_says() -> None:
    section = PAGE.partition("\n## Errors")[2].partition("\n## ")[0]
    statuses = set(re.findall(r"\| (\d{3}), Retry-After \|", section))
    described = {
        status
        for response in DOCUMENT["components"]["responses"].values()
        if "Retry-After" in response["headers"]
        for _, status in codes_of(response)
    }
    assert described == statuses == {"429", "502", "503", "504"}


EXAMPLES = re.findall(r"```console\n\$ curl (.+?)\n```\n```json\n(.+?)\n```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("line", "answer"), EXAMPLES, ids=[line[-30:] for line, _ in EXAMPLES])
def test_the_pages_examples_and_the_real_answers_validate(
    fleet: LocalFleet, line: str, answer: str
) -> None:
    words = shlex.split(line)
    url = urlsplit(words[-1])
    sent = words[words.index("-d") + 1] if "-d" in words else None
    operation = DOCUMENT["paths"][url.path]["post" if sent else "get"]
    documented = json.loads(answer)
    status = documented["status"] if "title" in documented else 200
    if sent:
        asked = validator(operation["requestBody"]["content"]["application/json"]["schema"])
        assert asked.is_valid(json.loads(sent)) == (status == 200)
    [content] = resolve(operation["responses"][str(status)])["content"].items()
    validator(content[1]["schema"]).validate(documented)
    real = fleet.gateway.open(
        f"{url.path}?{url.query}", method="POST" if sent else "GET", data=sent
    )
    assert (real.status_code, real.content_type) == (status, content[0])
    validator(content[1]["schema"]).validate(real.get_json(force=True))


def test_there_are_examples_of_every_kind() -> None:
    assert len(EXAMPLES) >= 5


def test_the_gateway_serves_it(fleet: LocalFleet) -> None:
    answer = fleet.gateway.get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.get_json() == DOCUMENT
