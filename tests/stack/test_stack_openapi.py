"""schemathesis asks the running stack whatever the OpenAPI document allows, and what it forbids."""

import json
import subprocess
from pathlib import Path
from typing import Any

from stack_processes import BIN, REPO, URL, ask

# The same requests in every run: about 1,200 in a dozen seconds.
SAME = [
    "--generation-deterministic",
    "--max-examples",
    "150",
    "--phases",
    "examples,coverage,fuzzing",
]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
    "allow_header_conformance",
)


def test_the_document_is_served_through_the_edge():
    answer = ask("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == json.loads((REPO / "app/gateway/openapi.json").read_text())


def with_fields(document: dict[str, Any]) -> dict[str, Any]:
    """The document, and what it cannot say: which fields this generation has."""
    [field] = ask("/v1/filters").json["fields"]
    assert (field["name"], field["type"]) == ("set", "keyword")
    several = {"type": "array", "minItems": 1, "items": {"type": "string"}}
    document["components"]["schemas"]["Filter"] = {
        "type": "object",
        "properties": {"set": {"anyOf": [{"type": "string"}, several]}},
        "additionalProperties": False,
    }
    return document


def test_every_answer_is_as_the_document_says(tmp_path: Path):
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(with_fields(ask("/openapi.json").json)))
    done = subprocess.run(
        [f"{BIN}/schemathesis", "run", str(document), "--url", URL, *SAME,
         "--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color", "--warnings", "off"],
        cwd=tmp_path,  # where it would leave its files
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Operations:       8 selected / 8 total" in done.stdout
